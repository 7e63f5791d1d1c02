//! Whether a client accepts what the server stapled, by the operator's policy.
//! The program's own callback has been asked before; this can only be stricter.

use staplegun_ocsp::{Certificate, Fault, Identity, MAX_RESPONSE, Tolerance};

use crate::config::{self, Client};
use crate::host::output;
use crate::host::peer::{Chain, Peer};
use crate::host::reasons::Reason;
use crate::host::session::Session;
use crate::host::ssl::Ssl;
use crate::host::x509::X509Ref;
use crate::log;
use crate::verify::{self, Unverified};

/// What a handshake's responses amount to.
enum Finding {
    /// All that were stapled are good, the leaf's among them.
    Good,
    /// Nothing was stapled.
    Nothing,
    /// The host did not verify the server's certificate, so that there is
    /// nothing to hold a response against.
    HostDidNotVerify,
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
        Finding::HostDidNotVerify => needed.then_some(Reason::NotVerified),
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
        return Finding::HostDidNotVerify;
    };
    let mut finding = Finding::Nothing;
    for (at, response) in responses.iter().enumerate() {
        let Some(der) = response else { continue };
        match check(&chain, at, der.as_slice()) {
            Ok(()) if at == 0 => finding = Finding::Good,
            Ok(()) => {}
            Err((reason, words)) => return Finding::Bad(reason, words),
        }
    }
    finding
}

/// Holds the response for the chain's certificate number `at` against it.
fn check(chain: &Chain<'_>, at: usize, der: &[u8]) -> Result<(), (Reason, String)> {
    let internal = |words: &str| (Reason::Internal, words.to_owned());
    let certificate = chain.certificate(at).ok_or_else(|| {
        let words = "a response came for a certificate that the chain does not have";
        (Reason::WrongCertificate, words.to_owned())
    })?;
    let issuer = chain
        .issuer_of(at)
        .ok_or_else(|| internal("the issuer is not in the chain"))?;
    let leaf = parse(certificate).ok_or_else(|| internal("the certificate cannot be read"))?;
    let identity = parse(issuer.as_ref())
        .and_then(|issuer| Identity::new(&leaf, &issuer))
        .ok_or_else(|| internal("the issuer's certificate cannot be read"))?;
    let said = staplegun_ocsp::check(der, &identity, output::seconds(), &Tolerance::RECEIVING);
    // What is not signed is nobody's word, be it good or bad.
    let signed = verify::signed_for(issuer.as_ref(), der);
    match (said, signed) {
        (Err(fault), _) if !is_signed_word(&fault) => Err((reason_of(&fault), fault.to_string())),
        (_, Err(Unverified::NoOcsp)) => Err(internal(&Unverified::NoOcsp.to_string())),
        (_, Err(unverified)) => Err((Reason::BadSignature, unverified.to_string())),
        (Err(fault), Ok(())) => Err((reason_of(&fault), fault.to_string())),
        (Ok(_), Ok(())) => Ok(()),
    }
}

/// Whether a fault is something that the responder says about the certificate.
fn is_signed_word(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Revoked { .. } | Fault::Unknown | Fault::Expired { .. } | Fault::NotYetValid { .. }
    )
}

fn reason_of(fault: &Fault) -> Reason {
    match fault {
        Fault::Revoked { .. } => Reason::Revoked,
        Fault::Unknown => Reason::Unknown,
        Fault::Expired { .. } => Reason::Expired,
        Fault::NotYetValid { .. } => Reason::NotYetValid,
        Fault::WrongCertificate { .. } | Fault::NoStatus => Reason::WrongCertificate,
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
        (Some(_), _) | (None, Finding::HostDidNotVerify) => config::Level::Warn,
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
        Finding::HostDidNotVerify => {
            "a response was stapled, but the program did not verify the certificate: it counts \
             as none"
        }
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
