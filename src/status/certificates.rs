//! The certificates that were loaded into an SSL_CTX or SSL: which X509 is which
//! certificate, so that a handshake need not hash it.
//!
//! The list only grows, by compare-and-swap, until its owner is freed: a
//! handshake in another thread may be reading it.

use std::path::{Path, PathBuf};

use once_cell::race::OnceBox;

use crate::host::library_context::LibraryContext;
use crate::host::memory::try_box;
use crate::host::origin::Origin;
use crate::host::x509::{OwnedX509, X509Ref};
use crate::staples::file::FileStaple;

/// A certificate that was seen, with a reference held so that its address
/// cannot come to mean another one.
pub struct Leaf {
    x509: OwnedX509,
    /// SHA-256 of its DER: its key in the live map.
    pub key: [u8; 32],
    path: OnceBox<PathBuf>,
    /// The response for it that files gave.
    pub staple: FileStaple,
}

impl Leaf {
    /// The certificate.
    pub fn x509(&self) -> X509Ref<'_> {
        self.x509.as_ref()
    }

    /// The file that it was loaded from, where that is known.
    pub fn path(&self) -> Option<&Path> {
        self.path.get().map(PathBuf::as_path)
    }

    /// Notes the file that it was loaded from.
    pub fn loaded_from(&self, path: &Path) {
        if let Some(path) = try_box(path.to_path_buf()) {
            // Loaded before from elsewhere: the first file stays.
            let _ = self.path.set(path);
        }
    }
}

const CHUNK: usize = 8;
/// A program that rotates its certificate in place every day needs years to fill
/// so many chunks. After that a new one is hashed at each handshake, and stapled
/// for from the live map only.
const MAX_CHUNKS: usize = 128;
/// Those added in handshakes may be made anew for each connection.
const MAX_CHUNKS_IN_HANDSHAKES: usize = 2;

/// When a certificate is added.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The program loads it.
    Load,
    /// It was not seen before its first handshake.
    Handshake,
}

/// A list of certificates.
#[derive(Default)]
pub struct Certificates {
    leaves: [OnceBox<Leaf>; CHUNK],
    more: OnceBox<Certificates>,
}

impl Certificates {
    /// What is known of this very X509.
    pub fn find(&self, x509: X509Ref<'_>) -> Option<&Leaf> {
        let mut chunk = Some(self);
        while let Some(list) = chunk {
            for place in &list.leaves {
                match place.get() {
                    Some(leaf) if leaf.x509().as_ptr() == x509.as_ptr() => return Some(leaf),
                    Some(_) => {}
                    None => return None,
                }
            }
            chunk = list.more.get();
        }
        None
    }

    /// What is known of this X509, which is added if it is new, to be looked for
    /// in files by the process `origin` only, and verified in `library`. None for
    /// want of memory or when the list is full.
    pub fn find_or_add(
        &self,
        x509: X509Ref<'_>,
        origin: Origin,
        library: LibraryContext,
        when: When,
    ) -> Option<&Leaf> {
        if let Some(leaf) = self.find(x509) {
            return Some(leaf);
        }
        let mut leaf = try_box(Leaf {
            key: x509.sha256()?,
            x509: x509.to_owned()?,
            path: OnceBox::new(),
            staple: FileStaple::new(origin, library),
        })?;
        let limit = match when {
            When::Load => MAX_CHUNKS,
            When::Handshake => MAX_CHUNKS_IN_HANDSHAKES,
        };
        let mut list = self;
        for _ in 0..limit {
            for place in &list.leaves {
                match place.set(leaf) {
                    Ok(()) => return place.get(),
                    Err(taken) => leaf = taken,
                }
            }
            if list.more.get().is_none() {
                let _ = list.more.set(try_box(Certificates::default())?);
            }
            list = list.more.get()?;
        }
        None
    }
}
