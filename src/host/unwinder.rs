//! The unwinder of the library for musl, for which `tools/musl` links gcc's into it: a
//! container of Alpine need not have one, and a library that is missing would end the program.
//!
//! Two unwinders are in the process then, if the host has one. Neither may look at what the
//! other keeps of a stack: their layouts differ (gcc's, LLVM's), and the host's may be hidden in
//! its executable. So ours unwinds our own panics, which end at the guard and pass no frame of
//! the host's; and where the host's asks our frames what they have to do, they have nothing to
//! do. They hold nothing that a host's exception would have to release (`guard.rs`); programs
//! leave them by longjmp as well.
//!
//! Rust's personality routine asks about a frame by three functions of the unwinder. They stand
//! here, before gcc's, and answer for a foreign unwinder as for a frame without a table.

use std::arch::global_asm;
use std::cell::Cell;
use std::ffi::{c_int, c_void};

thread_local! {
    /// Whether a panic of ours is on its way through our frames.
    static PANICKING: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C-unwind" {
    fn staplegun_own_Unwind_RaiseException(exception: *mut c_void) -> c_int;
}

unsafe extern "C" {
    fn staplegun_own_Unwind_GetLanguageSpecificData(context: *mut c_void) -> *const c_void;
    fn staplegun_own_Unwind_GetIPInfo(context: *mut c_void, before: *mut c_int) -> usize;
    fn staplegun_own_Unwind_GetRegionStart(context: *mut c_void) -> usize;
}

// Under the names that Rust's runtime has for them, and seen by nobody else.
global_asm!(
    ".macro hidden_jump name, target",
    ".globl \\name",
    ".hidden \\name",
    ".type \\name, @function",
    "\\name:",
    ".cfi_startproc",
    #[cfg(target_arch = "x86_64")]
    "jmp \\target",
    #[cfg(target_arch = "aarch64")]
    "b \\target",
    ".cfi_endproc",
    ".size \\name, . - \\name",
    ".endm",
    ".text",
    "hidden_jump _Unwind_RaiseException, {raise}",
    "hidden_jump _Unwind_GetLanguageSpecificData, {table}",
    "hidden_jump _Unwind_GetIPInfo, {place}",
    "hidden_jump _Unwind_GetRegionStart, {start}",
    raise = sym raise_exception,
    table = sym language_specific_data,
    place = sym ip_info,
    start = sym region_start,
);

/// A panic of ours begins.
unsafe extern "C-unwind" fn raise_exception(exception: *mut c_void) -> c_int {
    PANICKING.set(true);
    // SAFETY: Rust's runtime raises the exception that it made. It returns only where no
    // guard was found, and then the runtime ends the process.
    unsafe { staplegun_own_Unwind_RaiseException(exception) }
}

/// A panic of ours has ended at the guard.
pub fn panic_ended() {
    PANICKING.set(false);
}

unsafe extern "C" fn language_specific_data(context: *mut c_void) -> *const c_void {
    if !PANICKING.get() {
        return std::ptr::null();
    }
    // SAFETY: the context is our own unwinder's.
    unsafe { staplegun_own_Unwind_GetLanguageSpecificData(context) }
}

unsafe extern "C" fn ip_info(context: *mut c_void, before: *mut c_int) -> usize {
    if !PANICKING.get() {
        // Not looked at without a table; not 0, since 1 is subtracted from it.
        return 1;
    }
    // SAFETY: as above; `before` is the caller's own.
    unsafe { staplegun_own_Unwind_GetIPInfo(context, before) }
}

unsafe extern "C" fn region_start(context: *mut c_void) -> usize {
    if !PANICKING.get() {
        return 0;
    }
    // SAFETY: as above.
    unsafe { staplegun_own_Unwind_GetRegionStart(context) }
}
