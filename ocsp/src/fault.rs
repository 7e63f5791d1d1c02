//! Everything that can be wrong with a response, short of its signature's bits.

use crate::asn1::NotDer;
use crate::identity::Difference;
use crate::limits::MAX_RESPONSE;
use crate::time::{Rfc3339, UnixTime};
use std::fmt;

/// Why a response cannot be stapled. Its `Display` says what failed and what to
/// do; [`Fault::cause`] is the stable word for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No bytes at all.
    Empty,
    /// More than [`MAX_RESPONSE`] bytes; not looked at.
    TooLarge {
        /// How many there are.
        length: usize,
    },
    /// PEM or bare base64 instead of DER.
    Pem,
    /// A web page instead of DER: a captive portal, a proxy's error, a wrong address.
    Html,
    /// Some other text instead of DER: an error message of a gateway, say.
    Text {
        /// How it begins, fit to be printed.
        beginning: String,
    },
    /// A DER structure of another kind: a certificate, a CRL, a request.
    NotResponse,
    /// Not the DER of an OCSPResponse.
    Malformed {
        /// The first part that is wrong, by its name in RFC 6960.
        part: &'static str,
    },
    /// A response, then something else.
    TrailingBytes {
        /// How many bytes follow.
        count: usize,
    },
    /// The responder answered without a response.
    ErrorStatus(ErrorStatus),
    /// The response's type is not id-pkix-ocsp-basic.
    NotBasic,
    /// It carries an extension that must be understood and is not.
    CriticalExtension {
        /// Its object identifier in dotted form.
        oid: String,
    },
    /// It holds no status at all.
    NoStatus,
    /// It is about other certificates.
    WrongCertificate {
        /// How the nearest certID differs.
        difference: Difference,
        /// The serial number asked for, in hexadecimal.
        wanted: String,
        /// The serial number of the nearest certID, in hexadecimal.
        found: String,
    },
    /// The certificate is revoked.
    Revoked {
        /// Since when.
        time: UnixTime,
        /// Why, if the responder says.
        reason: Option<Reason>,
    },
    /// Its signer is neither the issuer nor anybody whose certificate came along.
    SignerNotFound,
    /// The certificate that signed it, or the issuer's, is not valid at that time.
    SignerNotValid {
        /// The first second of its validity.
        from: UnixTime,
        /// The last one.
        until: UnixTime,
        /// The time of the check; of a revocation, its thisUpdate.
        now: UnixTime,
    },
    /// The responder does not know the certificate.
    Unknown,
    /// thisUpdate lies in the future.
    NotYetValid {
        /// thisUpdate.
        from: UnixTime,
        /// The time of the check.
        now: UnixTime,
    },
    /// nextUpdate has passed, or what stands in for it.
    Expired {
        /// nextUpdate, or the end of the life allowed without one.
        until: UnixTime,
        /// The time of the check.
        now: UnixTime,
    },
    /// nextUpdate lies before thisUpdate.
    BadTimes {
        /// thisUpdate.
        this_update: UnixTime,
        /// nextUpdate.
        next_update: UnixTime,
    },
}

impl Fault {
    /// A stable word in snake_case, for logs and metrics.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge { .. } => "too_large",
            Self::Pem => "pem",
            Self::Html => "html",
            Self::Text { .. } => "text",
            Self::NotResponse => "not_response",
            Self::Malformed { .. } => "malformed",
            Self::TrailingBytes { .. } => "trailing_bytes",
            Self::ErrorStatus(status) => status.cause(),
            Self::NotBasic => "not_basic",
            Self::CriticalExtension { .. } => "critical_extension",
            Self::NoStatus => "no_status",
            Self::WrongCertificate { difference, .. } => match difference {
                Difference::Serial => "wrong_serial",
                Difference::Issuer => "wrong_issuer",
                Difference::Both => "wrong_certificate",
                Difference::HashAlgorithm => "unknown_hash_algorithm",
            },
            Self::Revoked { .. } => "revoked",
            Self::SignerNotFound => "signer_not_found",
            Self::SignerNotValid { .. } => "signer_expired",
            Self::Unknown => "unknown",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Expired { .. } => "expired",
            Self::BadTimes { .. } => "bad_times",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the response is empty; ask the responder again"),
            Self::TooLarge { length } => write!(
                f,
                "the response has {length} bytes, more than the {MAX_RESPONSE} allowed; \
                 check that the address is an OCSP responder's"
            ),
            Self::Pem => write!(
                f,
                "the response is text (PEM or base64) where DER is needed; \
                 convert it with: sed '/^-----/d' FILE | openssl base64 -d -out FILE.der"
            ),
            Self::Html => write!(
                f,
                "the response is a web page, not OCSP; \
                 check the responder's address and any proxy or login portal before it"
            ),
            Self::Text { beginning } => write!(
                f,
                "the response is text, not OCSP; it begins with \"{beginning}\"; \
                 check the responder's address and any proxy before it"
            ),
            Self::NotResponse => write!(
                f,
                "this is another DER structure (a certificate, CRL or OCSP request?), \
                 not an OCSP response"
            ),
            Self::Malformed { part } => write!(
                f,
                "not a DER OCSP response: {part} is missing or wrong; \
                 the file or transfer may be damaged, fetch it again"
            ),
            Self::TrailingBytes { count } => write!(
                f,
                "{count} bytes follow the response; it must be one DER OCSPResponse and no more"
            ),
            Self::ErrorStatus(status) => write!(
                f,
                "the responder answered {status} instead of a status; {}",
                status.advice()
            ),
            Self::NotBasic => write!(
                f,
                "the response's type is not id-pkix-ocsp-basic, the only one that TLS clients know"
            ),
            Self::CriticalExtension { oid } => write!(
                f,
                "the response has the critical extension {oid}, which is not understood; \
                 configure the responder without it"
            ),
            Self::NoStatus => write!(
                f,
                "the response holds no certificate's status; check the responder's configuration"
            ),
            Self::WrongCertificate {
                difference,
                wanted,
                found,
            } => match difference {
                Difference::Serial => write!(
                    f,
                    "the response is for the certificate with serial {found}, \
                     not {wanted}, of the same issuer; fetch one for this certificate"
                ),
                Difference::Issuer => write!(
                    f,
                    "the response is for serial {found} of another issuer (name or key differ); \
                     check which CA certificate issued this one, a CA may have renewed its key"
                ),
                Difference::Both => write!(
                    f,
                    "the response is for another certificate (serial {found} of another issuer, \
                     not {wanted}); fetch one for this certificate"
                ),
                Difference::HashAlgorithm => write!(
                    f,
                    "the response names its certificate by an unknown hash; \
                     ask with SHA-1 or SHA-256"
                ),
            },
            Self::Revoked { time, reason } => {
                write!(f, "the certificate is revoked since {}", Rfc3339(*time))?;
                if let Some(reason) = reason {
                    write!(f, " ({reason})")?;
                }
                write!(f, "; replace it")
            }
            Self::SignerNotFound => write!(
                f,
                "the response is signed by somebody whose certificate is neither the issuer's nor \
                 with the response; configure the responder to send it along"
            ),
            Self::SignerNotValid { from, until, now } => write!(
                f,
                "the certificate of the response's signer is valid from {} to {} only, and it is \
                 {}; the CA must renew its responder's certificate (or check this machine's clock)",
                Rfc3339(*from),
                Rfc3339(*until),
                Rfc3339(*now)
            ),
            Self::Unknown => write!(
                f,
                "the responder does not know the certificate; \
                 check that it is the issuer's responder and that the CA has published \
                 the certificate to it"
            ),
            Self::NotYetValid { from, now } => write!(
                f,
                "the response is valid from {} only, and it is {}; \
                 check this machine's clock and the responder's",
                Rfc3339(*from),
                Rfc3339(*now)
            ),
            Self::Expired { until, now } => write!(
                f,
                "the response expired at {}, and it is {}; \
                 fetch a new one, and check this machine's clock",
                Rfc3339(*until),
                Rfc3339(*now)
            ),
            Self::BadTimes {
                this_update,
                next_update,
            } => write!(
                f,
                "the response's nextUpdate {} lies before its thisUpdate {}; \
                 the responder is misconfigured",
                Rfc3339(*next_update),
                Rfc3339(*this_update)
            ),
        }
    }
}

impl std::error::Error for Fault {}

impl From<NotDer> for Fault {
    fn from(NotDer(part): NotDer) -> Self {
        Self::Malformed { part }
    }
}

/// What a responder answers when it has no response (RFC 6960, 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorStatus {
    /// malformedRequest (1).
    MalformedRequest,
    /// internalError (2).
    InternalError,
    /// tryLater (3).
    TryLater,
    /// sigRequired (5).
    SigRequired,
    /// unauthorized (6): also the usual answer for a certificate that the
    /// responder has no response for (RFC 5019, 2.2.3).
    Unauthorized,
    /// A number that RFC 6960 does not define.
    Other(u8),
}

impl ErrorStatus {
    /// The status for a number other than successful (0).
    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            1 => Self::MalformedRequest,
            2 => Self::InternalError,
            3 => Self::TryLater,
            5 => Self::SigRequired,
            6 => Self::Unauthorized,
            other => Self::Other(other),
        }
    }

    fn cause(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::InternalError => "internal_error",
            Self::TryLater => "try_later",
            Self::SigRequired => "sig_required",
            Self::Unauthorized => "unauthorized",
            Self::Other(_) => "undefined_error_status",
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::MalformedRequest => {
                "it may not take this form of request: try the other certID hash, or without nonce"
            }
            Self::InternalError | Self::TryLater => "ask again later",
            Self::SigRequired => "it wants signed requests, which are not supported",
            Self::Unauthorized => {
                "it has no response for this certificate, or not for us: \
                 a new certificate may not have reached it yet"
            }
            Self::Other(_) => "check that the address is an OCSP responder's",
        }
    }
}

impl fmt::Display for ErrorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedRequest => write!(f, "malformedRequest"),
            Self::InternalError => write!(f, "internalError"),
            Self::TryLater => write!(f, "tryLater"),
            Self::SigRequired => write!(f, "sigRequired"),
            Self::Unauthorized => write!(f, "unauthorized"),
            Self::Other(number) => write!(f, "status {number}"),
        }
    }
}

/// Why a certificate was revoked (CRLReason, RFC 5280, 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(pub u8);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "unspecified",
            1 => "keyCompromise",
            2 => "cACompromise",
            3 => "affiliationChanged",
            4 => "superseded",
            5 => "cessationOfOperation",
            6 => "certificateHold",
            8 => "removeFromCRL",
            9 => "privilegeWithdrawn",
            10 => "aACompromise",
            number => return write!(f, "reason {number}"),
        };
        write!(f, "{name}")
    }
}
