//! Which libcrypto this program verifies with: the machine's or, where a release has to run
//! without one, its own. And whom it trusts then.

use std::sync::LazyLock;

use openssl::error::ErrorStack;
use openssl::x509::store::X509StoreBuilderRef;

/// What an operator has to know of a libcrypto that is not the machine's; None if it is.
pub fn notice() -> Option<String> {
    cfg!(staplegun_own_openssl).then(|| {
        format!(
            "verifying with {}, which is built in: updates and the FIPS policy of the machine's \
             OpenSSL do not reach it; update staplegun",
            openssl::version::version()
        )
    })
}

/// What `--version` prints, without the name.
pub fn with_version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let libcrypto = notice().unwrap_or_else(|| {
            let version = openssl::version::version();
            format!("verifying with {version}, which is the machine's")
        });
        format!("{}\n{libcrypto}", env!("CARGO_PKG_VERSION"))
    });
    &TEXT
}

/// Adds the authorities that the machine trusts.
///
/// # Errors
///
/// If libcrypto has no memory.
#[cfg(not(staplegun_own_openssl))]
pub fn trust_the_machines(store: &mut X509StoreBuilderRef) -> Result<(), ErrorStack> {
    store.set_default_paths()
}

/// Adds the authorities that the machine trusts, from where distributions keep them: a libcrypto
/// that was built elsewhere knows of no directory here.
///
/// # Errors
///
/// If libcrypto has no memory.
#[cfg(staplegun_own_openssl)]
pub fn trust_the_machines(store: &mut X509StoreBuilderRef) -> Result<(), ErrorStack> {
    use openssl::ssl::SslFiletype;
    use openssl::x509::store::X509Lookup;

    let found = openssl_probe::probe();
    if let Some(file) = found
        .cert_file
        .as_deref()
        .filter(|file| file.to_str().is_some())
    {
        // As with a libcrypto of the machine's: what cannot be read is not trusted.
        drop(
            store
                .add_lookup(X509Lookup::file())?
                .load_cert_file(file, SslFiletype::PEM),
        );
    }
    let directories = found
        .cert_dir
        .iter()
        .filter_map(|directory| directory.to_str());
    for directory in directories {
        let lookup = store.add_lookup(X509Lookup::hash_dir())?;
        lookup.add_dir(directory, SslFiletype::PEM)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{notice, with_version};

    #[test]
    fn the_version_says_which_libcrypto_verifies_and_whose_it_is() {
        let mut lines = with_version().lines();
        assert_eq!(lines.next(), Some(env!("CARGO_PKG_VERSION")));
        let libcrypto = lines.next().expect("a second line");
        assert!(
            libcrypto.contains(openssl::version::version()),
            "{libcrypto}"
        );
        let whose = if cfg!(staplegun_own_openssl) {
            "built in"
        } else {
            "the machine's"
        };
        assert!(libcrypto.contains(whose), "{libcrypto}");
        assert_eq!(notice().is_some(), cfg!(staplegun_own_openssl));
    }
}
