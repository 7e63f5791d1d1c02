//! TLS to the store, by the machine's OpenSSL: whom to believe, and what to show.

use anyhow::Context;
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslMethod, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use staplegun_store::files::read_regular;

use super::settings::FleetSettings;
use crate::libcrypto;

/// The largest file that is read, in bytes.
const MAX_FILE: usize = 64 << 20;

/// By the settings. Made once, since what root can read the agent's user may not be able to.
///
/// # Errors
///
/// If a file cannot be used: which, and why.
pub fn connector(settings: &FleetSettings) -> anyhow::Result<SslConnector> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    let mut store = X509StoreBuilder::new()?;
    match &settings.ca_file {
        None => libcrypto::trust_the_machines(&mut store)?,
        Some(file) => {
            for certificate in stack(file)? {
                store.add_cert(certificate)?;
            }
        }
    }
    builder.set_cert_store(store.build());
    if let (Some(file), Some(key_file)) = (&settings.certificate, &settings.key) {
        let mut chain = stack(file)?.into_iter();
        let first = chain
            .next()
            .with_context(|| format!("{} has no certificate", file.display()))?;
        builder.set_certificate(&first)?;
        for certificate in chain {
            builder.add_extra_chain_cert(certificate)?;
        }
        let key = read_regular(key_file, MAX_FILE)
            .with_context(|| format!("cannot read fleet.key {}", key_file.display()))?;
        let key = PKey::private_key_from_pem(&key)
            .with_context(|| format!("{} is no PEM file of a key", key_file.display()))?;
        builder.set_private_key(&key)?;
        builder.check_private_key().with_context(|| {
            let (file, key_file) = (file.display(), key_file.display());
            format!("{key_file} is not the key of {file}")
        })?;
    }
    Ok(builder.build())
}

fn stack(file: &std::path::Path) -> anyhow::Result<Vec<X509>> {
    let pem =
        read_regular(file, MAX_FILE).with_context(|| format!("cannot read {}", file.display()))?;
    let all = X509::stack_from_pem(&pem)
        .with_context(|| format!("{} is not a PEM file of certificates", file.display()))?;
    anyhow::ensure!(!all.is_empty(), "{} has no certificate", file.display());
    Ok(all)
}
