//! One handshake, which asks for a staple.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use openssl::ssl::{
    HandshakeError, SslConnector, SslMethod, SslStream, SslVerifyMode, SslVersion, StatusType,
};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509VerifyResult};

use super::connection::Connection;
use super::entries::{self, Entry};
use super::messages;
use crate::libcrypto;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Version {
    /// TLS 1.2
    #[value(name = "1.2")]
    Tls12,
    /// TLS 1.3
    #[value(name = "1.3")]
    Tls13,
}

/// What a client sees of a server.
#[derive(Debug)]
pub struct Seen {
    /// e.g. `TLSv1.3`.
    pub version: &'static str,
    /// The certificates in DER: the server's, then those that it sent and those
    /// that lead from it to a trusted one.
    pub certificates: Vec<Vec<u8>>,
    /// Why the server's certificate is not trusted or not its, if so.
    pub untrusted: Option<String>,
    /// The OCSPResponse stapled for the server's certificate, in DER.
    pub staple: Option<Vec<u8>>,
    /// The chain that was sent above it in TLS 1.3, each certificate with its staple.
    pub chain: Vec<Entry>,
    /// The connection, which stands open until this is dropped.
    open: Option<Open>,
}

impl Seen {
    /// Ends the connection.
    pub fn hang_up(&mut self) {
        self.open = None;
    }
}

/// A connection that is ended politely, if it still can be.
struct Open(SslStream<Connection>);

impl Drop for Open {
    fn drop(&mut self) {
        // What was seen counts without it.
        let _ = self.0.shutdown();
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}

/// Shakes hands as a client of the server `name`, which is also what must stand in
/// the certificate. What is wrong with the certificate does not end the handshake:
/// it is part of what was seen.
pub fn shake(
    connection: Connection,
    name: &str,
    cafile: Option<&Path>,
    version: Option<Version>,
) -> Result<Seen> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    let mut store = X509StoreBuilder::new()?;
    if let Some(file) = cafile {
        // Named authorities stand instead of the system's.
        let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let certificates = X509::stack_from_pem(&pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .with_context(|| format!("{} holds no certificates in PEM", file.display()))?;
        for certificate in certificates {
            store.add_cert(certificate)?;
        }
    } else {
        libcrypto::trust_the_machines(&mut store)?;
    }
    builder.set_cert_store(store.build());
    if let Some(version) = version {
        let version = match version {
            Version::Tls12 => SslVersion::TLS1_2,
            Version::Tls13 => SslVersion::TLS1_3,
        };
        builder.set_min_proto_version(Some(version))?;
        builder.set_max_proto_version(Some(version))?;
    }
    let mut configuration = builder.build().configure()?;
    configuration.set_verify(SslVerifyMode::NONE);
    configuration.set_use_server_name_indication(name.parse::<IpAddr>().is_err());
    let mut ssl = configuration.into_ssl(name)?;
    ssl.set_status_type(StatusType::OCSP)?;
    messages::keep_certificates(&mut ssl);
    let stream = ssl.connect(connection).map_err(explain)?;
    let ssl = stream.ssl();
    let sent = ssl.peer_cert_chain().into_iter().flatten();
    let found = ssl.verified_chain().into_iter().flatten();
    let mut certificates: Vec<Vec<u8>> = Vec::new();
    for certificate in sent.chain(found) {
        let der = certificate.to_der()?;
        if !certificates.contains(&der) {
            certificates.push(der);
        }
    }
    let result = ssl.verify_result();
    let entries = match ssl.version2() {
        Some(SslVersion::TLS1_3) => entries::read(&messages::certificates(ssl)),
        _ => None,
    };
    Ok(Seen {
        version: ssl.version_str(),
        certificates,
        untrusted: (result != X509VerifyResult::OK).then(|| result.error_string().to_owned()),
        staple: ssl.ocsp_status().map(<[u8]>::to_vec),
        chain: entries.into_iter().flatten().skip(1).collect(),
        open: Some(Open(stream)),
    })
}

fn explain(error: HandshakeError<Connection>) -> anyhow::Error {
    let error = match error {
        HandshakeError::SetupFailure(errors) => return errors.into(),
        HandshakeError::Failure(stream) | HandshakeError::WouldBlock(stream) => stream.into_error(),
    };
    let error = match error.into_io_error() {
        Ok(io) => return anyhow::Error::new(io).context("no TLS handshake"),
        Err(error) => error,
    };
    let reason = match error.ssl_error() {
        Some(errors) => {
            let reasons = errors.errors().iter().filter_map(|error| error.reason());
            let reasons: Vec<&str> = reasons.collect();
            let not_tls = [
                "wrong version number",
                "packet length too long",
                "http request",
            ];
            if reasons.iter().any(|reason| not_tls.contains(reason)) {
                format!(
                    "{}; does it speak TLS there, or want --starttls?",
                    reasons.join("; ")
                )
            } else {
                reasons.join("; ")
            }
        }
        None => "the server closed the connection".to_owned(),
    };
    anyhow!("no TLS handshake: {reason}")
}
