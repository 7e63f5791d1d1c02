//! The target `controls` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: {
        // SAFETY: libFuzzer calls this first, in the process's only thread.
        unsafe { staplegun_fuzz_shim::pki::prepare() }
    },
    |data: &[u8]| staplegun_fuzz_shim::controls::run(data)
);
