//! How this library came into the process, and what the process then said.

use std::ffi::{CStr, c_int, c_void};

/// Whether the process runs with more rights than who started it (setuid, file
/// capabilities): its environment is then not to be trusted.
pub fn securely() -> bool {
    // SAFETY: getauxval takes any number.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The value of an environment variable. It stays where it is as long as the
/// program does not change it: to be copied at once.
pub fn environment_variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: the name is a C string, and so is what getenv returns.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
    }
}

/// Whether this library was preloaded, by LD_PRELOAD or /etc/ld.so.preload, and
/// not linked or opened.
///
/// The loader's list holds the executable, then what is preloaded, then what is
/// linked, then what is opened. So a preloaded library stands before libc,
/// and the executable does not name it as needed.
pub fn by_preload() -> bool {
    let in_environment = environment_variable(c"LD_PRELOAD").is_some_and(|list| {
        list.split(|byte| matches!(byte, b':' | b' '))
            .any(is_our_name)
    });
    in_environment || stands_before_libc()
}

fn is_our_name(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    name.starts_with(b"libstaplegun.so")
}

#[derive(Default)]
struct Order {
    seen: usize,
    linked: bool,
    ours: Option<usize>,
    libc: Option<usize>,
}

fn stands_before_libc() -> bool {
    let mut order = Order::default();
    // SAFETY: `visit` matches the type asked for; `order` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut order).cast()) };
    !order.linked
        && order
            .ours
            .zip(order.libc)
            .is_some_and(|(ours, libc)| ours < libc)
}

unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    data: *mut c_void,
) -> c_int {
    // SAFETY: the loader passes a valid description of one image and the
    // pointer to the Order that `stands_before_libc` gave it.
    let (info, order) = unsafe { (&*info, &mut *data.cast::<Order>()) };
    // SAFETY: dlpi_phdr points to dlpi_phnum program headers of a loaded image.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let base = info.dlpi_addr as usize;
    let holds = |address: usize| {
        headers
            .iter()
            .filter(|h| h.p_type == libc::PT_LOAD)
            .any(|h| {
                let from = base.wrapping_add(h.p_vaddr as usize);
                (from..from.wrapping_add(h.p_memsz as usize)).contains(&address)
            })
    };
    if holds(by_preload as *const () as usize) {
        order.ours = Some(order.seen);
    }
    if holds(libc::getauxval as *const () as usize) {
        order.libc = Some(order.seen);
    }
    if order.seen == 0 {
        let dynamic = headers.iter().find(|h| h.p_type == libc::PT_DYNAMIC);
        order.linked = dynamic.is_some_and(|section| {
            let address = base.wrapping_add(section.p_vaddr as usize);
            // SAFETY: the executable's dynamic section is mapped at this
            // address; where the loader has not relocated the address of its
            // strings in place, the base is still to be added.
            unsafe {
                needs_us(address, |strings| {
                    if holds(strings) {
                        strings
                    } else {
                        base.wrapping_add(strings)
                    }
                })
            }
        });
    }
    order.seen += 1;
    0
}

/// Whether the dynamic section at `address` has a DT_NEEDED entry for us.
///
/// # Safety
/// A dynamic section, ended by DT_NULL, must stand there, and `relocate` must
/// lead from its DT_STRTAB to the strings.
unsafe fn needs_us(address: usize, relocate: impl Fn(usize) -> usize) -> bool {
    const DT_NULL: usize = 0;
    const DT_NEEDED: usize = 1;
    const DT_STRTAB: usize = 5;
    let entries = address as *const [usize; 2];
    // SAFETY: the section is an array of pairs, ended by DT_NULL; the caller
    // vouches for it.
    let entry = |at: usize| unsafe { *entries.add(at) };
    let all = || (0..).map(entry).take_while(|[tag, _]| *tag != DT_NULL);
    let Some([_, strings]) = all().find(|[tag, _]| *tag == DT_STRTAB) else {
        return false;
    };
    let strings = relocate(strings);
    all()
        .filter(|[tag, _]| *tag == DT_NEEDED)
        .any(|[_, offset]| {
            // SAFETY: the offsets of DT_NEEDED lead to C strings in that table.
            let name = unsafe { CStr::from_ptr((strings + offset) as *const _) };
            is_our_name(name.to_bytes())
        })
}
