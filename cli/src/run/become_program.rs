//! Becoming the program: exec, with what env(1) and nohup(1) do when it fails.

// execve takes raw pointers.
#![allow(unsafe_code)]

use std::ffi::{CString, OsString, c_char};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::{Result, anyhow};

/// A C array of strings for exec.
struct Table {
    pointers: Vec<*const c_char>,
}

impl Table {
    /// Borrows the strings: they must outlive the table.
    fn of(strings: &[CString]) -> Self {
        let pointers = strings.iter().map(|string| string.as_ptr());
        Self {
            pointers: pointers.chain([std::ptr::null()]).collect(),
        }
    }
}

/// Arguments for exec.
///
/// # Errors
///
/// If one holds a NUL byte; the kernel passes none, so only a test could.
pub fn arguments(words: &[OsString]) -> Result<Vec<CString>> {
    let own = |word: &OsString| CString::new(word.clone().into_vec());
    let words: Result<Vec<CString>, _> = words.iter().map(own).collect();
    words.map_err(|_| anyhow!("an argument holds a NUL byte"))
}

/// Replaces this process by the program at `path`; returns only if that fails. A
/// file without a format that the kernel knows is run by the shell, as execvp(3)
/// does.
pub fn exec(path: &Path, arguments: &[CString], environment: &[CString]) -> io::Error {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return io::ErrorKind::InvalidInput.into();
    };
    let error = execve(&path, arguments, environment);
    if error.raw_os_error() != Some(libc::ENOEXEC) {
        return error;
    }
    let shell = c"/bin/sh";
    let rest = arguments.iter().skip(1).cloned();
    let words: Vec<CString> = [shell.to_owned(), path].into_iter().chain(rest).collect();
    execve(shell, &words, environment)
}

fn execve(path: &std::ffi::CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let (arguments, environment) = (Table::of(arguments), Table::of(environment));
    // SAFETY: the path is a C string, and both tables end with NULL and point to
    // C strings that the caller holds during the call.
    unsafe {
        libc::execve(
            path.as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
        )
    };
    io::Error::last_os_error()
}
