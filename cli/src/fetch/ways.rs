//! What follows from an answer that is of no use: whether to ask again, and in which way.

use staplegun_ocsp::fault::ErrorStatus;
use staplegun_ocsp::{Fault, HashAlgorithm};

use super::failure::{Failure, Kind};
use super::remembered::Way;

/// Whether somebody answered who may have another answer to the same question, asked in
/// another way. Not who says that he is busy.
pub fn is_answer(failure: &Failure) -> bool {
    if failure.retry_after.is_some_and(|wait| !wait.is_zero()) {
        return false;
    }
    match &failure.kind {
        Kind::HttpStatus(status) => !matches!(status, 429 | 503),
        Kind::Response { fault, .. } => *fault != Fault::ErrorStatus(ErrorStatus::TryLater),
        Kind::TooLarge | Kind::Redirect | Kind::Protocol(_) | Kind::Signer(_) => true,
        Kind::Early { .. } => true,
        _ => false,
    }
}

/// Whether it was a responder that answered, and not something that stands before it.
fn speaks_ocsp(failure: &Failure) -> bool {
    match &failure.kind {
        Kind::Response { fault, .. } => !is_garbage(fault),
        Kind::Signer(_) | Kind::OtherNonce | Kind::Early { .. } => true,
        _ => false,
    }
}

/// Whether the responder does its work, and has none for this certificate.
pub fn is_the_certificates(failure: &Failure) -> bool {
    match &failure.kind {
        Kind::IssuerExpired(_) => true,
        Kind::Response { fault, .. } => matches!(
            fault,
            Fault::Unknown
                | Fault::WrongCertificate { .. }
                | Fault::ErrorStatus(ErrorStatus::Unauthorized)
        ),
        _ => false,
    }
}

/// Whether `new` tells the operator more than what was to be told so far.
pub fn tells_more(new: &Failure, so_far: &Failure) -> bool {
    if matches!(so_far.kind, Kind::LeftAlone(_)) {
        return true;
    }
    new.responder == so_far.responder && speaks_ocsp(new) && !speaks_ocsp(so_far)
}

/// In which ways to ask again who was asked in this one. What was asked by GET may be a
/// cache's answer, or that of something that knows no GET; a certID that is not known
/// may be under another hash.
pub fn other_ways(way: Way, kind: &Kind) -> [Option<Way>; 2] {
    let by_post = Way {
        by_post: true,
        ..way
    };
    let other_hash = Way {
        hash: match way.hash {
            HashAlgorithm::Sha1 => HashAlgorithm::Sha256,
            _ => HashAlgorithm::Sha1,
        },
        ..way
    };
    use ErrorStatus::{InternalError, MalformedRequest, Unauthorized};
    match kind {
        Kind::Response { fault, .. } => match fault {
            Fault::Unknown => [Some(other_hash), Some(by_post)],
            Fault::ErrorStatus(InternalError | MalformedRequest | Unauthorized) => {
                [Some(by_post), Some(other_hash)]
            }
            _ => [Some(by_post), None],
        },
        _ => [Some(by_post), None],
    }
}

/// Whether it is no OCSP response.
pub fn is_garbage(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Empty
            | Fault::Html
            | Fault::Pem
            | Fault::Text { .. }
            | Fault::NotResponse
            | Fault::Malformed { .. }
            | Fault::TrailingBytes { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::super::verify::Unverified;
    use super::*;

    #[test]
    fn whoever_answers_with_what_is_of_no_use_may_be_asked_in_another_way() {
        let is_answer = |kind| is_answer(&Failure::at("http://a/", kind));
        for kind in [
            Kind::TooLarge,
            Kind::Redirect,
            Kind::Protocol("no HTTP".into()),
            Kind::Signer(Unverified::BadSignature),
            Kind::HttpStatus(405),
        ] {
            let told = format!("{kind:?}");
            assert!(is_answer(kind), "{told}");
        }
        for kind in [
            Kind::HttpStatus(429),
            Kind::HttpStatus(503),
            Kind::Unresolved,
            Kind::Timeout("connecting"),
        ] {
            let told = format!("{kind:?}");
            assert!(!is_answer(kind), "{told}");
        }
    }

    #[test]
    fn a_responder_is_not_to_blame_for_what_is_the_certificates() {
        let is_the_certificates = |kind| is_the_certificates(&Failure::at("http://a/", kind));
        let response = |fault| Kind::Response {
            fault,
            content_type: None,
        };
        assert!(is_the_certificates(Kind::IssuerExpired(0)));
        assert!(is_the_certificates(response(Fault::Unknown)));
        assert!(!is_the_certificates(response(Fault::Html)));
        assert!(!is_the_certificates(Kind::TooLarge));
    }
}
