//! Which loaded image holds an address, and how to keep that image loaded.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::{self, NonNull};

use super::handle;

/// A shared object (or the executable) in this process: where it lies, and a
/// handle that keeps it loaded for good.
pub struct Image {
    start: usize,
    length: usize,
    handle: NonNull<c_void>,
}

// SAFETY: the handle is only given to dlsym, which every thread may call.
unsafe impl Send for Image {}
// SAFETY: as above; the two numbers never change.
unsafe impl Sync for Image {}

/// An image as the loader tells of it.
struct Found {
    address: usize,
    start: usize,
    end: usize,
    /// What is added to the addresses in its file.
    base: usize,
    name: *const libc::c_char,
    is_executable: bool,
    /// Whether the loader has it before this library: executables, what was preloaded
    /// before us, and what was there when we were opened.
    before_us: bool,
}

impl Found {
    /// The image that holds `address`. Takes the loader's lock.
    fn holding(address: usize) -> Option<Found> {
        let mut found = Found {
            address,
            start: 0,
            end: 0,
            base: 0,
            name: ptr::null(),
            // The first one that the loader shows.
            is_executable: true,
            before_us: true,
        };
        // SAFETY: `visit` matches the type that dl_iterate_phdr asks for, and
        // `found` outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut found).cast()) };
        (!found.name.is_null()).then_some(found)
    }

    fn contains(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }
}

impl Image {
    /// Finds the image that holds `address` and pins it. None if no image does.
    ///
    /// Takes the loader's lock: for the first sight of an image only.
    pub fn holding(address: usize) -> Option<Image> {
        let search = Found::holding(address)?;
        // SAFETY: the caller is using the image.
        let handle = unsafe { handle::of(search.base, search.name) };
        clear_dlerror();
        Some(Image {
            start: search.start,
            length: search.end - search.start,
            handle: handle?,
        })
    }

    /// Whether `address` lies in this image: one subtraction and one comparison.
    #[inline(always)]
    pub fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.start) < self.length
    }

    /// Where the image begins.
    pub fn start(&self) -> usize {
        self.start
    }

    /// How many bytes it spans.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The address of `name` as this image and its dependencies define it.
    pub fn symbol(&self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: the handle is open for good, the name is a C string.
        NonNull::new(unsafe { libc::dlsym(self.handle.as_ptr(), name.as_ptr()) })
    }

    /// The address of `name`, only if this very image defines it.
    pub fn own_symbol(&self, name: &CStr) -> Option<NonNull<c_void>> {
        self.symbol(name)
            .filter(|found| self.contains(found.as_ptr() as usize))
    }
}

/// The address of `name` as the image that holds `address`, and its dependencies, define
/// it; None for the executable, whose scope is the global one, and if that is ourselves.
/// None too for an image before us that finds its own: it is preloaded as we are, and
/// came to us because it asked for the next one. The image is not pinned.
pub fn symbol_of_holder(address: usize, name: &CStr) -> Option<NonNull<c_void>> {
    let holder = Found::holding(address)?;
    if holder.is_executable {
        return None;
    }
    // SAFETY: the image's code is calling; the handle is closed here.
    let found = unsafe {
        handle::of(holder.base, holder.name).and_then(|handle| {
            let found = NonNull::new(libc::dlsym(handle.as_ptr(), name.as_ptr()));
            libc::dlclose(handle.as_ptr());
            found
        })
    };
    clear_dlerror();
    let ours = Found::holding(symbol_of_holder as *const () as usize)?;
    found.filter(|found| {
        let found = found.as_ptr() as usize;
        let its_own = holder.before_us && holder.contains(found);
        !its_own && !ours.contains(found)
    })
}

/// The next definition of `name` after this library in the global scope.
pub fn next_in_scope(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the name is a C string; RTLD_NEXT is meant for this use.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    clear_dlerror();
    NonNull::new(found)
}

/// Forgets the message of a look-up of ours that failed, so that the host's
/// next dlerror() does not report it.
pub fn clear_dlerror() {
    // SAFETY: dlerror has no preconditions; its state is per thread.
    unsafe { libc::dlerror() };
}

unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    data: *mut c_void,
) -> c_int {
    // SAFETY: the loader passes a valid description of one image and the
    // pointer to the Found that `holding` gave it.
    let (info, search) = unsafe { (&*info, &mut *data.cast::<Found>()) };
    // SAFETY: dlpi_phdr points to dlpi_phnum program headers of a loaded image.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let (mut start, mut end, mut hit, mut ours) = (usize::MAX, 0, false, false);
    for header in headers.iter().filter(|h| h.p_type == libc::PT_LOAD) {
        let from = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        let to = from.wrapping_add(header.p_memsz as usize);
        hit |= (from..to).contains(&search.address);
        ours |= (from..to).contains(&(visit as *const () as usize));
        start = start.min(from);
        end = end.max(to);
    }
    search.before_us &= !ours;
    if !hit {
        search.is_executable = false;
        return 0;
    }
    (search.start, search.end, search.name) = (start, end, info.dlpi_name);
    search.base = info.dlpi_addr as usize;
    1
}
