//! Programs for another C library or another machine: the library that fits them is taken,
//! and where there is none, it is said before musl ends them for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use staplegun_testkit::directory::Directory;
use staplegun_testkit::shim;

use crate::support::{STAPLEGUN, Said, compile, compile_with, staplegun};

const SAYS_HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }";
const TELLS_PRELOAD: &str = "#include <stdio.h>\n#include <stdlib.h>\n\
    int main(void) { char *p = getenv(\"LD_PRELOAD\"); puts(p ? p : \"none\"); return 0; }";
/// What loads into a program on musl as the library does, and is called as it.
const LIBRARY: &str = "int staplegun_version(void) { return 0; }";

fn musl(source: &str, to: &Path, options: &[&str]) {
    compile_with("musl-gcc", source, to, options);
}

/// What `check --json` says of a file, and what of it prevents.
fn prevented(path: &Path) -> (String, Vec<String>) {
    let said = Said::by(staplegun(&["check", "--json"]).arg(path)).expect(1);
    let report = said.json();
    let findings = report["findings"].as_array().expect("a list").iter();
    let causes = findings
        .filter(|finding| finding["effect"] == "prevents")
        .map(|finding| finding["cause"].as_str().expect("a word").to_owned());
    let causes = causes.collect();
    (said.out, causes)
}

/// A copy of `staplegun` with the library for glibc beside it, which nothing else names.
fn installed(directory: &Directory) -> PathBuf {
    std::fs::create_dir_all(directory.join("bin")).expect("ours");
    std::fs::create_dir_all(directory.join("lib")).expect("ours");
    let program = directory.join("bin/staplegun");
    std::fs::copy(STAPLEGUN, &program).expect("it can be copied");
    std::fs::copy(shim::library(), directory.join("lib/libstaplegun.so.0")).expect("the same");
    program
}

fn by(program: &Path, arguments: &[&str], path: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(path)
        .env_remove("STAPLEGUN_LIB")
        .env_remove("LD_PRELOAD");
    command
}

#[test]
fn a_program_on_musl_is_told_by_its_loader_whatever_that_is_called() {
    let directory = Directory::new();
    let program = directory.join("hello");
    musl(SAYS_HELLO, &program, &[]);
    let (said, causes) = prevented(&program);
    // It has no OpenSSL either.
    assert_eq!(causes[0], "other_libc", "{said}");
    assert!(said.contains("it runs on musl"), "{said}");
    // musl's own name for its loader is that of the C library; others have it elsewhere.
    let loader = directory.join("loader");
    std::os::unix::fs::symlink("/lib/ld-musl-x86_64.so.1", &loader).expect("ours");
    let named = format!("-Wl,-dynamic-linker,{}", loader.display());
    musl(SAYS_HELLO, &program, &[&named]);
    let (said, causes) = prevented(&program);
    assert_eq!(causes[0], "other_libc", "{said}");
}

#[test]
fn a_program_that_musl_would_end_is_refused_and_with_force_started_without_the_library() {
    let directory = Directory::new();
    let program = directory.join("hello");
    musl(SAYS_HELLO, &program, &[]);
    // This is what is refused.
    let died = Command::new(&program)
        .env("LD_PRELOAD", shim::library())
        .output();
    assert_eq!(died.expect("it can be started").status.code(), Some(127));

    let said = Said::by(staplegun(&["run", "--"]).arg(&program)).expect(125);
    assert!(said.err.contains("runs on musl"), "{said:?}");
    assert!(
        said.err.contains("linux-musl/libstaplegun.so.0"),
        "{said:?}"
    );
    let store = directory.join("store");
    let mut forced = staplegun(&["run", "--force", "--dir"]);
    let said = Said::by(forced.arg(&store).arg(&program)).expect(0);
    assert_eq!(said.out, "hello\n");
    assert!(said.err.contains("without the library"), "{said:?}");
}

#[test]
fn the_library_that_fits_the_program_is_taken() {
    let directory = Directory::new();
    let program = installed(&directory);
    let tells = directory.join("tells");
    // Only what may load libssl later can be reached.
    let source =
        format!("#include <dlfcn.h>\nvoid *f(void) {{ return dlopen(\"\", 0); }}\n{TELLS_PRELOAD}");
    musl(&source, &tells, &[]);
    let store = directory.join("store");
    let arguments = ["run", "--dir", store.to_str().expect("UTF-8"), "--"];
    Said::by(&mut by(&program, &arguments, &tells)).expect(125);

    let place = format!("lib/{}-linux-musl", std::env::consts::ARCH);
    std::fs::create_dir_all(directory.join(&place)).expect("ours");
    let for_musl = directory.join(&place).join("libstaplegun.so.0");
    musl(LIBRARY, &for_musl, &["-shared", "-fPIC"]);
    let said = Said::by(&mut by(&program, &arguments, &tells)).expect(0);
    assert_eq!(said.out.trim(), for_musl.to_str().expect("UTF-8"));
    let said = Said::by(&mut by(&program, &["check", "--json"], &tells)).expect(2);
    assert_eq!(said.json()["library"], for_musl.to_str().expect("UTF-8"));

    // And a program on glibc still gets the other one.
    compile(&source, &tells, &[]);
    let said = Said::by(&mut by(&program, &arguments, &tells)).expect(0);
    let for_glibc = directory.join("lib/libstaplegun.so.0");
    assert_eq!(said.out.trim(), for_glibc.to_str().expect("UTF-8"));
    // As in Alpine, where the one library is that for musl.
    std::fs::rename(&for_musl, &for_glibc).expect("ours");
    let said = Said::by(&mut by(&program, &arguments, &tells)).expect(125);
    assert!(said.err.contains("runs on glibc"), "{said:?}");
    musl(&source, &tells, &[]);
    let said = Said::by(&mut by(&program, &arguments, &tells)).expect(0);
    assert_eq!(said.out.trim(), for_glibc.to_str().expect("UTF-8"));
}

#[test]
fn a_libssl_for_musl_is_found_where_musl_would_find_it() {
    let directory = Directory::new();
    let libssl = directory.join("libssl.so.3");
    let inner = directory.join("libinner.so");
    let program = directory.join("outer");
    let shared = |name: &str| format!("-Wl,-soname,{name}");
    let own = "void *SSL_CTX_new(void *m) { return m; }";
    musl(own, &libssl, &["-shared", "-fPIC", &shared("libssl.so.3")]);
    let source = "void *SSL_CTX_new(void *); void *f(void) { return SSL_CTX_new(0); }";
    let libssl_path = libssl.to_str().expect("UTF-8");
    let soname = shared("libinner.so");
    musl(source, &inner, &["-shared", "-fPIC", &soname, libssl_path]);
    // musl looks where the program says for what its libraries need, too.
    let inner_path = inner.to_str().expect("UTF-8");
    musl(
        "void *f(void); int main(void) { return !f(); }",
        &program,
        &[
            inner_path,
            "-Wl,--enable-new-dtags,-rpath,$ORIGIN",
            "-Wl,--allow-shlib-undefined",
        ],
    );
    let said = Said::by(staplegun(&["check", "--json"]).arg(&program)).expect(1);
    let report = said.json();
    assert_eq!(report["libssl"][0]["path"], libssl_path, "{report}");
    assert_eq!(report["libssl"].as_array().expect("a list").len(), 1);
    assert!(!said.out.contains("missing_library"), "{report}");
}

#[test]
fn a_program_for_another_machine_is_refused() {
    let directory = Directory::new();
    let program = directory.join("small");
    let options = [
        "-m32",
        "-nostdlib",
        "-pie",
        "-Wl,--dynamic-linker=/lib/ld-linux.so.2",
    ];
    compile("void _start(void) { for (;;) {} }", &program, &options);
    let (said, causes) = prevented(&program);
    assert_eq!(causes[0], "other_machine", "{said}");
    assert!(said.contains("it is for i386, 32 bits"), "{said}");
    let said = Said::by(staplegun(&["run", "--"]).arg(&program)).expect(125);
    assert!(said.err.contains("i386, 32 bits"), "{said:?}");
}

/// Where qemu is registered with the kernel it could be started, and would then ignore a library
/// that is not for its machine.
#[test]
fn a_program_for_arm64_is_refused() {
    let directory = Directory::new();
    let program = directory.join("hello");
    compile_with("aarch64-linux-gnu-gcc", SAYS_HELLO, &program, &[]);
    let (said, causes) = prevented(&program);
    assert_eq!(causes[0], "other_machine", "{said}");
    assert!(said.contains("it is for AArch64, 64 bits"), "{said}");
    let said = Said::by(staplegun(&["run", "--"]).arg(&program)).expect(125);
    assert!(said.err.contains("AArch64, 64 bits"), "{said:?}");
}
