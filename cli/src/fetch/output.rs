//! `--output`: the response in a file, for software that staples what lies there. So
//! a good response goes only for a better one, and half of one never lies there.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use staplegun_ocsp::{Policy, UnixTime};
use staplegun_store::files::{Lasting, PUBLIC, behind_links, replace_for};

use super::{Staple, Subject, judge};
use crate::agent::{Decision, Why, decide};

/// What became of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The response stands in it.
    Written,
    /// It is as it was, for the response says "revoked".
    Revoked,
    /// It is as it was, for what stands in it counts for more.
    Outweighed,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Written => "written",
            Self::Revoked => {
                "not written: it says revoked (--even-revoked writes it); stop using the file"
            }
            Self::Outweighed => "not written: the one in it lasts longer, or is newer",
        })
    }
}

/// Writes `staple` to `path`; one that says "revoked" only if `even_revoked`. A pipe or
/// a device is written into, and a file replaced, whose owner and mode are kept: who read
/// it can read it still. What stands in it is judged as what came was, by `policy`.
///
/// # Errors
///
/// If it cannot be written: then what stood there still does.
pub fn write(
    path: &Path,
    subject: &Subject,
    staple: &Staple,
    even_revoked: bool,
    policy: &Policy,
    now: UnixTime,
) -> anyhow::Result<Output> {
    if !staple.is_good() && !even_revoked {
        return Ok(Output::Revoked);
    }
    let failed = || format!("cannot write {}", path.display());
    let there = fs::metadata(path).ok();
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        write_into(path, &staple.der).with_context(failed)?;
        return Ok(Output::Written);
    }
    if let Decision::Keep(why) = decide(known(path, subject, policy, now).as_ref(), staple, now)
        && why != Why::Same
    {
        return Ok(Output::Outweighed);
    }
    let mode = there.as_ref().map_or(PUBLIC, |there| there.mode() & 0o777);
    let owner = there.map(|there| (there.uid(), there.gid()));
    let (path, der) = (behind_links(path), &staple.der);
    replace_for(&path, der, mode, owner, Lasting::OnDisk).with_context(failed)?;
    Ok(Output::Written)
}

/// Writes into a pipe or a device; not into a file that has taken its place since.
fn write_into(path: &Path, der: &[u8]) -> io::Result<()> {
    // Nothing is cut off by that.
    let mut there = fs::OpenOptions::new().write(true).open(path)?;
    if there.metadata()?.is_file() {
        return Err(io::Error::other("it was something else a moment ago"));
    }
    there.write_all(der)
}

/// What stands in the file, if that counts for anything.
fn known(path: &Path, subject: &Subject, policy: &Policy, now: UnixTime) -> Option<Staple> {
    let der = super::subject::read(path).ok()?;
    judge(&der, subject.issuer()?, now, policy).ok()
}
