//! What a server can staple, and what each policy must make of it.

use staplegun_testkit::hosts::Nginx;
use staplegun_testkit::program::Server as Running;
use staplegun_testkit::response::error_status;
use staplegun_testkit::{
    Host, Identity, OcspResponseStatus, SServer, Shim, Site, Spec, Target, Tls,
};

/// What is stapled, from the harmless to the forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stapled {
    Good,
    Nothing,
    NothingForMustStaple,
    Revoked,
    Unknown,
    Expired,
    NotYetValid,
    /// A good response for the neighbour's certificate (CVE-2020-8286).
    ForAnother,
    BadSignature,
    /// Signed by a certificate of the issuer that may not sign responses.
    WrongSigner,
    TryLater,
    /// What a responder says of a certificate that it does not know (CVE-2024-8096).
    Unauthorized,
}

/// The policies that look at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Report,
    Verify,
    Require,
}

/// The servers that staple any file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    SServer,
    Nginx,
}

impl Stapled {
    pub const ALL: [Self; 12] = [
        Self::Good,
        Self::Nothing,
        Self::NothingForMustStaple,
        Self::Revoked,
        Self::Unknown,
        Self::Expired,
        Self::NotYetValid,
        Self::ForAnother,
        Self::BadSignature,
        Self::WrongSigner,
        Self::TryLater,
        Self::Unauthorized,
    ];

    /// In the words of the documentation.
    pub fn words(self) -> &'static str {
        match self {
            Self::Good => "a good response",
            Self::Nothing => "nothing",
            Self::NothingForMustStaple => "nothing, for a must-staple certificate",
            Self::Revoked => "status revoked",
            Self::Unknown => "status unknown",
            Self::Expired => "an expired response",
            Self::NotYetValid => "a response of tomorrow",
            Self::ForAnother => "a response for another certificate",
            Self::BadSignature => "a response with a bad signature",
            Self::WrongSigner => "a response signed by who may not",
            Self::TryLater => "tryLater",
            Self::Unauthorized => "unauthorized",
        }
    }

    /// Why a policy refuses it, as on OpenSSL's error queue; None: it accepts.
    pub fn refusal(self, policy: Policy) -> Option<&'static str> {
        if policy == Policy::Report {
            return None;
        }
        match self {
            Self::Good => None,
            Self::Nothing if policy == Policy::Verify => None,
            Self::Nothing | Self::NothingForMustStaple => {
                Some("OCSP response: required and not stapled")
            }
            Self::Revoked => Some("OCSP status: revoked"),
            Self::Unknown => Some("OCSP status: unknown"),
            Self::Expired => Some("OCSP response: expired"),
            Self::NotYetValid => Some("OCSP response: not yet valid"),
            Self::ForAnother => Some("OCSP response: for another certificate"),
            Self::BadSignature | Self::WrongSigner => {
                Some("OCSP response: bad signature or signer")
            }
            Self::TryLater | Self::Unauthorized => Some("OCSP response: error status"),
        }
    }

    /// How a line of the log begins.
    pub fn outcome(self, policy: Policy) -> &'static str {
        match (self.refusal(Policy::Verify), self.refusal(policy)) {
            (None, None) => "accepted",
            (Some(_), None) => "would be refused",
            (_, Some(_)) => "refused",
        }
    }

    /// A part of what a line of the log says of the cause.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Good => "the stapled response is good",
            Self::Nothing | Self::NothingForMustStaple => "no response was stapled",
            Self::Revoked => "is revoked since ",
            Self::Unknown => "does not know the certificate",
            Self::Expired => "expired",
            Self::NotYetValid => "the response is valid from ",
            Self::ForAnother => "the response is for the certificate with serial ",
            Self::BadSignature | Self::WrongSigner => "is not signed by the certificate's issuer",
            Self::TryLater => "tryLater",
            Self::Unauthorized => "unauthorized",
        }
    }

    fn response(self, site: &Site, neighbour: &Identity) -> Option<Vec<u8>> {
        use OcspResponseStatus::{TryLater, Unauthorized};
        let good = site.good();
        Some(match self {
            Self::Good => good.der(),
            Self::Nothing | Self::NothingForMustStaple => return None,
            Self::Revoked => good.revoked().der(),
            Self::Unknown => good.unknown().der(),
            Self::Expired => good.expired().der(),
            Self::NotYetValid => good.not_yet_valid().der(),
            Self::ForAnother => good.serial(neighbour.serial()).der(),
            Self::BadSignature => good.corrupt_signature().der(),
            Self::WrongSigner => good.delegate(neighbour).der(),
            Self::TryLater => error_status(TryLater),
            Self::Unauthorized => error_status(Unauthorized),
        })
    }

    /// A running server that staples it.
    pub fn serve(self, by: Server) -> Scene {
        let spec = match self {
            Self::NothingForMustStaple => Spec::server().must_staple(),
            _ => Spec::server(),
        };
        let site = Site::with_intermediate(&spec);
        let neighbour = site.issuer().issue(&Spec::server());
        let response = self.response(&site, &neighbour);
        const FILE: &str = "response.der";
        if let Some(der) = &response {
            site.write(FILE, der);
        }
        let plain = Shim::absent();
        let server = match (by, response) {
            (Server::SServer, Some(_)) => SServer::stapling(FILE).start(&site, &plain),
            (Server::SServer, None) => SServer::new().start(&site, &plain),
            (Server::Nginx, Some(_)) => Nginx::new().own_response(FILE).start(&site, &plain),
            (Server::Nginx, None) => Nginx::new().start(&site, &plain),
        };
        Scene { server, site }
    }
}

impl Policy {
    pub const ALL: [Self; 3] = [Self::Report, Self::Verify, Self::Require];

    pub fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Verify => "verify",
            Self::Require => "require",
        }
    }

    /// The library preloaded with this policy, and without any other setting.
    pub fn shim(self) -> Shim {
        Shim::preloaded().env("STAPLEGUN_CLIENT", self.name())
    }
}

/// A server with the files it was given. The server goes first.
pub struct Scene {
    pub server: Running,
    pub site: Site,
}

impl Scene {
    pub fn target(&self, tls: Tls) -> Target {
        Target {
            port: self.server.port(),
            ca_file: self.site.path("ca.pem"),
            tls,
        }
    }
}
