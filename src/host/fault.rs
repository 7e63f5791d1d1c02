//! Faults on demand, in the test build only (feature `faults`): the host that the
//! shim is tested in says where our part panics, and which functions stand in
//! for OpenSSL's in the tables. Other hosts say nothing, and nothing happens.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::Location;
use std::ptr::{self, NonNull};

/// Whether the guard at a place, told by file and line, is to panic.
type Point = unsafe extern "C" fn(*const c_char, usize, u32) -> c_int;

/// What stands in a table for a function, NULL if it is to be absent.
type Function = unsafe extern "C" fn(*const c_char, *const c_char, *mut c_void) -> *mut c_void;

/// `work`, or a panic in its place if the host wants one where this was called.
#[track_caller]
pub fn or_panic<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let place = Location::caller();
    move || {
        assert!(!panics_at(place), "the host wants a panic here");
        work()
    }
}

fn panics_at(place: &Location<'_>) -> bool {
    let Some(point) = of_host(c"staplegun_fault_point") else {
        return false;
    };
    // SAFETY: the host of the test defines it with this type.
    unsafe {
        let point = std::mem::transmute::<*mut c_void, Point>(point.as_ptr());
        point(
            place.file().as_ptr().cast(),
            place.file().len(),
            place.line(),
        ) != 0
    }
}

/// The function `found` under `name` for a table, or what the host puts there.
pub fn function(
    table: &CStr,
    name: &CStr,
    found: Option<NonNull<c_void>>,
) -> Option<NonNull<c_void>> {
    let Some(function) = of_host(c"staplegun_fault_function") else {
        return found;
    };
    let found = found.map_or(ptr::null_mut(), NonNull::as_ptr);
    // SAFETY: as above; what it returns takes the function's arguments.
    unsafe {
        let function = std::mem::transmute::<*mut c_void, Function>(function.as_ptr());
        NonNull::new(function(table.as_ptr(), name.as_ptr(), found))
    }
}

fn of_host(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the name is a C string.
    let found = NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) });
    super::image::clear_dlerror();
    found
}
