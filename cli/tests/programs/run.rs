//! `staplegun run`: the program staples; what cannot be started or reached is said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use staplegun_testkit::directory::Directory;
use staplegun_testkit::hosts::Node;
use staplegun_testkit::judge::Client;
use staplegun_testkit::pki::{Identity, Spec};
use staplegun_testkit::program::Program;
use staplegun_testkit::responder::{OpensslResponder, Status};
use staplegun_testkit::shim;
use staplegun_testkit::site::Site;

use crate::support::{
    STAPLEGUN, Said, agent_of, agents_of, compile, staplegun, wait_for_the_end_of_agents,
};

/// A site whose leaf names a responder that knows it.
fn site_with_responder() -> (Site, OpensslResponder) {
    let root = Identity::self_signed(&Spec::ca("Test root"));
    // The responder must know the serial number before the leaf can know its address.
    let spec = Spec::server().serial(&[0x42; 8]);
    let planned = root.issue(&spec);
    let responder = OpensslResponder::start(&root, &root, &[(&planned, Status::Good)]);
    let leaf = root.issue(&spec.ocsp_url(&responder.url()));
    let mut site = Site::new();
    site.write("ca.pem", root.pem());
    site.write("cert.pem", leaf.pem());
    site.write("chain.pem", leaf.pem() + &root.pem());
    site.write("key.pem", leaf.key.pem());
    site.root = root;
    site.leaf = leaf;
    (site, responder)
}

#[test]
fn the_first_handshake_is_stapled() {
    let (site, _responder) = site_with_responder();
    let path = |name: &str| site.path(name).display().to_string();
    let server = Program::start_on_free_port(|port| {
        Program::new(STAPLEGUN)
            .env("STAPLEGUN_LIB", shim::library())
            .args(["run", "--cert", &path("chain.pem"), "--dir", &path("store")])
            .args(["--", "redis-server", "--bind", "127.0.0.1", "--port", "0"])
            .args([
                "--tls-port",
                &port.to_string(),
                "--tls-auth-clients",
                "no",
                "--save",
                "",
            ])
            .args([
                "--tls-cert-file",
                &path("chain.pem"),
                "--tls-key-file",
                &path("key.pem"),
            ])
            .args(["--tls-ca-cert-file", &path("ca.pem")])
    });
    let handshake = Client::new(server.port(), &site.path("ca.pem")).handshake();
    assert!(handshake.completed, "{}", handshake.output);
    assert_eq!(
        handshake.shown("Cert Status"),
        Some("good"),
        "{}",
        handshake.output
    );
    assert_eq!(server.stderr(), "");
}

/// An https server; its arguments are chain and key.
const APP: &str = "
const [chain, key] = process.argv.slice(1);
const fs = require('fs');
const options = { cert: fs.readFileSync(chain), key: fs.readFileSync(key) };
require('https').createServer(options, (_, answer) => answer.end()).listen(0, '127.0.0.1');
";

#[test]
fn node_with_an_openssl_of_its_own_staples_by_the_script() {
    let (site, _responder) = site_with_responder();
    let path = |name: &str| site.path(name).display().to_string();
    let server = Program::new(STAPLEGUN)
        .env("STAPLEGUN_LIB", shim::library())
        .args(["run", "--wait", "60s", "--dir", &path("store"), "--"])
        .arg(Node::projects_executable())
        .args(["-e", APP, "--", &path("chain.pem"), &path("key.pem")])
        .start();
    let handshake = Client::new(server.port(), &site.path("ca.pem")).handshake();
    assert!(handshake.completed, "{}", handshake.output);
    let status = handshake.shown("Cert Status");
    assert_eq!(status, Some("good"), "{}", handshake.output);
    assert_eq!(server.stderr(), "");
    let pid = server.pid().to_string();
    let said = Said::by(&mut staplegun(&["check", "--json", "--pid", &pid])).expect(0);
    assert!(said.out.contains("\"node_script\""), "{said:?}");
}

#[test]
fn node_that_does_not_start_with_the_script_is_started_without() {
    let directory = Directory::new();
    // It may read nothing, the script included.
    let mut command = staplegun(&["run", "--dir"]);
    command.arg(directory.join("store")).arg("--");
    command.arg(Node::projects_executable());
    command.args([
        "--experimental-permission",
        "-p",
        "process.env.NODE_OPTIONS",
    ]);
    let said = Said::by(&mut command).expect(0);
    assert_eq!(said.out, "undefined\n", "{said:?}");
    assert!(said.err.contains("its servers do not staple"), "{said:?}");
}

#[test]
fn a_policy_does_not_hold_in_node_with_an_openssl_of_its_own() {
    let mut command = staplegun(&["run", "--client", "require", "--"]);
    let said = Said::by(command.arg(Node::projects_executable())).expect(125);
    assert!(
        said.err.contains("the policy would not be in force"),
        "{said:?}"
    );
}

#[test]
fn a_server_that_leaves_its_first_process_is_served_until_it_ends() {
    let (site, _responder) = site_with_responder();
    let path = |name: &str| site.path(name).display().to_string();
    let directory = site.directory.path().display();
    site.write(
        "nginx.conf",
        format!(
            "daemon on; user root; pid {directory}/nginx.pid; error_log {directory}/error.log;\n\
             events {{}}\n\
             http {{ access_log off; client_body_temp_path {directory}/t1;\n\
             proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;\n\
             uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;\n\
             server {{ listen unix:{directory}/socket ssl; ssl_certificate {directory}/chain.pem;\n\
             ssl_certificate_key {directory}/key.pem; }} }}\n"
        ),
    );
    let mut command = staplegun(&["run", "--wait", "60s", "--dir", &path("store"), "--"]);
    command.args(["/usr/sbin/nginx", "-c", &path("nginx.conf")]);
    let child = command.spawn().expect("it can be started");
    let pid = child.id();
    let status = child.wait_with_output().expect("it is our child").status;
    assert!(status.success(), "{status}");
    let master = fs::read_to_string(site.path("nginx.pid")).expect("nginx runs");
    agent_of(pid);
    let client = Said::by(
        Command::new("openssl")
            .args([
                "s_client",
                "-status",
                "-unix",
                &path("socket"),
                "-CAfile",
                &path("ca.pem"),
            ])
            .stdin(Stdio::null()),
    );
    let stapled = client.out.contains("Cert Status: good");
    let agent = agents_of(pid);
    Said::by(Command::new("kill").arg(master.trim())).expect(0);
    assert!(stapled, "{client:?}");
    assert_eq!(agent.len(), 1);
    wait_for_the_end_of_agents(pid);
}

#[test]
fn what_cannot_be_reached_is_refused_with_the_reason() {
    let directory = Directory::new();
    let program = directory.join("static");
    compile("int main(void) { return 7; }", &program, &["-static"]);
    let program = program.to_str().expect("UTF-8");
    let said = Said::by(&mut staplegun(&["run", "--", program])).expect(125);
    assert!(
        said.err.contains("linked statically") && said.err.contains("--force"),
        "{said:?}"
    );
    let store = directory.join("store");
    let store = store.to_str().expect("UTF-8");
    Said::by(&mut staplegun(&["run", "--force", "--dir", store, program])).expect(7);
}

#[test]
fn a_script_whose_interpreter_the_library_does_not_come_into_is_refused() {
    let directory = Directory::new();
    let interpreter = directory.join("static");
    compile("int main(void) { return 7; }", &interpreter, &["-static"]);
    let store = directory.join("store");
    for (number, (first, why)) in [
        (interpreter.display().to_string(), "linked statically"),
        ("/usr/bin/env -S -i python3".to_owned(), "LD_PRELOAD"),
        (
            "/usr/bin/env -S -u LD_PRELOAD python3".to_owned(),
            "LD_PRELOAD",
        ),
        (
            "/usr/bin/env -S LD_PRELOAD= python3".to_owned(),
            "LD_PRELOAD",
        ),
        ("/usr/bin/env -S --frob python3".to_owned(), "--frob"),
    ]
    .into_iter()
    .enumerate()
    {
        let script = directory.write(&format!("script{number}"), format!("#!{first}\n"));
        staplegun_testkit::directory::set_mode(&script, 0o755);
        let mut command = staplegun(&["run", "--client", "require", "--dir"]);
        command.arg(&store).arg("--").arg(&script);
        let said = Said::by(&mut command).expect(125);
        assert!(said.err.contains(why), "{first}: {said:?}");
    }
    let script = directory.write("script", "#!/usr/bin/env -S A=1 python3 -u\nexit(5)\n");
    staplegun_testkit::directory::set_mode(&script, 0o755);
    let formless = directory.write("formless", "exit 5\n");
    staplegun_testkit::directory::set_mode(&formless, 0o755);
    for script in [script, formless] {
        let mut command = staplegun(&["run", "--client", "require", "--dir"]);
        Said::by(command.arg(&store).arg("--").arg(&script)).expect(5);
    }
}

#[test]
fn what_cannot_be_looked_at_is_not_started_with_a_policy() {
    let directory = Directory::new();
    let store = directory.join("store");
    let damaged = directory.write("damaged", "\x7fELF and what no linker reads");
    staplegun_testkit::directory::set_mode(&damaged, 0o755);
    // The kernel does not take it, and a shell finds no such command.
    for (policy, status) in [("verify", 125), ("report", 127)] {
        let mut command = staplegun(&["run", "--client", policy, "--dir"]);
        let said = Said::by(command.arg(&store).arg("--").arg(&damaged)).expect(status);
        let is_told = said.err.contains("it cannot be told whether the policy");
        assert_eq!(is_told, status == 125, "{said:?}");
    }
}

#[test]
fn what_cannot_be_started_has_the_usual_status() {
    let directory = Directory::new();
    let store = directory.join("store");
    let run = |program: &Path| {
        let mut command = staplegun(&["run", "--dir"]);
        Said::by(command.arg(&store).arg(program))
    };
    run(Path::new("no-such-program")).expect(127);
    run(Path::new("/etc/passwd")).expect(126);
    let executable = |name: &str, text: &str| -> PathBuf {
        let path = directory.write(name, text);
        staplegun_testkit::directory::set_mode(&path, 0o755);
        path
    };
    run(&executable("lost", "#!/no/such/interpreter\n")).expect(127);
    // Without a format the shell runs it, as execvp does.
    let said = run(&executable("formless", "echo $LD_PRELOAD; exit 3\n")).expect(3);
    assert!(said.out.contains("libstaplegun.so"), "{said:?}");
    Said::by(&mut staplegun(&["run", "--no-such-option"])).expect(125);
}

#[test]
fn options_become_the_librarys_configuration() {
    let directory = Directory::new();
    let store = directory.join("store");
    let mut command = staplegun(&[
        "run", "--client", "verify", "--wait", "1500ms", "--log", "stderr",
    ]);
    command
        .arg("--dir")
        .arg(&store)
        .args(["--", "/bin/sh", "-c", "env; echo end"])
        .env("LD_PRELOAD", "/no/such.so");
    let said = Said::by(&mut command).expect(0);
    let library = shim::library();
    for line in [
        "STAPLEGUN_CLIENT=verify".to_owned(),
        "STAPLEGUN_WAIT=2s".to_owned(),
        "STAPLEGUN_LOG=stderr".to_owned(),
        format!("STAPLEGUN_DIR={}", store.display()),
        format!("LD_PRELOAD=/no/such.so:{}", library.display()),
    ] {
        assert!(
            said.out.lines().any(|said| said == line),
            "{line}: {said:?}"
        );
    }
}

#[test]
fn the_program_is_started_even_if_no_agent_can_be() {
    let directory = Directory::new();
    let file = directory.write("store", "not a directory");
    let mut command = staplegun(&["run", "--dir"]);
    let said = Said::by(command.arg(&file).args(["--", "sh", "-c", "exit 9"])).expect(9);
    assert!(
        said.err.contains("see why with: staplegun agent"),
        "{said:?}"
    );
}

#[test]
fn a_certificate_that_cannot_be_told_of_is_named_and_the_program_started() {
    let directory = Directory::new();
    let mut command = staplegun(&["run", "--cert", "/no/such.pem", "--dir"]);
    command
        .arg(directory.join("store"))
        .args(["--", "sh", "-c", "exit 9"]);
    let said = Said::by(&mut command).expect(9);
    assert!(said.err.contains("/no/such.pem"), "{said:?}");
}
