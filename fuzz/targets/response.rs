//! The target `response` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| staplegun_fuzz::response::run(data));
