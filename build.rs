//! Generates include/staplegun.h from the documented exports, and sets the
//! shared object's name and link arguments.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=src/abi/status.rs");
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-env-changed=STAPLEGUN_WRITE_HEADER");
    link_arguments();
    header();
}

fn link_arguments() {
    for argument in [
        // The name that linked programs ask for: it changes with the ABI only.
        "-Wl,-soname,libstaplegun.so.0",
        // Callbacks of ours stay in OpenSSL's tables: never unload.
        "-Wl,-z,nodelete",
        // All symbols are bound when the library is loaded, not within a handshake.
        "-Wl,-z,now",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}

/// Writes the header to OUT_DIR, where the drift check compares it with the one
/// that is committed; `make header` has it written there too.
fn header() {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let generated = cbindgen::Builder::new()
        .with_config(cbindgen::Config::from_root_or_default(&root))
        .with_src(root.join("src/abi/status.rs"))
        .generate()
        .expect("src/abi/status.rs declares what cbindgen can write in C");
    let mut text = Vec::new();
    generated.write(&mut text);
    let text = for_c_readers(&String::from_utf8(text).expect("cbindgen writes UTF-8"));
    write(&PathBuf::from(variable("OUT_DIR")), &text);
    if std::env::var_os("STAPLEGUN_WRITE_HEADER").is_some() {
        write(&root.join("include"), &text);
    }
}

fn write(directory: &Path, text: &str) {
    let path = directory.join("staplegun.h");
    std::fs::write(&path, text)
        .unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// What rustdoc wants as a section of its own reads on in C.
fn for_c_readers(header: &str) -> String {
    header
        .replace("\n # Safety\n", "\n")
        .replace("  // extern \"C\"", "")
}
