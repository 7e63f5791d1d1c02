//! The target `certificate` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| staplegun_fuzz::certificate::run(data));
