//! Each client accepts and refuses as the policy says, and the log says why.

use std::fs;

use staplegun_testkit::{ClientProgram, Tls};

use crate::stapled::{Policy, Scene, Server, Stapled};

/// Whether every client is to meet everything.
pub fn everything() -> bool {
    std::env::var_os("STAPLEGUN_CLIENTS").is_some_and(|value| value == "full")
}

/// Connects once; what is not as it must be is returned in words.
fn visit(
    scene: &Scene,
    client: ClientProgram,
    stapled: Stapled,
    policy: Policy,
    tls: Tls,
) -> Result<(), String> {
    let log = scene.site.write("log", "");
    let visit = client.connect(&scene.target(tls), &policy.shim().log(&log));
    let log = fs::read_to_string(log).expect("the log can be read");
    let refusal = stapled.refusal(policy);
    let serial: String = scene
        .site
        .leaf
        .serial()
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let beginning = format!("{}: localhost (", stapled.outcome(policy));
    let said = log.lines().any(|line| {
        line.contains(&beginning)
            && line.to_lowercase().contains(&format!("serial {serial})"))
            && line.contains(stapled.cause())
    });
    if visit.accepted == refusal.is_none() && said && log.lines().count() == 1 {
        return Ok(());
    }
    Err(format!(
        "{} with {stapled:?} under {} by {tls:?}: {}, log: {log}\n{}",
        client.name(),
        policy.name(),
        if visit.accepted {
            "accepted"
        } else {
            "refused"
        },
        visit.message
    ))
}

/// Every client of the list meets the staples under the policies.
#[track_caller]
fn meet(clients: &[ClientProgram], server: Server, staples: &[Stapled], policies: &[Policy]) {
    let mut wrong = Vec::new();
    for &stapled in staples {
        let scene = stapled.serve(server);
        for &client in clients {
            for &policy in policies {
                for tls in Tls::ALL {
                    wrong.extend(visit(&scene, client, stapled, policy, tls).err());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn curl_accepts_and_refuses_as_the_policy_says() {
    meet(
        &[ClientProgram::Curl],
        Server::SServer,
        &Stapled::ALL,
        &Policy::ALL,
    );
}

#[test]
fn python_accepts_and_refuses_as_the_policy_says() {
    meet(
        &[ClientProgram::Python],
        Server::SServer,
        &Stapled::ALL,
        &Policy::ALL,
    );
}

#[test]
fn every_other_client_accepts_and_refuses_as_the_policy_says() {
    use ClientProgram::{Php, Psql, Ruby, SClient};
    let clients = [Psql, Php, Ruby, SClient];
    if everything() {
        return meet(&clients, Server::SServer, &Stapled::ALL, &Policy::ALL);
    }
    let telling = [Stapled::Nothing, Stapled::Revoked];
    meet(&clients, Server::SServer, &telling, &Policy::ALL);
    meet(
        &clients,
        Server::SServer,
        &[Stapled::Good],
        &[Policy::Require],
    );
}

#[test]
fn the_server_makes_no_difference() {
    if everything() {
        return meet(
            &ClientProgram::ALL,
            Server::Nginx,
            &Stapled::ALL,
            &Policy::ALL,
        );
    }
    let telling = [
        Stapled::Good,
        Stapled::Nothing,
        Stapled::Revoked,
        Stapled::TryLater,
    ];
    meet(
        &[ClientProgram::Curl],
        Server::Nginx,
        &telling,
        &[Policy::Require],
    );
}

/// The alert names the cause for the server, too: bad_certificate_status_response.
#[test]
fn the_server_receives_alert_113() {
    for tls in Tls::ALL {
        let scene = Stapled::Revoked.serve(Server::SServer);
        let visit = ClientProgram::Curl.connect(&scene.target(tls), &Policy::Verify.shim());
        assert!(!visit.accepted, "{}", visit.message);
        staplegun_testkit::wait::until("the server has said what it received", || {
            scene
                .server
                .stderr()
                .contains("SSL alert number 113")
                .then_some(())
        });
    }
}

/// curl prints the first entry of OpenSSL's error queue, Python the last one.
#[test]
fn the_first_entry_of_the_error_queue_is_the_reason() {
    for stapled in Stapled::ALL {
        let Some(reason) = stapled.refusal(Policy::Require) else {
            continue;
        };
        let scene = stapled.serve(Server::SServer);
        let target = scene.target(Tls::V1_3);
        let shim = Policy::Require.shim();
        let curl = ClientProgram::Curl.connect(&target, &shim).message;
        assert!(
            curl.trim_end().ends_with(&format!(":staplegun::{reason}")),
            "{curl}"
        );
        if stapled == Stapled::Revoked {
            let python = ClientProgram::Python.connect(&target, &shim).message;
            assert!(
                python.contains("[SSL: INVALID_STATUS_RESPONSE]"),
                "{python}"
            );
        }
    }
}
