//! Whether a client accepts what the server stapled, by the operator's policy.
//! The program's own callback has been asked before; this can only be stricter.

use staplegun_ocsp::{
    Certificate, Fault, Identity, MAX_RESPONSE, Policy, Refusal, Response, Verdict,
};

use crate::config::{self, Client};
use crate::host::output;
use crate::host::peer::Peer;
use crate::host::reasons::Reason;
use crate::host::session::Session;
use crate::host::ssl::Ssl;
use crate::host::x509::{X509Ref, X509Stack};
use crate::log;
use crate::verify::{Issuer, Unverified};

/// What a handshake's responses amount to.
enum Finding {
    /// All that were stapled are good, the leaf's among them.
    Good,
    /// Nothing was stapled.
    Nothing,
    /// There is nothing to hold a response against, for this reason; it counts
    /// as none.
    Untrusted(&'static str),
    /// One is bad.
    Bad(Reason, String),
}

/// Judges a full handshake. Some: it is to be refused, for this reason.
pub fn judge(ssl: &Ssl) -> Option<Reason> {
    let policy = config::get().client_policy();
    let peer = Peer::of(ssl);
    let finding = find(ssl, &peer);
    let must_staple = peer
        .leaf()
        .and_then(parse)
        .is_some_and(|leaf| leaf.must_staple());
    let refused = refusal(&finding, policy.max(Client::Verify), must_staple);
    report(ssl, &peer, &finding, refused, policy);
    match refused {
        Some(reason) if policy >= Client::Verify => Some(reason),
        _ => {
            mark_session(ssl, &finding, policy);
            None
        }
    }
}

/// Why a policy refuses a finding, if it does.
fn refusal(finding: &Finding, policy: Client, must_staple: bool) -> Option<Reason> {
    let needed = must_staple || policy == Client::Require;
    match finding {
        Finding::Good => None,
        Finding::Bad(reason, _) => Some(*reason),
        Finding::Nothing => needed.then_some(Reason::Missing),
        Finding::Untrusted(_) => needed.then_some(Reason::NotVerified),
    }
}

/// Whether a session may be offered for resumption, where no certificate and no
/// response will be shown: only if its full handshake passed under this policy
/// or a stricter one.
pub fn may_resume(session: Session) -> bool {
    let policy = config::get().client_policy();
    policy < Client::Verify || session.mark() >= policy as usize
}

/// A session that passed is marked with the strictest policy that it satisfies.
fn mark_session(ssl: &Ssl, finding: &Finding, policy: Client) {
    let satisfied = match finding {
        Finding::Good => Client::Require,
        _ => policy,
    };
    if policy >= Client::Verify
        && let Some(session) = Session::of(ssl)
    {
        session.set_mark(satisfied as usize);
    }
}

fn find(ssl: &Ssl, peer: &Peer<'_>) -> Finding {
    let responses = ssl.responses();
    if responses.iter().flatten().next().is_none() {
        return Finding::Nothing;
    }
    let Some(chain) = peer.verified_chain() else {
        return Finding::Untrusted("the program did not verify the certificate");
    };
    let mut finding = Finding::Nothing;
    for (place, der) in responses.iter().flatten().enumerate() {
        match find_one(peer, chain, place, der) {
            (0, found @ (Finding::Good | Finding::Untrusted(_))) => finding = found,
            (_, bad @ Finding::Bad(..)) => return bad,
            _ => {}
        }
    }
    finding
}

/// What one response amounts to, and for which of the certificates sent. libssl
/// 3.6 and 4.0 leave no gap for a certificate without a response, so that the
/// place of one says only which certificates it is not for.
fn find_one(peer: &Peer<'_>, chain: X509Stack<'_>, place: usize, der: &[u8]) -> (usize, Finding) {
    let mut first = None;
    for (at, certificate) in peer.sent().enumerate().skip(place) {
        let found = if chain.holds(certificate) {
            check(peer, chain, certificate, der)
        } else {
            check_unused(peer, certificate, der)
        };
        match found {
            Finding::Bad(Reason::WrongCertificate, _) => first = first.or(Some((place, found))),
            _ => return (at, found),
        }
    }
    first.unwrap_or_else(|| {
        let words = "there are more responses than certificates".to_owned();
        (place, Finding::Bad(Reason::WrongCertificate, words))
    })
}

/// Holds a response against a certificate of the chain.
fn check(peer: &Peer<'_>, chain: X509Stack<'_>, certificate: X509Ref<'_>, der: &[u8]) -> Finding {
    let internal = |words: &str| Finding::Bad(Reason::Internal, words.to_owned());
    let fault = |fault: Fault| Finding::Bad(reason_of(&fault), fault.to_string());
    // A certificate that is trusted by itself: its issuer is nobody's concern.
    let Some(issuer) = peer.issuer_of(chain, certificate) else {
        return Finding::Untrusted("its issuer is not in the chain that the program verified");
    };
    let Some((identity, issuer)) =
        identity_of(certificate, issuer.as_ref()).zip(Issuer::new(issuer))
    else {
        return internal("the certificate or its issuer's cannot be read");
    };
    match staplegun_ocsp::judge(
        der,
        &identity,
        output::seconds(),
        &Policy::RECEIVING,
        &issuer,
    ) {
        Ok(judged) => match judged.verdict {
            Verdict::Good => Finding::Good,
            Verdict::Revoked { since, reason } => fault(Fault::Revoked {
                time: since,
                reason,
            }),
        },
        Err(Refusal::Response(wrong) | Refusal::Early { fault: wrong, .. }) => fault(wrong),
        Err(Refusal::Signature(Unverified::NoOcsp)) => internal(&Unverified::NoOcsp.to_string()),
        Err(Refusal::Signature(unverified)) => {
            Finding::Bad(Reason::BadSignature, unverified.to_string())
        }
    }
}

/// Holds a response against a certificate that the server sent and the chain does
/// without: a revoked one there revokes nothing.
fn check_unused(peer: &Peer<'_>, certificate: X509Ref<'_>, der: &[u8]) -> Finding {
    let issuer = peer.sent().find(|sent| certificate.is_issued_by(*sent));
    let identity = issuer.and_then(|issuer| identity_of(certificate, issuer));
    match identity.map(|identity| Response::parse(der)?.single_for(&identity)) {
        Some(Err(fault)) => Finding::Bad(reason_of(&fault), fault.to_string()),
        _ => Finding::Nothing,
    }
}

fn identity_of(certificate: X509Ref<'_>, issuer: X509Ref<'_>) -> Option<Identity> {
    Identity::new(&parse(certificate)?, &parse(issuer)?)
}

fn reason_of(fault: &Fault) -> Reason {
    match fault {
        Fault::Revoked { .. } => Reason::Revoked,
        Fault::Unknown => Reason::Unknown,
        Fault::Expired { .. } => Reason::Expired,
        Fault::NotYetValid { .. } => Reason::NotYetValid,
        Fault::WrongCertificate { .. } | Fault::NoStatus => Reason::WrongCertificate,
        Fault::SignerNotFound | Fault::SignerNotValid { .. } => Reason::BadSignature,
        Fault::ErrorStatus(_) => Reason::ErrorStatus,
        _ => Reason::Malformed,
    }
}

fn parse(certificate: X509Ref<'_>) -> Option<Certificate> {
    Certificate::from_der(&certificate.to_der(MAX_RESPONSE)?).ok()
}

/// One line: the host, its certificate, and what was made of its response.
fn report(ssl: &Ssl, peer: &Peer<'_>, finding: &Finding, refused: Option<Reason>, policy: Client) {
    let level = match (refused, finding) {
        (Some(_), _) | (None, Finding::Untrusted(_)) => config::Level::Warn,
        (None, _) => config::Level::Info,
    };
    if !log::enabled(level) {
        return;
    }
    let host = ssl.server_name().unwrap_or_default();
    let host = if host.is_empty() {
        "a server".into()
    } else {
        host
    };
    let certificate = peer.leaf().and_then(parse).map_or_else(
        || "unknown certificate".to_owned(),
        |leaf| format!("{}, serial {}", leaf.display_subject(), leaf.serial_hex()),
    );
    let found = match finding {
        Finding::Good => "the stapled response is good",
        Finding::Nothing => "no response was stapled",
        Finding::Untrusted(why) => &format!("a response was stapled, but {why}: it counts as none"),
        Finding::Bad(_, words) => words,
    };
    let outcome = match (refused, policy) {
        (None, _) => "accepted",
        (Some(_), Client::Report) => "would be refused",
        (Some(_), _) => "refused",
    };
    log::line(
        level,
        format_args!("{outcome}: {host} ({certificate}): {found}"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_have_signed_is_not_told_from_a_wrong_signature_and_what_is_no_response_is() {
        let (from, until, now) = (1, 2, 3);
        for fault in [
            Fault::SignerNotFound,
            Fault::SignerNotValid { from, until, now },
        ] {
            assert_eq!(reason_of(&fault), Reason::BadSignature, "{fault}");
        }
        for fault in [Fault::Empty, Fault::NotBasic, Fault::NotResponse] {
            assert_eq!(reason_of(&fault), Reason::Malformed, "{fault}");
        }
    }
}
