//! A quiet guest: no thread, no descriptor, no word unless asked, and nothing
//! at all when disabled.

use std::path::Path;

use staplegun_testkit::hosts::Python;
use staplegun_testkit::{Host, Shim, Site, Tls, process, wait};

/// A site with a good response, and a shim that knows it.
fn site_with_response() -> (Site, Vec<u8>, Shim) {
    let site = Site::new();
    let good = site.good().der();
    let shim = Shim::preloaded().responses(&[&site.write("response.der", &good)]);
    (site, good, shim)
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).expect("the log can be read")
}

#[test]
fn disabled_it_does_and_says_nothing() {
    let (site, good, shim) = site_with_response();
    site.write("chain.pem.ocsp", &good);
    let log = site.write_with_mode("log", "", 0o666);
    let shim = shim
        .log(&log)
        .env("STAPLEGUN_LOG_LEVEL", "debug")
        .env("STAPLEGUN_DISABLE", "1");
    let host = Python::new();
    let mut server = host.start(&site, &shim);
    for version in Tls::ALL {
        let client = host.client(&server, &site).tls(version);
        client.handshake().assert_no_staple();
    }
    server.stop();
    assert_eq!(read(&log), "");
    assert_eq!(server.stdout() + &server.stderr(), "");
}

#[test]
fn switched_off_for_servers_it_staples_nothing() {
    let (site, _, shim) = site_with_response();
    let host = Python::new();
    let server = host.start(&site, &shim.env("STAPLEGUN_SERVER", "off"));
    host.client(&server, &site).handshake().assert_no_staple();
}

#[test]
fn unasked_it_writes_nothing_to_either_output() {
    let (site, good, shim) = site_with_response();
    let host = Python::new();
    let mut server = host.start(&site, &shim);
    host.client(&server, &site)
        .handshake()
        .assert_stapled(&good);
    server.stop();
    assert_eq!(server.stdout() + &server.stderr(), "");
}

#[test]
fn every_log_line_names_us_the_process_and_the_level() {
    let (site, good, shim) = site_with_response();
    let host = Python::new();
    let log = site.write_with_mode("log", "", 0o666);
    for target in [log.as_path(), Path::new("stderr")] {
        let shim = shim.clone().log(target).env("STAPLEGUN_LOG_LEVEL", "debug");
        let mut server = host.start(&site, &shim);
        host.client(&server, &site)
            .handshake()
            .assert_stapled(&good);
        server.stop();
        let text = if target == log {
            read(&log)
        } else {
            server.stderr()
        };
        assert!(text.ends_with('\n'), "{text:?}");
        for line in text.lines() {
            let prefix = format!("staplegun[{}]: ", server.pid());
            let level_and_message = line.strip_prefix(&prefix);
            let (level, message) = level_and_message
                .and_then(|rest| rest.split_once(": "))
                .unwrap_or_else(|| panic!("not `staplegun[PID]: LEVEL: message`: {line:?}"));
            assert!(
                ["error", "warn", "info", "debug"].contains(&level),
                "{line:?}"
            );
            assert!(!message.is_empty(), "{line:?}");
        }
    }
}

#[test]
fn a_log_that_cannot_be_written_harms_nothing() {
    let (site, good, shim) = site_with_response();
    let host = Python::new();
    for target in ["/nonexistent/log", "/dev/full", "/"] {
        let shim = shim.clone().log(Path::new(target));
        let mut server = host.start(&site, &shim);
        host.client(&server, &site)
            .handshake()
            .assert_stapled(&good);
        server.stop();
        assert_eq!(server.stdout() + &server.stderr(), "", "{target}");
    }
}

#[test]
fn no_descriptor_is_kept_and_no_thread_is_added() {
    let (site, good, shim) = site_with_response();
    let log = site.write_with_mode("log", "", 0o666);
    let host = Python::new();
    let plain = host.start(&site, &Shim::absent());
    let server = host.start(&site, &shim.log(&log));
    let before = process::descriptors(server.pid());
    assert_eq!(before.len(), process::descriptors(plain.pid()).len());
    for version in Tls::ALL {
        let client = host.client(&server, &site).tls(version);
        client.handshake().assert_stapled(&good);
        assert_eq!(process::threads(server.pid()), 1);
    }
    // The server may still be about to close the client's connection.
    wait::until("only the descriptors of before are open", || {
        (process::descriptors(server.pid()) == before).then_some(())
    });
}
