//! What lasts: plain files, which any tool can read.
//!
//! | directory  | file                  | what                                        |
//! |------------|-----------------------|---------------------------------------------|
//! | `certs/`   | `<SHA-256>.pem`       | the leaf and its issuers                    |
//! | `staples/` | `<SHA-256>.der`       | the OCSPResponse, DER (RFC 6960)            |
//! | `state/`   | `<SHA-256>.json`      | the agent's [`Notes`]                       |
//!
//! And what does not last, beside the live map: `live/<SHA-256>.der`, what may be stapled
//! now, for software that reads files ([`live`]).
//!
//! Only the agent writes them. A file is written under another name, brought to
//! the disk, renamed, and the directory brought to the disk: after a crash there is
//! the old file or the new one ([`replace()`]). Symbolic links are not followed:
//! everything is done relative to the directory's descriptor, which is opened for
//! each piece of work, so that a directory that was removed and made again is used
//! as soon as it is there. Of many files each step is taken for all before the next
//! one ([`Files::apply`]), so that the disk is waited for once.

mod batch;
mod directory;
mod error;
mod given;
mod notes;
mod replace;
mod stamp;
mod store;

pub use batch::{Applied, Change, Failed, What, Which};
pub use directory::{Directory, MAX_FILE};
pub use error::FileError;
pub use given::{open_regular, read_open, read_regular};
pub use notes::Notes;
pub use replace::{
    Lasting, PUBLIC, behind_links, make_directory, make_runtime, replace, replace_at, replace_for,
};
pub use stamp::Stamp;
pub use store::{Files, live};
