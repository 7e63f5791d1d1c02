//! Which C library this program runs with.

// glibc tells its version by a C string only.
#![allow(unsafe_code)]

/// Its name, with its version where it tells one.
pub fn in_words() -> String {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: glibc gives the address of a string of its own that ends with a zero, lasts
        // as long as the process and never changes (gnu_get_libc_version(3)).
        let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
        format!("glibc {}", version.to_string_lossy())
    }
    #[cfg(not(target_env = "gnu"))]
    "musl".to_owned()
}
