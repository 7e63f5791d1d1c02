//! `OPENSSL_init_ssl`, which programs call when they start: the last chance to map the
//! live map where the first SSL_CTX is made in a chroot, as by Dovecot's login.
//!
//! It has no object that would tell which libssl is meant, so the caller's address tells:
//! a libssl that calls itself means itself, and other code what it is linked with. The
//! address is taken before any code of ours runs.

use std::ffi::{c_int, c_void};

use crate::config;
use crate::host::guard;
use crate::host::route::{self, Callee};
use crate::staples;

/// `OPENSSL_init_ssl` (1.1.0 and later), and on 1.0.2 `SSL_library_init`. If no libssl is
/// found, 1: every libssl that has this function initialises itself when it is used.
///
/// # Safety
/// As for the function of that name in libssl.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn OPENSSL_init_ssl(options: u64, settings: *const c_void) -> c_int {
    #[cfg(target_arch = "x86_64")]
    std::arch::naked_asm!(".cfi_startproc", "mov rdx, [rsp]", "jmp {}", ".cfi_endproc", sym init_ssl);
    #[cfg(target_arch = "aarch64")]
    std::arch::naked_asm!(".cfi_startproc", "mov x2, x30", "b {}", ".cfi_endproc", sym init_ssl);
}

/// # Safety
/// As for `OPENSSL_init_ssl`, which adds the address that it returns to.
unsafe extern "C-unwind" fn init_ssl(
    options: u64,
    settings: *const c_void,
    caller: usize,
) -> c_int {
    // libssl's own calls, of which some come within a handshake.
    // SAFETY: the program's own arguments, to the function it called.
    unsafe {
        if let Some(library) = route::quick_at(caller)
            && let Some(real) = library.entries.OPENSSL_init_ssl
        {
            return real(options, settings);
        }
        called_from_outside(options, settings, caller)
    }
}

/// # Safety
/// As for `init_ssl`.
#[cold]
#[inline(never)]
unsafe extern "C-unwind" fn called_from_outside(
    options: u64,
    settings: *const c_void,
    caller: usize,
) -> c_int {
    let callee = route::for_caller(caller, c"OPENSSL_init_ssl");
    let by_itself = matches!(callee, Some(Callee::Library(library)) if library.contains(caller));
    if !by_itself && !config::get().disabled {
        guard::work((), staples::program_starts);
    }
    let real = match callee {
        Some(Callee::Library(library)) => library.entries.OPENSSL_init_ssl,
        // SAFETY: it has that name, and the caller would have reached it without us.
        Some(Callee::Function(found)) => unsafe {
            let real: unsafe extern "C-unwind" fn(u64, *const c_void) -> c_int =
                std::mem::transmute(found);
            Some(real)
        },
        None => return 1,
    };
    // SAFETY: the program's own arguments, to the function it called.
    real.map_or(0, |real| unsafe { real(options, settings) })
}
