//! Which libcrypto this program verifies with: the machine's or, where a release has to run
//! without one, its own. And whom it trusts then.

use std::sync::LazyLock;

use openssl::error::ErrorStack;
use openssl::ssl::SslFiletype;
use openssl::x509::store::{X509Lookup, X509StoreBuilderRef};

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

/// Whose it is, in one word for metrics.
pub fn from() -> &'static str {
    if cfg!(staplegun_own_openssl) {
        "staplegun"
    } else {
        "machine"
    }
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

/// Adds the authorities that the machine trusts. Each is looked up when it is asked for: libcrypto's
/// own way to its default places (`X509_STORE_set_default_paths`) adds, since 3.0, one that reads
/// each file of the directory at each question.
///
/// # Errors
///
/// If libcrypto has no memory.
pub fn trust_the_machines(store: &mut X509StoreBuilderRef) -> Result<(), ErrorStack> {
    let (file, directories) = places::of_the_machine();
    if let Some(file) = file.as_deref().filter(|file| file.to_str().is_some()) {
        let lookup = store.add_lookup(X509Lookup::file())?;
        // As in libcrypto's own way: what cannot be read is not trusted.
        drop(lookup.load_cert_file(file, SslFiletype::PEM));
    }
    for directory in directories.iter().filter_map(|one| one.to_str()) {
        let lookup = store.add_lookup(X509Lookup::hash_dir())?;
        lookup.add_dir(directory, SslFiletype::PEM)?;
    }
    Ok(())
}

/// Where libcrypto says that the machine keeps them.
#[cfg(not(staplegun_own_openssl))]
mod places {
    // It tells its places by C strings only.
    #![allow(unsafe_code)]

    use std::ffi::{CStr, OsStr, OsString, c_char};
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;

    /// A file, and directories as libcrypto takes them: several in one, with colons between them.
    pub fn of_the_machine() -> (Option<PathBuf>, Vec<OsString>) {
        // SAFETY: each of the four gives the address of a constant string of libcrypto's that
        // ends with a zero (X509_get_default_cert_file(3)).
        let (file, directories) = unsafe {
            (
                place(
                    openssl_sys::X509_get_default_cert_file_env(),
                    openssl_sys::X509_get_default_cert_file(),
                ),
                place(
                    openssl_sys::X509_get_default_cert_dir_env(),
                    openssl_sys::X509_get_default_cert_dir(),
                ),
            )
        };
        (Some(file.into()), vec![directories])
    }

    /// What the variable says, or else the place that was built in.
    ///
    /// # Safety
    ///
    /// Both are C strings that nobody changes.
    unsafe fn place(variable: *const c_char, built_in: *const c_char) -> OsString {
        // SAFETY: the caller's.
        let [variable, built_in] =
            [variable, built_in].map(|text| unsafe { CStr::from_ptr(text) }.to_bytes());
        std::env::var_os(OsStr::from_bytes(variable))
            .unwrap_or_else(|| OsStr::from_bytes(built_in).to_owned())
    }
}

/// Where distributions keep them: a libcrypto that was built elsewhere knows of no place here.
#[cfg(staplegun_own_openssl)]
mod places {
    use std::ffi::OsString;
    use std::path::PathBuf;

    /// A file, and directories.
    fn of_the_machine() -> (Option<PathBuf>, Vec<OsString>) {
        let found = openssl_probe::probe();
        let directories = found.cert_dir.into_iter().map(PathBuf::into_os_string);
        (found.cert_file, directories.collect())
    }
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
