//! Staple files of no use: nothing is stapled, no handshake suffers, and one
//! line in the log names the file and says what is wrong with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use staplegun_testkit::directory::set_mode;
use staplegun_testkit::hosts::Python;
use staplegun_testkit::response::{self, Fault};
use staplegun_testkit::{Host, Shim, Site, Tls};

/// How the library comes to know of the file.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// It lies beside the certificate.
    Beside,
    /// STAPLEGUN_RESPONSE names it.
    Named,
}

impl Way {
    fn path(self, site: &Site) -> PathBuf {
        match self {
            Self::Beside => site.path("chain.pem.ocsp"),
            Self::Named => site.path("response.der"),
        }
    }

    fn shim(self, site: &Site) -> Shim {
        match self {
            Self::Beside => Shim::preloaded(),
            Self::Named => Shim::preloaded().responses(&[&self.path(site)]),
        }
    }
}

/// Serves with what lies at the file's place and wants it refused.
fn assert_refused(site: &Site, way: Way, what: &str, reason: &str) {
    let host = Python::new();
    let log = site.write_with_mode("log", "", 0o666);
    let mut server = host.start(site, &way.shim(site).log(&log));
    for version in Tls::ALL {
        let client = host.client(&server, site).tls(version);
        client.handshake().assert_no_staple();
    }
    server.stop();
    assert_eq!(server.stdout() + &server.stderr(), "", "{what}");
    let log = std::fs::read_to_string(&log).expect("the log can be read");
    let name = way.path(site).display().to_string();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&name)).collect();
    assert_eq!(lines.len(), 1, "{what}: not one line names {name}: {log}");
    assert!(
        lines[0].contains(reason),
        "{what}: no {reason:?}: {}",
        lines[0]
    );
}

/// Serves with each of the contents, in each of the ways.
fn assert_all_refused(make: impl Fn(&Site) -> Vec<Fault>) {
    let site = Site::new();
    let faults = make(&site);
    for way in [Way::Beside, Way::Named] {
        let path = way.path(&site);
        for fault in &faults {
            let name = path.file_name().and_then(|name| name.to_str());
            site.write(name.expect("UTF-8"), &fault.bytes);
            assert_refused(&site, way, fault.name, reason(fault.name));
        }
        std::fs::remove_file(path).expect("it is ours");
    }
}

/// What the log says of a fault.
fn reason(fault: &str) -> &str {
    match fault {
        "expired" => "expired at",
        "not yet valid" => "valid from",
        "revoked" => "revoked since",
        "unknown" => "does not know the certificate",
        "another serial" => "the certificate with serial",
        "another issuer" => "of another issuer",
        "empty" => "is empty",
        "text" => "web page",
        "PEM" => "PEM",
        "10 MB" => "too many for an OCSP response",
        "trailing bytes" => "8 bytes follow the response",
        "one byte" | "truncated" | "zeroes" => "not ",
        "malformedRequest" | "internalError" | "tryLater" | "sigRequired" | "unauthorized" => fault,
        // Signer or signature; the words are libcrypto's.
        _ => "sign",
    }
}

#[test]
fn responses_that_say_nothing_good_now_of_this_certificate() {
    assert_all_refused(|site| response::content_faults(&site.leaf, &site.root));
}

#[test]
fn responses_signed_by_somebody_who_may_not() {
    assert_all_refused(|site| response::signer_faults(&site.leaf, &site.root));
}

#[test]
fn error_statuses() {
    assert_all_refused(|_| response::error_faults());
}

#[test]
fn garbage() {
    assert_all_refused(|site| response::garbage(&site.good().der()));
}

#[test]
fn what_is_no_file() {
    let site = Site::new();
    let path = Way::Beside.path(&site);
    std::fs::create_dir(&path).expect("it is new");
    assert_refused(&site, Way::Beside, "a directory", "it is a directory");
    std::fs::remove_dir(&path).expect("it is ours");
    for way in [Way::Beside, Way::Named] {
        let path = way.path(&site);
        make_fifo(&path);
        assert_refused(&site, way, "a FIFO", "it is a FIFO");
        std::fs::remove_file(&path).expect("it is ours");
    }
}

#[test]
fn a_file_that_the_server_may_not_read() {
    let site = Site::new();
    for way in [Way::Beside, Way::Named] {
        let path = way.path(&site);
        let name = path.file_name().and_then(|name| name.to_str());
        site.write(name.expect("UTF-8"), site.good().der());
        set_mode(&path, 0o000);
        assert_refused(&site, way, "unreadable", "ermission denied");
        std::fs::remove_file(&path).expect("it is ours");
    }
}

#[test]
fn a_named_file_that_does_not_exist() {
    let site = Site::new();
    assert_refused(&site, Way::Named, "missing", "No such file");
}

fn make_fifo(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status();
    assert!(status.is_ok_and(|status| status.success()), "mkfifo failed");
}
