//! Sets the shared object's name and link arguments.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
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
