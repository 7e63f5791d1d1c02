//! `staplegun scan` on real servers and clients, each looked at by its process, since other
//! tests have servers too: what it says of them. Which ports it connects to is in `ports`, how its
//! report is written in `scan_output`.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use staplegun_testkit::directory::Directory;
use staplegun_testkit::hosts::{Host, Nginx, Python, Redis};
use staplegun_testkit::program::Program;
use staplegun_testkit::shim::{self, Shim};
use staplegun_testkit::site::Site;
use staplegun_testkit::wait;

use crate::scanning::{
    PATIENT, RESPONDER, Running, only_row, report, scan, scan_with, with_responder,
};
use crate::support::{PYTHON, STAPLEGUN, Said, compile};

#[test]
fn a_server_without_the_library_is_to_get_it_and_one_with_it_is_stapled() {
    let site = with_responder();
    let plain = Redis.start(&site, &Shim::absent());
    let report_ = report(plain.pid(), 1);
    let row = only_row(&report_);
    assert_eq!(row["name"], "redis-server");
    assert_eq!(row["program"], "/usr/bin/redis-check-rdb");
    assert_eq!(row["status"], "not-stapled");
    assert_eq!(row["cause"], "not_loaded");
    assert_eq!(row["library"], "reachable");
    assert_eq!(
        row["next"],
        "start it by: staplegun run -- redis-server ..."
    );
    assert_eq!(row["tls"][0]["make"], "OpenSSL");
    assert_eq!(row["tls"][0]["origin"], "system");
    assert_eq!(row["certificate"], "localhost");
    assert_eq!(row["responder"], RESPONDER);
    assert_eq!(row["needs_operator"], true);
    let address = format!("127.0.0.1:{}", plain.port());
    assert_eq!(row["ports"][0]["address"], address.as_str());
    drop(plain);

    site.write("response.der", site.good().der());
    let shim = Shim::preloaded().responses(&[&site.path("response.der")]);
    let stapling = Redis.start(&site, &shim);
    let report_ = report(stapling.pid(), 0);
    let row = only_row(&report_);
    assert_eq!(row["status"], "stapled");
    assert_eq!(row["library"], "loaded");
    assert_eq!(row["next"], "nothing to do");
    assert_eq!(row["cause"], Value::Null);
    assert!(row["until"].is_i64(), "{row}");
}

#[test]
fn a_master_and_its_workers_are_one_row_and_nothing_to_staple_is_nothing_to_do() {
    let site = Site::new();
    let server = Nginx::new().start(&site, &Shim::absent());
    let report_ = report(server.pid(), 0);
    let row = only_row(&report_);
    assert_eq!(row["name"], "nginx");
    assert_eq!(row["pids"].as_array().map(Vec::len), Some(3), "{row}");
    assert_eq!(row["status"], "nothing-to-staple");
    assert_eq!(row["cause"], "no_responder");
    assert_eq!(row["next"], "nothing to do: names no responder");
    assert_eq!(row["needs_operator"], false);
    let text = scan(server.pid(), &[]).expect(0).out;
    assert!(text.contains("names no OCSP responder"), "{text}");
    assert_eq!(text.matches("nothing to do").count(), 1, "{text}");
}

#[test]
fn a_response_that_is_the_servers_own_is_judged() {
    let site = with_responder();
    let staple = |der: Vec<u8>| {
        site.write("staple.der", der);
        let path = |name: &str| site.path(name).into_os_string();
        Program::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-quiet"])
            .args([
                "-cert".into(),
                path("cert.pem"),
                "-key".into(),
                path("key.pem"),
            ])
            .args(["-cert_chain".into(), path("chain.pem")])
            .args(["-status_file".into(), path("staple.der")])
            .start()
    };
    let good = staple(site.good().der());
    let report_ = report(good.pid(), 0);
    assert_eq!(only_row(&report_)["status"], "stapled");
    assert_eq!(only_row(&report_)["library"], "reachable");
    let soon = scan(good.pid(), &["--json", "--warn-before", "3650d"]);
    let soon = soon.expect(1).json();
    assert_eq!(only_row(&soon)["status"], "ends-soon");
    let revoked = staple(site.good().revoked().der());
    let report_ = report(revoked.pid(), 1);
    assert_eq!(only_row(&report_)["status"], "revoked");
    assert_eq!(only_row(&report_)["next"], "replace the certificate");
    let stale = staple(site.good().expired().der());
    let report_ = report(stale.pid(), 1);
    assert_eq!(only_row(&report_)["status"], "bad");
    assert_eq!(only_row(&report_)["cause"], "expired");
}

/// Loads a plug-in that serves TLS by an OpenSSL of its own.
const CARRIES: &str = "
import ctypes, socket, sys
listener = socket.create_server(('127.0.0.1', 0))
ctypes.CDLL(sys.argv[1]).serve(listener.fileno(), *[word.encode() for word in sys.argv[2:]])
";

const CARRIED: &str = "
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>
int serve(int listener, const char *chain, const char *key) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate_chain_file(ctx, chain);
    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM);
    for (;;) {
        SSL *ssl = SSL_new(ctx);
        SSL_set_fd(ssl, accept(listener, 0, 0));
        SSL_accept(ssl);
        close(SSL_get_fd(ssl));
        SSL_free(ssl);
    }
}
";

#[test]
fn an_openssl_inside_a_wheel_and_gnutls_cannot_be_reached() {
    let site = with_responder();
    let package = site.path("site-packages/wheel");
    std::fs::create_dir_all(&package).expect("directories");
    let plugin = package.join("_tls.abi3.so");
    let hidden = "-Wl,--exclude-libs,ALL,-Bsymbolic";
    let options = [
        "-shared",
        "-fPIC",
        "-s",
        hidden,
        "-l:libssl.a",
        "-l:libcrypto.a",
    ];
    compile(CARRIED, &plugin, &options);
    let python = Program::new(PYTHON).args(["-c", CARRIES]).arg(&plugin);
    let python = python.args([site.path("chain.pem"), site.path("key.pem")]);
    // The library is in it, and of no use.
    let server = python.preload(&shim::library()).start();
    let report_ = report(server.pid(), 1);
    let row = only_row(&report_);
    assert_eq!(row["library"], "unreachable");
    assert_eq!(row["tls"][0]["origin"], "static");
    assert_eq!(row["cause"], "own_openssl");
    assert!(
        row["reason"].to_string().contains("wheel/_tls.abi3.so"),
        "{row}"
    );
    assert!(
        row["next"].to_string().contains("a TLS proxy before it"),
        "{row}"
    );

    let gnutls = Program::start_on_free_port(|port| {
        Program::new("gnutls-serv")
            .args([
                "--quiet",
                "--echo",
                "--port",
                &port.to_string(),
                "--x509certfile",
            ])
            .arg(site.path("chain.pem"))
            .arg("--x509keyfile")
            .arg(site.path("key.pem"))
    });
    let report_ = report(gnutls.pid(), 1);
    let row = only_row(&report_);
    assert_eq!(row["tls"][0]["make"], "GnuTLS");
    assert_eq!(row["cause"], "other_tls");
    assert_eq!(row["status"], "not-stapled");
}

#[test]
fn a_client_has_a_row_with_its_policy_and_one_that_is_not_in_force_is_told() {
    let client = |library: Option<&Path>| {
        let script = "import ssl, sys\nssl.create_default_context()\nprint('made', flush=True)\nsys.stdin.read()";
        let mut python = Command::new(PYTHON);
        python
            .args(["-c", script])
            .env("STAPLEGUN_CLIENT", "require");
        python.stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(library) = library {
            python.env("LD_PRELOAD", library);
        }
        let mut python = Running(python.spawn().expect("python runs"));
        let out = python.0.stdout.as_mut().expect("a pipe");
        std::io::Read::read_exact(out, &mut [0; 5]).expect("it has made a context");
        python
    };
    let checked = client(Some(&shim::library()));
    let report_ = report(checked.0.id(), 0);
    let row = only_row(&report_);
    assert_eq!(row["status"], "no-port");
    assert_eq!(row["client_policy"], "require");
    assert_eq!(row["library"], "loaded");
    let unchecked = client(None);
    let report_ = report(unchecked.0.id(), 1);
    let rows = report_["rows"].as_array().expect("a list");
    assert_eq!(rows[0]["status"], "unchecked", "{report_}");
    assert_eq!(rows[0]["cause"], "policy_not_in_force");
    let next = format!("staplegun check --pid {}", unchecked.0.id());
    assert_eq!(rows[0]["next"], next.as_str());
}

#[test]
fn another_user_sees_his_own_and_how_many_he_does_not() {
    let site = with_responder();
    // It runs as nobody, this as root.
    let server = Redis.start(&site, &Shim::absent());
    let directory = Directory::new();
    let copy = |from: &Path, name| {
        let to = directory.join(name);
        std::fs::copy(from, &to).expect("it can be copied");
        to
    };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    command.arg(copy(Path::new(STAPLEGUN), "staplegun"));
    command.args(["scan", "--json", &server.pid().to_string()]);
    command.args(PATIENT).arg("--lib");
    command.arg(copy(&shim::library(), "libstaplegun.so"));
    let report_ = Said::by(&mut command).expect(1).json();
    assert_eq!(only_row(&report_)["status"], "not-stapled");
    assert!(report_["hidden"].as_u64() > Some(0), "{report_}");
    // What listens there is seen by its port alone, and so is its certificate.
    let rooted = Nginx::new().start(&site, &Shim::absent());
    command.args(["--probe", &rooted.port().to_string()]);
    let report_ = Said::by(&mut command).expect(1).json();
    let rows = report_["rows"].as_array().expect("a list").iter();
    let port = format!("127.0.0.1:{}", rooted.port());
    let mut ours = rows.filter(|row| row["ports"][0]["address"] == port.as_str());
    let row = ours
        .next()
        .unwrap_or_else(|| panic!("{port} was not probed: {report_}"));
    assert_eq!(row["cause"], "not_seen", "{report_}");
    assert_eq!(row["next"], "staplegun scan, as root");
}

#[test]
fn what_the_agent_knows_of_a_certificate_is_said() {
    let site = with_responder();
    let store = Directory::new();
    let agent = Program::new(STAPLEGUN)
        .args(["agent", "--metrics-port", "0", "--dir"])
        .arg(store.path())
        .start();
    let shim = Shim::preloaded().env("STAPLEGUN_DIR", store.path());
    // The chain lacks the issuer, and the server does not know it otherwise.
    site.write("chain.pem", site.leaf.pem());
    let server = Python::new().start(&site, &shim);
    let row = wait::until("the agent says so", || {
        let report_ = scan_with(&store, server.pid(), &["--json"])
            .expect(1)
            .json();
        let row = only_row(&report_).clone();
        (row["cause"] == "spool_no_issuer").then_some(row)
    });
    assert_eq!(row["library"], "loaded");
    assert_eq!(row["next"], "append the issuer to the certificate's file");
    drop(agent);
    let report_ = scan_with(&store, server.pid(), &["--json"])
        .expect(1)
        .json();
    assert_eq!(only_row(&report_)["cause"], "no_agent");
    assert_eq!(report_["agent_running"], false);
}

#[test]
fn a_program_is_named_by_the_process_that_started_the_others_whatever_their_numbers() {
    let site = with_responder();
    std::fs::create_dir(site.path("sbin")).expect("it is new");
    let master = site.path("sbin/dovecot");
    std::fs::copy("/bin/dash", &master).expect("it can be copied");
    // Where process numbers end, they begin anew.
    let script = "
        echo 3000 > /proc/sys/kernel/ns_last_pid
        \"$1\" -c '
            echo 1000 > /proc/sys/kernel/ns_last_pid
            openssl s_server -accept 127.0.0.1:0 -cert \"$1\" -key \"$2\" > \"$3\" &
            wait
        ' master \"$2\" \"$3\" \"$4\" &
        until grep -q ACCEPT \"$4\"; do sleep 0.01; done
        \"$5\" scan --json --dir \"$6\" 3001
        kill 3001 1001
    ";
    let store = Directory::new();
    let mut command = Command::new("timeout");
    command.env("STAPLEGUN_LIB", shim::library());
    command.args(["60", "unshare", "--pid", "--kill-child", "--mount-proc"]);
    command.args(["sh", "-c", script, "sh"]).arg(&master);
    command
        .arg(site.path("chain.pem"))
        .arg(site.path("key.pem"));
    command
        .arg(site.path("said"))
        .arg(STAPLEGUN)
        .arg(store.path());
    std::fs::write(site.path("said"), "").expect("it can be written");
    let said = Said::by(&mut command);
    let report_ = said.json();
    let row = only_row(&report_);
    assert_eq!(row["name"], "dovecot", "{said:?}");
    let pids = row["pids"].as_array().expect("a list");
    assert!(
        pids.contains(&3001.into()) && pids.contains(&1001.into()),
        "{said:?}"
    );
}
