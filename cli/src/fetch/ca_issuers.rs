//! Fetching an issuer's certificate from where the leaf says that it lies
//! (authority information access, caIssuers: RFC 5280, 4.2.2.1).

use std::time::{Duration, Instant};

use staplegun_ocsp::UnixTime;

use super::client::{Client, Message};
use super::issuer::Issuers;
use super::subject::{Subject, certificates_in};

/// Looks for the issuer of `subject` at each address in turn. What is found
/// there counts only if it signed the leaf, so plain http does no harm.
///
/// Only for certificates of root and of the agent's own user: who else leaves one would
/// have the agent connect to whatever address he likes.
pub fn complete(
    subject: &mut Subject,
    issuers: &Issuers,
    client: &mut Client,
    deadline: Instant,
    turn: usize,
    now: UnixTime,
) {
    let urls = subject.leaf.ca_issuers().to_vec();
    for (untried, url) in (1..=urls.len()).rev().zip(&urls) {
        let left = deadline.saturating_duration_since(Instant::now());
        let until = Instant::now() + share(left, untried);
        match client.exchange(url, &Message::Get, until, turn, now) {
            Ok(answer) => {
                for der in certificates_in(&answer.body) {
                    subject.complete(&der, issuers);
                }
                if subject.has_valid_issuer(now) {
                    tracing::debug!(%url, "found the issuer's certificate");
                    return;
                }
                tracing::warn!(%url, "what lies there did not issue the certificate, or is not valid");
            }
            Err(failure) => {
                tracing::warn!(
                    cause = failure.cause(),
                    "cannot fetch the issuer: {failure}"
                );
            }
        }
    }
}

/// The time for the next one of `untried` addresses: each has as much as is left for the
/// responders.
fn share(left: Duration, untried: usize) -> Duration {
    left / u32::try_from(untried + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_hang_leave_each_other_and_the_responders_as_much_time() {
        let mut left = Duration::from_secs(60);
        for untried in [3, 2, 1] {
            assert_eq!(share(left, untried), Duration::from_secs(15));
            left -= share(left, untried);
        }
        assert_eq!(left, Duration::from_secs(15));
    }
}
