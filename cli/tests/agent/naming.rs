//! `staplegun add`: what is of no use is told at once, with what to do about it, and
//! its exit status is no success. These tests act as other users, so they need root.

use std::path::Path;
use std::process::{Command, Output};

use staplegun_testkit::directory::set_mode;
use staplegun_testkit::pki::CLIENT_AUTH;
use staplegun_testkit::{Directory, Identity, Spec};

use crate::support::{PATIENT, Store};

const URL: &str = "http://127.0.0.1:9/";

fn ca() -> Identity {
    Identity::self_signed(&Spec::ca("CA"))
}

fn server() -> Spec {
    Spec::server().ocsp_url(URL)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Adds a path, and returns what was said on standard error.
#[track_caller]
fn add(store: &Store, path: &Path, code: i32) -> String {
    let output = store.staplegun(&["add", text(path)]);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    said(&output)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_all(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?}: {said}");
    }
}

fn is_listed(store: &Store, path: &Path) -> bool {
    let list = std::fs::read_to_string(store.directory.join("certificates")).unwrap_or_default();
    list.lines().any(|line| line == text(path))
}

#[test]
fn a_certificate_that_the_agent_refuses_is_told_and_is_no_success() {
    let (ca, store, files) = (ca(), Store::new(), Directory::new());
    let client = server().extended_key_usage(&[CLIENT_AUTH]);
    for (name, pem, words) in [
        (
            "expired.pem",
            ca.issue(&server().expired()).pem(),
            ["expired at", "replace it"],
        ),
        (
            "client.pem",
            ca.issue(&client).pem(),
            ["not for servers", "serverAuth"],
        ),
        (
            "ca-first.pem",
            ca.pem() + &ca.issue(&server()).pem(),
            ["certification authority's", "put the server's own first"],
        ),
        (
            "must.pem",
            ca.issue(&Spec::server().must_staple()).pem(),
            ["must-staple, and no responder", "replace"],
        ),
    ] {
        let said = add(&store, &files.write(name, pem), 1);
        assert_all(&said, &words);
        assert_all(&said, &[name]);
    }
    // The agent has the same to say of what the operator named.
    let _agent = store.start(PATIENT);
    let output = staplegun_testkit::wait::until("the agent has looked", || {
        let output = store.staplegun(&["status", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        (json["certificates"].as_array()?.len() == 4).then_some((output.status.code(), json))
    });
    assert_eq!(output.0, Some(1));
    for one in output.1["certificates"].as_array().expect("a list") {
        assert_eq!(one["needs_operator"], true, "{one}");
        let sentence = one["sentence"].as_str().unwrap_or_default();
        assert!(!sentence.contains("nothing to do"), "{one}");
    }
    // What names no responder is nothing to worry about.
    add(
        &store,
        &files.write("silent.pem", ca.issue(&Spec::server()).pem()),
        0,
    );
    add(
        &store,
        &files.write("good.pem", ca.issue(&server()).pem() + &ca.pem()),
        0,
    );
}

#[test]
fn whom_the_agents_configuration_names_is_who_will_be_asked() {
    let (ca, store, files) = (ca(), Store::new(), Directory::new());
    let anchors = files.write("anchors.pem", ca.pem());
    let settings = format!(
        "trusted-issuers = ['{}']\n[[responder]]\nissuer = '{}'\nurl = 'http://other.invalid/'\n",
        anchors.display(),
        ca.sha256_hex()
    );
    let config = files.write("agent.toml", settings);
    for spec in [server(), Spec::server()] {
        // Alone: its issuer stands where the configuration says.
        let path = files.write("leaf.pem", ca.issue(&spec).pem());
        let output = store.staplegun(&["add", "--config", text(&config), text(&path)]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(
            told.contains("http://other.invalid/") && !told.contains(URL),
            "{told}"
        );
    }
}

#[test]
fn one_that_is_not_there_keeps_no_other_from_being_added() {
    let (ca, store, files) = (ca(), Store::new(), Directory::new());
    let good = files.write("good.pem", ca.issue(&server()).pem());
    let output = store.staplegun(&["add", "/no/such.pem", text(&good)]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_all(&said(&output), &["/no/such.pem"]);
    assert!(is_listed(&store, &good));
    assert!(!is_listed(&store, Path::new("/no/such.pem")));
}

#[test]
fn what_the_agents_user_cannot_read_is_told_before_its_renewal_is_missed() {
    let (ca, store, files) = (ca(), Store::new(), Directory::new());
    let path = files.write("server.pem", ca.issue(&server()).pem() + &ca.pem());
    let agent = store.adopt(store.program(PATIENT).args(["--user", "nobody"]).start());
    add(&store, &path, 0);
    set_mode(&path, 0o640);
    let said = add(&store, &path, 1);
    let hook = format!("staplegun add --renewed {}", path.display());
    assert_all(&said, &["nobody", "renewal will be missed", &hook]);
    // A directory above it, or one that it cannot list.
    set_mode(&path, 0o644);
    set_mode(files.path(), 0o700);
    assert_all(&add(&store, &path, 1), &["renewal will be missed"]);
    set_mode(files.path(), 0o711);
    add(&store, &path, 0);
    let said = add(&store, files.path(), 1);
    assert_all(&said, &["renewal will be missed"]);
    drop(agent);
}

#[test]
fn what_a_unit_hides_from_the_agent_is_told() {
    let (ca, store, files) = (ca(), Store::new(), Directory::new());
    let path = files.write("server.pem", ca.issue(&server()).pem() + &ca.pem());
    // As ProtectHome= does it.
    let script = format!("mount -t tmpfs none {}", files.path().display());
    let agent = store.start_apart(&format!("user = 'nobody'\n{PATIENT}"), &script);
    staplegun_testkit::wait::until("the agent runs", || {
        store.log().contains("filled the live map").then_some(())
    });
    let said = add(&store, &path, 1);
    assert_all(&said, &["nobody", text(&path)]);
    drop(agent);
}

#[test]
fn packed_certificates_are_told_with_the_command_that_converts_them() {
    let (ca, store, files) = (ca(), Store::new(), Directory::new());
    let leaf = ca.issue(&server());
    let pem = files.write("server.pem", leaf.pem() + &ca.pem());
    let make = |words: &str| {
        let command = format!("cd {} && openssl {words}", files.path().display());
        let made = Command::new("sh")
            .args(["-c", &command])
            .output()
            .expect("sh");
        assert!(made.status.success(), "{command}: {made:?}");
    };
    make(&format!(
        "pkcs12 -export -nokeys -in {} -passout pass: -out server.p12",
        text(&pem)
    ));
    make(&format!(
        "crl2pkcs7 -nocrl -certfile {} -out server.p7b",
        text(&pem)
    ));
    make(&format!(
        "crl2pkcs7 -nocrl -certfile {} -outform DER -out server.p7c",
        text(&pem)
    ));
    for (name, kind, password) in [
        ("server.p12", "PKCS #12", " -passin pass:"),
        ("server.p7b", "PKCS #7", ""),
        ("server.p7c", "PKCS #7", ""),
    ] {
        let path = files.join(name);
        let said = add(&store, &path, 1);
        assert_all(&said, &[kind, name]);
        assert!(!is_listed(&store, &path));
        // What is told works.
        let at = said.find("openssl ").unwrap_or_else(|| panic!("{said}"));
        let line = said[at..].lines().next().expect("a line");
        make(&(line["openssl ".len()..].to_owned() + password));
        add(&store, &files.join(&format!("{name}.pem")), 0);
    }
}

#[test]
fn a_directory_that_lies_too_deep_is_told() {
    let (ca, store, files) = (ca(), Store::new(), Directory::new());
    let deep = files.join("site").join("certificates");
    std::fs::create_dir_all(&deep).expect("directories");
    std::fs::write(files.join("site/one.pem"), ca.issue(&server()).pem()).expect("a file");
    add(&store, files.path(), 0);
    std::fs::write(deep.join("two.pem"), ca.issue(&server()).pem()).expect("a file");
    let said = add(&store, files.path(), 1);
    assert_all(
        &said,
        &["too deep", &format!("staplegun add {}", deep.display())],
    );
}
