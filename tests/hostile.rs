//! What a malicious peer, and whoever starts a program with more rights than his own,
//! can do to a process with the library in it: nothing that is not written down.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use staplegun_testkit::clients::{Visit, curl, limited};
use staplegun_testkit::program::Program;
use staplegun_testkit::{Directory, Host, SServer, Shim, Site, Target, Tls, shim};

/// An extension of TLS 1.3 has 64 KiB at most, and what is around the bytes takes some.
const LARGEST: usize = 65_000;
/// nobody's number on every Debian.
const NOBODY: u32 = 65534;

/// One element of DER with a length of three bytes.
fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    let [0, high, middle, low] = u32::try_from(contents.len())
        .expect("it is short enough")
        .to_be_bytes()
    else {
        panic!("it is short enough");
    };
    [&[tag, 0x83, high, middle, low], contents.as_slice()].concat()
}

/// An OCSPResponse (RFC 6960, 4.2.1) that says successful, with so many bytes inside.
fn inflated(bytes: usize) -> Vec<u8> {
    const SUCCESSFUL: &[u8] = &[0x0a, 1, 0];
    const BASIC: &[u8] = &[6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
    let basic = element(4, &[&vec![0; bytes]]);
    let response_bytes = element(0x30, &[BASIC, &basic]);
    element(0x30, &[SUCCESSFUL, &element(0xa0, &[&response_bytes])])
}

/// What curl makes of a server that staples `response`, under a policy.
fn visit(response: &[u8], policy: &str) -> (Visit, String) {
    let site = Site::new();
    site.write("response.der", response);
    let log = site.write("log", "");
    let visit = visit_logging_to(&log, &site, policy);
    (visit, fs::read_to_string(log).expect("a log"))
}

fn visit_logging_to(log: &Path, site: &Site, policy: &str) -> Visit {
    let server = SServer::stapling("response.der").start(site, &Shim::absent());
    let target = Target {
        port: server.port(),
        ca_file: site.path("ca.pem"),
        // In TLS 1.2 libssl takes no more than 16 KiB.
        tls: Tls::V1_3,
    };
    let url = format!("https://localhost:{}/", target.port);
    let shim = Shim::preloaded().env("STAPLEGUN_CLIENT", policy).log(log);
    Visit::of(shim.apply(curl(limited(), &target).arg(url)))
}

#[test]
fn a_staple_of_nonsense_as_large_as_tls_allows_is_refused() {
    for policy in ["verify", "require"] {
        let (visit, log) = visit(&inflated(LARGEST), policy);
        assert!(!visit.accepted, "{policy}: {}", visit.message);
        let reason = "OCSP response: malformed";
        assert!(visit.message.contains(reason), "{}", visit.message);
        assert!(log.contains("warn: refused: localhost"), "{log}");
    }
    let (visit, log) = visit(&inflated(LARGEST), "report");
    assert!(visit.accepted, "{}", visit.message);
    assert!(log.contains("would be refused"), "{log}");
}

/// Else whoever may write the log's directory could have a program write anywhere.
#[test]
fn a_log_that_is_a_link_is_not_written_to() {
    let site = Site::new();
    site.write("response.der", site.good().der());
    let precious = site.write("precious", "");
    let link = site.path("log");
    symlink(&precious, &link).expect("a link");
    let visit = visit_logging_to(&link, &site, "report");
    assert!(visit.accepted, "{}", visit.message);
    assert_eq!(fs::read(&precious).expect("it is there"), b"");
    let visit = visit_logging_to(&precious, &site, "report");
    assert!(visit.accepted, "{}", visit.message);
    assert_ne!(
        fs::read(&precious).expect("it is there"),
        b"",
        "the log is on"
    );
}

/// It tells whether it runs with more rights than who started it, and makes a context,
/// at which the library complains of what it did not understand.
const SETUID: &str = r#"
#include <openssl/ssl.h>
#include <staplegun.h>
#include <stdio.h>
#include <sys/auxv.h>

int main(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    int set = context && SSL_CTX_set_tlsext_status_type(context, TLSEXT_STATUSTYPE_ocsp) == 1;
    printf("secure %lu, set %d\n", getauxval(AT_SECURE), set);
    SSL_CTX_free(context);
    return 0;
}
"#;

/// setuid programs can be linked with the library, though nobody can preload it there.
#[test]
fn under_secure_execution_no_variable_counts() {
    let directory = Directory::new();
    let source = directory.write("setuid.c", SETUID);
    let program = directory.join("setuid");
    let library = directory.join("libstaplegun.so.0");
    fs::copy(shim::library(), &library).expect("the library can be copied");
    let compiled = Command::new("cc")
        .arg(&source)
        .arg("-I")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/include"))
        .arg(&library)
        .args(["-lssl", "-lcrypto"])
        .arg(format!("-Wl,-rpath,{}", directory.path().display()))
        .arg("-o")
        .arg(&program)
        .status();
    assert!(compiled.is_ok_and(|status| status.success()));
    let log = directory.write("log", "");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).expect("it is ours");
    let run = || {
        let output = Program::new(&program)
            .env("STAPLEGUN_LOG", &log)
            .env("STAPLEGUN_SERVER", "nonsense")
            .run();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (said, fs::read_to_string(&log).expect("a log"))
    };
    let (said, logged) = run();
    assert_eq!(said, "secure 0, set 1\n");
    assert!(logged.contains("STAPLEGUN_SERVER"), "{logged}");
    fs::write(&log, "").expect("it is ours");
    chown(&program, Some(NOBODY), None).expect("this test runs as root");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("it was ours");
    let (said, logged) = run();
    let hint = "the temporary directory must not be mounted nosuid";
    assert_eq!(said, "secure 1, set 1\n", "{hint}");
    assert_eq!(logged, "");
}
