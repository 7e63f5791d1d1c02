//! The target `headers` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| staplegun_fuzz::headers::run(data));
