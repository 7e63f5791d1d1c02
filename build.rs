//! Generates include/staplegun.h from the documented exports, and sets the
//! shared object's name and link arguments.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=src/abi/status.rs");
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-changed=include/staplegun.h");
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

/// Writes the header, unless the one that stands there is the same. A checkout
/// that cannot be written, or a build from a package, keeps what is committed.
fn header() {
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let root = Path::new(&root);
    let config = cbindgen::Config::from_root_or_default(root);
    let generated = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root.join("src/abi/status.rs"))
        .generate();
    let header = match generated {
        Ok(header) => header,
        Err(error) => {
            println!("cargo:warning=include/staplegun.h was not generated: {error}");
            return;
        }
    };
    let path = root.join("include/staplegun.h");
    let mut text = Vec::new();
    header.write(&mut text);
    let text = for_c_readers(&String::from_utf8(text).expect("cbindgen writes UTF-8"));
    if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return;
    }
    if let Err(error) = std::fs::write(&path, text) {
        println!("cargo:warning={} was not written: {error}", path.display());
    }
}

/// What rustdoc wants as a section of its own reads on in C.
fn for_c_readers(header: &str) -> String {
    header
        .replace("\n # Safety\n", "\n")
        .replace("  // extern \"C\"", "")
}
