//! The loader's handle of an image that is loaded, without a look at any file.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;

/// The handle of the image with this base and name, with a reference that keeps it loaded.
///
/// RTLD_NOLOAD loads nothing, and glibc knows the name that it gave itself.
///
/// # Safety
/// Both must be as the loader tells of an image that stays loaded meanwhile.
#[cfg(not(target_env = "musl"))]
pub unsafe fn of(_base: usize, name: *const c_char) -> Option<NonNull<c_void>> {
    // SAFETY: the loader's name is a C string. The executable's is empty; it is had by NULL.
    let handle = unsafe {
        let name = if *name == 0 { std::ptr::null() } else { name };
        libc::dlopen(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD)
    };
    NonNull::new(handle)
}

/// The same on musl, which would open the file to see whether it is one that it has: that is
/// not there after a chroot, and may not be opened under a system-call filter. There the list
/// of images is one of handles, each of which the loader looks up again before it is used; and
/// nothing is ever unloaded.
///
/// # Safety
/// As above.
#[cfg(target_env = "musl")]
pub unsafe fn of(base: usize, name: *const c_char) -> Option<NonNull<c_void>> {
    /// `struct link_map` of link.h.
    #[repr(C)]
    struct LinkMap {
        base: usize,
        name: *const c_char,
        dynamic: *const c_void,
        next: *const LinkMap,
        previous: *const LinkMap,
    }
    /// RTLD_DI_LINKMAP of dlfcn.h.
    const LINK_MAP: i32 = 2;
    unsafe extern "C" {
        fn dlinfo(handle: *mut c_void, request: i32, answer: *mut c_void) -> i32;
    }
    // SAFETY: NULL is the executable, whose map is the first; dlinfo writes one pointer.
    let map_of = |handle: *mut c_void| unsafe {
        let mut map: *const LinkMap = std::ptr::null();
        (dlinfo(handle, LINK_MAP, (&raw mut map).cast()) == 0).then_some(map)
    };
    // SAFETY: it has no preconditions, and opens no file for NULL.
    let mut map = map_of(unsafe { libc::dlopen(std::ptr::null(), libc::RTLD_LAZY) })?;
    // SAFETY: the list ends with NULL, and members up to an image that is in use are never freed; a
    // dlopen that fails frees only what it has put behind them. The image is in use, and the walk ends
    // at it.
    while let Some(image) = unsafe { map.as_ref() } {
        if image.base == base && image.name == name {
            let handle = map.cast_mut().cast::<c_void>();
            return (map_of(handle)? == map).then(|| NonNull::new(handle))?;
        }
        map = image.next;
    }
    None
}
