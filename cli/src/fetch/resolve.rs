//! Looking up responders' names: once for a client's questions that follow each
//! other, since ureq asks for the addresses even where a connection stands.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{self, DefaultResolver, ResolvedSocketAddrs};
use ureq::unversioned::transport::NextTimeout;

/// How long addresses count that were looked up.
const LIFE: Duration = Duration::from_secs(5);

/// Looks names up, and remembers the last one. What fails is not remembered.
#[derive(Debug, Default)]
pub struct Resolver {
    inner: DefaultResolver,
    last: Mutex<Option<Looked>>,
}

#[derive(Debug)]
struct Looked {
    /// Scheme and authority: the port may follow from the scheme.
    origin: String,
    addresses: ResolvedSocketAddrs,
    at: Instant,
}

impl resolver::Resolver for Resolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let origin = format!("{:?} {:?}", uri.scheme(), uri.authority());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.origin == origin
            && last.at.elapsed() < LIFE
        {
            return Ok(last.addresses.clone());
        }
        let addresses = self.inner.resolve(uri, config, timeout)?;
        *last = Some(Looked {
            origin,
            addresses: addresses.clone(),
            at: Instant::now(),
        });
        Ok(addresses)
    }
}
