//! `staplegun check` on programs that can be reached and on each kind that cannot.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use staplegun_testkit::directory::Directory;
use staplegun_testkit::hosts::{Host, Node, Redis};
use staplegun_testkit::program::Program;
use staplegun_testkit::shim::{self, Shim};
use staplegun_testkit::site::Site;

use crate::support::{STAPLEGUN, Said, compile, staplegun};

/// What `check --json` says of a file.
fn checked(path: &Path, status: i32) -> serde_json::Value {
    let path = path.to_str().expect("UTF-8");
    Said::by(&mut staplegun(&["check", "--json", path]))
        .expect(status)
        .json()
}

fn causes(report: &serde_json::Value, effect: &str) -> Vec<String> {
    let findings = report["findings"].as_array().expect("a list").iter();
    findings
        .filter(|finding| finding["effect"] == effect)
        .map(|finding| finding["cause"].as_str().expect("a word").to_owned())
        .collect()
}

#[test]
fn a_program_that_links_openssl_is_reachable_and_its_calls_are_named() {
    let report = checked(Path::new("/usr/bin/openssl"), 0);
    assert_eq!(report["verdict"], "reachable");
    assert_eq!(causes(&report, "allows"), ["libssl"]);
    let calls = report["libssl"][0]["calls"][0]["functions"].to_string();
    assert!(calls.contains("SSL_CTX_new@OPENSSL_3.0.0"), "{calls}");
}

#[test]
fn a_library_that_calls_openssl_for_a_program_is_found() {
    let report = checked(Path::new("/usr/bin/curl"), 0);
    let from = report["libssl"][0]["calls"][0]["from"].to_string();
    assert!(from.contains("libcurl.so"), "{from}");
}

#[test]
fn a_program_whose_plugin_brings_openssl_is_reachable() {
    let report = checked(Path::new("/usr/bin/python3"), 0);
    assert_eq!(causes(&report, "allows"), ["plugin"]);
}

#[test]
fn a_script_leads_to_its_interpreter() {
    let directory = Directory::new();
    let script = directory.write("server", "#!/usr/bin/env -S python3 -u\n");
    let report = checked(&script, 0);
    assert_eq!(causes(&report, "note"), ["script"]);
    assert!(
        report["program"].to_string().contains("python3"),
        "{report}"
    );
    let script = directory.write("starter", "#!/bin/sh\nexec redis-server\n");
    let report = checked(&script, 2);
    assert_eq!(causes(&report, "open"), ["starts_programs"]);
}

#[test]
fn a_static_program_is_not_reachable() {
    let directory = Directory::new();
    let program = directory.join("static");
    compile("int main(void) { return 0; }", &program, &["-static"]);
    let report = checked(&program, 1);
    assert_eq!(causes(&report, "prevents"), ["static"]);
    compile("int main(void) { return 0; }", &program, &["-static-pie"]);
    let report = checked(&program, 1);
    assert_eq!(causes(&report, "prevents"), ["static"]);
}

#[test]
fn an_openssl_inside_the_program_is_not_reachable() {
    let directory = Directory::new();
    let program = directory.join("own");
    let own = "void *SSL_CTX_new(void *m) { return m; } int main(void) { return 0; }";
    compile(own, &program, &["-rdynamic"]);
    let report = checked(&program, 1);
    assert_eq!(causes(&report, "prevents"), ["own_openssl"]);
    // Not visible to the dynamic linker, but in the symbol table.
    compile(own, &program, &[]);
    let report = checked(&program, 1);
    assert_eq!(causes(&report, "prevents"), ["own_openssl"]);
    // Stripped: the names of its source files are left.
    let stripped =
        "const char *volatile file = \"ssl/ssl_lib.c\"; int main(void) { return !file; }";
    compile(stripped, &program, &["-s"]);
    let report = checked(&program, 1);
    assert_eq!(causes(&report, "prevents"), ["own_openssl"]);
}

#[test]
fn node_with_an_openssl_of_its_own_staples_by_a_script() {
    let report = checked(Node::projects_executable(), 0);
    assert_eq!(causes(&report, "allows"), ["node"]);
    assert!(causes(&report, "prevents").is_empty(), "{report}");
}

#[test]
fn a_program_without_openssl_or_a_way_to_it_is_not_reachable() {
    let report = checked(Path::new("/bin/cat"), 1);
    assert_eq!(causes(&report, "prevents"), ["no_openssl"]);
}

#[test]
fn a_program_whose_tls_is_of_another_make_is_not_reachable() {
    // GnuTLS loads its own plug-ins, so that what it brings could load an OpenSSL.
    let report = checked(Path::new("/usr/bin/gnutls-serv"), 1);
    assert_eq!(causes(&report, "prevents"), ["other_tls"]);
    assert!(report.to_string().contains("live-files"), "{report}");
}

#[test]
fn a_program_that_may_load_openssl_later_cannot_be_told() {
    let directory = Directory::new();
    let program = directory.join("loader");
    let source =
        "#include <dlfcn.h>\nint main(int c, char **v) { return !dlopen(v[1], RTLD_NOW); }";
    compile(source, &program, &[]);
    let report = checked(&program, 2);
    assert_eq!(report["verdict"], "cannot_tell");
    assert_eq!(causes(&report, "open"), ["may_load_libssl"]);
    let source =
        "#include <dlfcn.h>\nint main(void) { return !dlopen(\"libssl.so.3\", RTLD_NOW); }";
    compile(source, &program, &[]);
    assert_eq!(causes(&checked(&program, 2), "open"), ["opens_libssl"]);
}

#[test]
fn the_closure_follows_runpath_and_origin() {
    let directory = Directory::new();
    let inner = directory.join("libinner.so");
    let source = "void *SSL_CTX_new(void *); void *f(void) { return SSL_CTX_new(0); }";
    compile(source, &inner, &["-shared", "-fPIC", "-lssl"]);
    let program = directory.join("outer");
    let library = directory.path().to_str().expect("UTF-8");
    compile(
        "void *f(void); int main(void) { return !f(); }",
        &program,
        &["-L", library, "-linner", "-Wl,-rpath,$ORIGIN"],
    );
    let report = checked(&program, 0);
    assert!(
        report["libssl"][0]["needed_by"]
            .to_string()
            .contains("libinner.so"),
        "{report}"
    );
}

#[test]
fn privileges_from_the_file_switch_the_preload_off() {
    let root = Said::by(Command::new("id").arg("-u")).out.trim() == "0";
    assert!(root, "this test makes files of other users: run it as root");
    let directory = Directory::new();
    let program = directory.join("openssl");
    std::fs::copy("/usr/bin/openssl", &program).expect("it can be copied");
    let chmod = |mode| {
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).expect("ours");
    };
    chmod(0o4755);
    // Root gains nothing from root.
    assert_eq!(causes(&checked(&program, 0), "note"), ["setuid"]);
    std::os::unix::fs::chown(&program, Some(65_534), None).expect("as root");
    chmod(0o4755);
    assert_eq!(causes(&checked(&program, 1), "prevents"), ["setuid"]);
    std::os::unix::fs::chown(&program, Some(0), Some(65_534)).expect("as root");
    chmod(0o2755);
    assert_eq!(causes(&checked(&program, 1), "prevents"), ["setgid"]);
    std::os::unix::fs::chown(&program, Some(0), Some(0)).expect("as root");
    chmod(0o755);
    // cap_net_bind_service, permitted and effective, as setcap writes it.
    let set = "import os, struct, sys; os.setxattr(sys.argv[1], 'security.capability', \
               struct.pack('<5I', 0x02000001, 1 << 10, 0, 0, 0))";
    let mut python = Command::new("/usr/bin/python3");
    Said::by(python.args(["-c", set]).arg(&program)).expect(0);
    assert_eq!(causes(&checked(&program, 0), "note"), ["file_capabilities"]);
    // What matters is who would start it. Copies, since that user may not enter
    // the directory of the build.
    let copy = |from: &Path, name| {
        let to = directory.join(name);
        std::fs::copy(from, &to).expect("it can be copied");
        to
    };
    let report = Said::by(
        Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(copy(Path::new(STAPLEGUN), "staplegun"))
            .args(["check", "--json", "--lib"])
            .arg(copy(&shim::library(), "libstaplegun.so"))
            .arg(&program),
    );
    let report = report.expect(1).json();
    assert_eq!(causes(&report, "prevents"), ["file_capabilities"]);
}

#[test]
fn what_is_no_program_is_an_error_and_no_verdict() {
    let directory = Directory::new();
    let text = directory.write("text", "hello");
    let said = Said::by(staplegun(&["check"]).arg(&text)).expect(2);
    assert!(said.err.contains("not an ELF file"), "{said:?}");
    let cut = directory.write(
        "cut",
        &std::fs::read("/bin/cat").expect("it is there")[..1000],
    );
    Said::by(staplegun(&["check"]).arg(&cut)).expect(2);
    let said = Said::by(&mut staplegun(&["check", "no-such-program"])).expect(2);
    assert!(said.err.contains("no such program in PATH"), "{said:?}");
    Said::by(&mut staplegun(&["check"])).expect(64);
}

#[test]
fn a_running_program_with_the_library_is_told_from_one_without() {
    let site = Site::new();
    let with = Redis.start(&site, &Shim::preloaded());
    let pid = with.pid().to_string();
    let report = Said::by(&mut staplegun(&["check", "--json", "--pid", &pid])).expect(0);
    assert_eq!(causes(&report.json(), "allows"), ["both_loaded"]);

    let without = Redis.start(&site, &Shim::absent());
    let pid = without.pid().to_string();
    let report = Said::by(&mut staplegun(&["check", "--json", "--pid", &pid]))
        .expect(1)
        .json();
    assert_eq!(causes(&report, "prevents"), ["not_loaded"]);
    assert!(
        causes(&report, "note").contains(&"libssl_loaded".to_owned()),
        "{report}"
    );

    let disabled = Shim::preloaded().env("STAPLEGUN_DISABLE", "1");
    let server = Program::new("openssl").args(["s_server", "-nocert", "-accept", "127.0.0.1:0"]);
    let disabled = disabled.apply(server).start();
    let pid = disabled.pid().to_string();
    let report = Said::by(&mut staplegun(&["check", "--json", "--pid", &pid]));
    assert_eq!(causes(&report.expect(1).json(), "prevents"), ["disabled"]);
}

#[test]
fn who_may_not_look_into_a_process_is_told_who_may() {
    let directory = Directory::new();
    let copy = directory.join("staplegun");
    std::fs::copy(STAPLEGUN, &copy).expect("it can be copied");
    let library = directory.join("libstaplegun.so");
    std::fs::copy(shim::library(), &library).expect("it can be copied");
    let mut other = Command::new("setpriv");
    other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    other.arg(copy).args(["check", "--lib"]).arg(library);
    other.args(["--pid", &std::process::id().to_string()]);
    let said = Said::by(&mut other).expect(2);
    assert!(said.err.contains("run as its user or as root"), "{said:?}");
}

/// A TLS server with that library preloaded, in a mount namespace of its own where
/// `script` (sh) was run before.
fn server_apart(script: &str, library: &Path) -> Apart {
    let child = Command::new("unshare")
        .args(["-m", "sh", "-ec"])
        .arg(format!(
            "{script}\nLD_PRELOAD={} exec openssl s_server -nocert -accept 127.0.0.1:0",
            library.display()
        ))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let apart = Apart(child.expect("unshare runs"));
    let maps = format!("/proc/{}/maps", apart.0.id());
    staplegun_testkit::wait::until("it has loaded libssl", || {
        let maps = std::fs::read_to_string(&maps).ok()?;
        maps.contains("/libssl.so").then_some(())
    });
    apart
}

/// A child that is ended with the test.
struct Apart(std::process::Child);

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_library_that_is_mapped_but_not_to_be_executed_is_not_loaded() {
    let directory = Directory::new();
    let place = directory.path().display();
    let library = directory.join("libstaplegun.so");
    let mount = |options: &str| {
        format!(
            "mount -t tmpfs -o mode=755,{options} none {place}\ncp {} {place}",
            shim::library().display()
        )
    };
    let server = server_apart(&mount("exec"), &library);
    let pid = server.0.id().to_string();
    let report = Said::by(&mut staplegun(&["check", "--json", "--pid", &pid]));
    assert_eq!(causes(&report.expect(0).json(), "allows"), ["both_loaded"]);

    let script = format!("{}\nexport STAPLEGUN_CLIENT=require", mount("noexec"));
    let server = server_apart(&script, &library);
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.0.id())).expect("it runs");
    let pid = server.0.id().to_string();
    let report = Said::by(&mut staplegun(&["check", "--json", "--pid", &pid]));
    let report = report.expect(1).json();
    let cause = if maps.contains("libstaplegun.so") {
        "not_executable"
    } else {
        // A linker that leaves nothing behind.
        "not_loaded"
    };
    // And a client policy that is not in force is told.
    assert_eq!(causes(&report, "prevents"), [cause, "policy_not_in_force"]);
}

#[test]
fn an_openssl_inside_what_a_process_has_loaded_is_told() {
    let directory = Directory::new();
    let package = directory.join("site-packages/cryptography/hazmat/bindings");
    std::fs::create_dir_all(&package).expect("directories");
    let plugin = package.join("_rust.abi3.so");
    compile(
        "#include <openssl/ssl.h>\nvoid *make(void) { return SSL_CTX_new(TLS_method()); }",
        &plugin,
        &[
            "-shared",
            "-fPIC",
            "-s",
            "-Wl,--exclude-libs,ALL,-Bsymbolic",
            "-l:libssl.a",
            "-l:libcrypto.a",
        ],
    );
    let script = format!(
        "import ctypes, ssl, sys; ssl.create_default_context(); \
         ctypes.CDLL('{}').make(); print('loaded', flush=True); sys.stdin.read()",
        plugin.display()
    );
    for (policy, status, effect) in [("off", 0, "note"), ("verify", 1, "prevents")] {
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", &script]).env("STAPLEGUN_CLIENT", policy);
        python.env("LD_PRELOAD", shim::library());
        python
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped());
        let mut python = Apart(python.spawn().expect("python runs"));
        let mut line = [0; 6];
        let out = python.0.stdout.as_mut().expect("a pipe");
        std::io::Read::read_exact(out, &mut line).expect("it has loaded all");
        let pid = python.0.id().to_string();
        let report = Said::by(&mut staplegun(&["check", "--json", "--pid", &pid]));
        let report = report.expect(status).json();
        assert!(
            causes(&report, effect).contains(&"own_openssl".to_owned()),
            "{report}"
        );
        let text = "TLS of cryptography/_rust.abi3.so is not reached";
        assert!(report.to_string().contains(text), "{report}");
        let is_told = causes(&report, "prevents").contains(&"policy_not_in_force".to_owned());
        assert_eq!(is_told, policy == "verify", "{report}");
    }
}
