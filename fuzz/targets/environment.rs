//! The target `environment` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| staplegun_fuzz_shim::environment::run(data));
