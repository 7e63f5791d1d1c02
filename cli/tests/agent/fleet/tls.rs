//! A Redis with TLS, a certificate of its clients, and the ACL of docs/fleet.md.

use staplegun_testkit::pki::CLIENT_AUTH;
use staplegun_testkit::{Directory, Identity, Response, Spec};

use super::redis::Redis;
use super::{Scene, with_fleet};
use crate::support::PATIENT;

/// The user of docs/fleet.md, which shows this line.
const ACL: &str = "user staplegun on >a-long-password ~sg:1:* &sg:1:* -@all +hello +auth +get \
                   +set +del +pttl +eval +publish +subscribe";
/// And the one of machines that only take.
const ACL_READ: &str = "user staplegun-read on >another-password %R~sg:1:* &sg:1:* -@all +hello \
                        +auth +get +subscribe";

struct Secured {
    redis: Redis,
    /// Of the client.
    files: Directory,
}

fn secured() -> Secured {
    let ca = Identity::self_signed(&Spec::ca("Redis CA"));
    let files = Directory::new();
    let client = ca.issue(&Spec::server().extended_key_usage(&[CLIENT_AUTH]));
    files.write("ca.pem", ca.pem());
    files.write("client.pem", client.pem());
    files.write("client.key", client.key.pem());
    files.write("password", "a-long-password\n");
    files.write("read-password", "another-password\n");
    let server = ca.issue(&Spec::server());
    let path = |name: &str| files.join(name).display().to_string();
    let (cert, key, authority) = (path("client.pem"), path("client.key"), path("ca.pem"));
    let client_words = [
        "--tls", "--cert", &cert, "--key", &key, "--cacert", &authority,
    ];
    let redis = Redis::start_with(
        |directory| {
            directory.write("ca.pem", ca.pem());
            directory.write("server.pem", server.pem());
            directory.write("server.key", server.key.pem());
            directory.write(
                "users.acl",
                format!("user default on nopass ~* &* +@all\n{ACL}\n{ACL_READ}\n"),
            );
            let path = |name: &str| directory.join(name).display().to_string();
            [
                "--tls-port",
                "PORT",
                "--tls-cert-file",
                &path("server.pem"),
                "--tls-key-file",
            ]
            .into_iter()
            .map(str::to_owned)
            .chain([
                path("server.key"),
                "--tls-ca-cert-file".to_owned(),
                path("ca.pem"),
            ])
            .chain(["--aclfile".to_owned(), path("users.acl")])
            .collect()
        },
        &client_words,
    );
    Secured { redis, files }
}

impl Secured {
    fn settings(&self, more: &str) -> String {
        let path = |name: &str| self.files.join(name).display().to_string();
        let fleet = format!(
            "url = 'rediss://localhost:{}'\nca-file = '{}'\ncertificate = '{}'\nkey = '{}'\n{more}",
            self.redis.port(),
            path("ca.pem"),
            path("client.pem"),
            path("client.key"),
        );
        with_fleet(PATIENT, &fleet)
    }

    fn password(&self, user: &str, file: &str) -> String {
        format!(
            "user = '{user}'\npassword-file = '{}'",
            self.files.join(file).display()
        )
    }
}

#[test]
fn with_tls_a_clients_certificate_and_the_documented_acl_all_of_it_works() {
    let scene = Scene::new(4);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let secured = secured();
    let settings = secured.settings(&secured.password("staplegun", "password"));
    let (_machines, agents) = scene.connected_machines(2, &settings);
    agents
        .iter()
        .for_each(|agent| scene.wait_until_served(agent));
    assert_eq!(scene.requests(), 4);
    let read = format!(
        "{}\nmode = 'read'",
        secured.password("staplegun-read", "read-password")
    );
    let machine = scene.machine();
    let agent = machine.start(&secured.settings(&read));
    scene.wait_until_served(&agent);
    assert_eq!(scene.requests(), 4);
    // A back-off, too, is within it.
    let log = secured.redis.ask(&["ACL", "LOG"]);
    assert_eq!(log, "", "nothing was refused");
}

#[test]
fn the_documented_acl_is_the_one_that_is_tested() {
    let page = include_str!("../../../../docs/fleet.md");
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [ACL, ACL_READ] {
        // The passwords are the reader's own.
        let words: Vec<&str> = line
            .split_whitespace()
            .filter(|it| !it.starts_with('>'))
            .collect();
        let (user, rest) = words.split_at(3);
        for part in [user.join(" "), rest.join(" ")] {
            assert!(page.contains(&part), "docs/fleet.md lacks {part:?}");
        }
    }
}

#[test]
fn without_what_tls_wants_there_is_no_connection_and_it_is_said_why() {
    let scene = Scene::new(1);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let secured = secured();
    let port = secured.redis.port();
    let other = Directory::new();
    let authority = Identity::self_signed(&Spec::ca("Another CA"));
    let ca = other.write("ca.pem", authority.pem());
    let ours = secured.files.join("ca.pem");
    for (fleet, word) in [
        (format!("url = 'redis://127.0.0.1:{port}'"), "because="),
        (
            format!("url = 'rediss://localhost:{port}'"),
            "its certificate does not count",
        ),
        (
            format!(
                "url = 'rediss://localhost:{port}'\nca-file = '{}'",
                ca.display()
            ),
            "its certificate does not count",
        ),
        (
            // It names localhost and 127.0.0.1.
            format!(
                "url = 'rediss://127.0.0.2:{port}'\nca-file = '{}'",
                ours.display()
            ),
            "because=",
        ),
        (
            format!(
                "url = 'rediss://localhost:{port}'\nca-file = '{}'",
                ours.display()
            ),
            "because=",
        ),
    ] {
        let machine = scene.machine();
        let agent = machine.start(&with_fleet(PATIENT, &fleet));
        scene.wait_until_served(&agent);
        agent.wait_until_logged("the fleet's store cannot be used");
        agent.wait_until_logged(word);
    }
}
