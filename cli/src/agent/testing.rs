//! What several tests of the agent take: certificates and responses, what is logged, and to be
//! nobody special.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::{Uid, setfsuid};
use staplegun_ocsp::{UnixTime, Validity, Verdict};
use staplegun_testkit::{Identity, Spec};

use crate::fetch::{Staple, Subject};

/// A user who may read what all may read.
const NOBODY: u32 = 65_534;

/// The lines that `work` logs, as far as this thread does it.
pub fn logged(work: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt()
        .without_time()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(log, work);
    let bytes = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(str::to_owned).collect()
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Does `work` as somebody to whom files are forbidden as their modes say: to root none is.
pub fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let as_nobody = || {
        if Uid::effective().is_root() {
            // Of this thread alone.
            setfsuid(Uid::from_raw(NOBODY));
        }
        work()
    };
    let done = std::thread::scope(|scope| scope.spawn(as_nobody).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A server's certificate that is its own issuer's.
pub fn certificate(spec: &Spec) -> Subject {
    let leaf = Identity::self_signed(spec).der();
    Subject::unexamined(vec![leaf]).expect("a certificate")
}

/// A good response, as far as anybody looks at it.
pub fn good(from: UnixTime, until: UnixTime) -> Staple {
    Staple {
        der: vec![1],
        verdict: Verdict::Good,
        validity: Validity { from, until },
    }
}

/// That the certificate is revoked, in those bytes.
pub fn revoked(der: &[u8]) -> Staple {
    Staple {
        der: der.to_vec(),
        verdict: Verdict::Revoked {
            since: 1,
            reason: None,
        },
        validity: Validity { from: 1, until: 2 },
    }
}
