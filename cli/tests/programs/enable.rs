//! `staplegun enable` and `disable` where there is nothing to enable. What they do for real
//! services is tried on a machine of its own: tools/systemd-life.

use crate::machine::Machine;
use crate::support::{Said, staplegun};

#[test]
fn without_systemd_or_without_such_a_unit_nothing_is_done() {
    let why = if std::path::Path::new("/run/systemd/system").exists() {
        "there is no such unit"
    } else {
        "systemd does not run this machine"
    };
    for command in ["enable", "disable"] {
        let words = [command, "--dry-run", "no-such-unit-of-ours"];
        let mut command = staplegun(&words);
        // This library lies where only its owner may be able to read it.
        command.env_remove("STAPLEGUN_LIB");
        let said = Said::by(&mut command);
        assert_eq!(said.status, 1, "{said:?}");
        assert!(said.err.contains(why), "{said:?}");
        assert_eq!(said.out, "");
    }
}

#[test]
fn each_wants_a_unit() {
    for words in [&["enable"][..], &["disable"], &["disable", "--all", "x"]] {
        let said = Said::by(&mut staplegun(words));
        assert_eq!(said.status, 64, "{said:?}");
    }
    let said = Said::by(&mut staplegun(&["enable", "--help"]));
    assert!(said.out.contains("Exit status: 0 "), "{said:?}");
}

/// The list of what the agent looks after.
const LIST: &str = "/var/lib/staplegun/certificates";

#[test]
fn a_certificate_stays_named_for_as_long_as_a_server_that_shows_it_is_enabled() {
    for order in [["postfix", "dovecot"], ["dovecot", "postfix"]] {
        let Some(machine) = Machine::new() else {
            return;
        };
        for unit in order {
            Said::by(&mut machine.staplegun(&["enable", unit])).expect(0);
        }
        let named = Some("/opt/shared.pem\n".to_owned());
        assert_eq!(machine.read(LIST), named);
        Said::by(&mut machine.staplegun(&["disable", order[0]])).expect(0);
        assert_eq!(machine.read(LIST), named, "{order:?}");
        Said::by(&mut machine.staplegun(&["disable", order[1]])).expect(0);
        assert_eq!(machine.read(LIST).as_deref(), Some(""), "{order:?}");
    }
}

#[test]
fn what_several_servers_named_is_not_named_any_more_when_all_was_taken_back() {
    let Some(machine) = Machine::new() else {
        return;
    };
    // They do not run: no policy is in force.
    let words = ["enable", "--client", "require", "postfix", "dovecot"];
    let said = Said::by(&mut machine.staplegun(&words)).expect(1);
    assert_eq!(
        said.out.matches("all was taken back").count(),
        2,
        "{said:?}"
    );
    assert_eq!(machine.read(LIST).as_deref(), Some(""), "{said:?}");
    Said::by(&mut machine.staplegun(&["enable", "dovecot"])).expect(0);
    let words = ["enable", "--client", "require", "postfix"];
    Said::by(&mut machine.staplegun(&words)).expect(1);
    assert_eq!(machine.read(LIST).as_deref(), Some("/opt/shared.pem\n"));
}

/// Where nothing can be written to.
fn full() -> std::fs::File {
    let file = std::fs::File::options().write(true).open("/dev/full");
    file.expect("the system has it")
}

#[test]
fn what_is_done_does_not_depend_on_whether_it_can_be_told() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let main_cf = machine.read("/etc/postfix/main.cf");
    let drop_in = "/etc/systemd/system/postfix.service.d/staplegun.conf";
    let said = Said::by(machine.staplegun(&["enable", "postfix"]).stdout(full())).expect(0);
    assert!(said.err.contains("wrote /etc/systemd/system/"), "{said:?}");
    assert!(machine.read(drop_in).is_some());
    assert_ne!(machine.read("/etc/postfix/main.cf"), main_cf);
    assert_eq!(machine.read(LIST).as_deref(), Some("/opt/shared.pem\n"));
    let said = Said::by(machine.staplegun(&["disable", "postfix"]).stdout(full())).expect(0);
    assert!(
        said.err.contains("removed /etc/systemd/system/"),
        "{said:?}"
    );
    assert_eq!(machine.read(drop_in), None);
    assert_eq!(machine.read("/etc/postfix/main.cf"), main_cf);
    assert_eq!(machine.read(LIST).as_deref(), Some(""));
}

#[test]
fn of_a_group_what_was_disabled_takes_effect_whatever_the_others_say() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let group = "Id=mail.target\nLoadState=loaded\nActiveState=active\n\
                 ConsistsOf=postfix.service dovecot.service\n";
    machine.write("/opt/units/mail.target", group);
    Said::by(&mut machine.staplegun(&["enable", "mail.target"])).expect(0);
    let drop_in = "/etc/systemd/system/dovecot.service.d/staplegun.conf";
    let changed = machine.read(drop_in).expect("it is there") + "# mine\n";
    machine.write(drop_in, &changed);
    machine.write("/opt/systemctl.log", "");
    let said = Said::by(&mut machine.staplegun(&["disable", "mail.target"])).expect(1);
    assert!(said.err.contains("was changed since"), "{said:?}");
    assert_eq!(
        machine.read("/opt/systemctl.log").as_deref(),
        Some("daemon-reload\n")
    );
}

#[test]
fn enabled_again_for_what_has_changed_it_is_all_undone_in_the_end() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let environment = "A=1\nLD_PRELOAD=/opt/other.so\n";
    machine.write("/opt/environment", environment);
    let file = "EnvironmentFiles=/opt/environment (ignore_errors=no)\n";
    machine.unit("app", "/usr/bin/openssl", file);
    Said::by(&mut machine.staplegun(&["enable", "app", "postfix"])).expect(0);
    assert_ne!(
        machine.read("/opt/environment").as_deref(),
        Some(environment)
    );
    // Both have their environment, and the certificate, from elsewhere now.
    machine.unit("app", "/usr/bin/openssl", "");
    let before = machine.read("/etc/postfix/main.cf").expect("it is there");
    machine.write("/opt/other.pem", "");
    let after = before.replace("shared.pem", "other.pem");
    machine.write("/etc/postfix/main.cf", &after);
    for _ in 0..2 {
        Said::by(&mut machine.staplegun(&["enable", "app", "postfix"])).expect(0);
    }
    let said = Said::by(&mut machine.staplegun(&["enable", "app", "postfix"])).expect(0);
    assert_eq!(
        said.out.matches("it is enabled already").count(),
        2,
        "{said:?}"
    );
    let named = Some("/opt/shared.pem\n/opt/other.pem\n".to_owned());
    assert_eq!(machine.read(LIST), named);
    Said::by(&mut machine.staplegun(&["disable", "--all"])).expect(0);
    assert_eq!(
        machine.read("/opt/environment").as_deref(),
        Some(environment)
    );
    assert_eq!(machine.read(LIST).as_deref(), Some(""));
    assert!(
        !machine
            .read("/etc/postfix/main.cf")
            .unwrap_or_default()
            .contains("LD_PRELOAD")
    );
}

#[test]
fn a_directory_goes_with_its_last_file_only_if_it_was_made_for_it() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let directories = ["postfix", "dovecot"].map(|unit| {
        let path = format!("/etc/systemd/system/{unit}.service.d");
        machine.path(&path)
    });
    std::fs::create_dir(&directories[0]).expect("it can be made");
    // Twice, since the second time the other one is there as well.
    for _ in 0..2 {
        Said::by(&mut machine.staplegun(&["enable", "postfix", "dovecot"])).expect(0);
        // Before it had nothing to say, the drop-in is written again.
        machine.unit("dovecot", "/usr/sbin/dovecot", "ProtectSystem=strict\n");
    }
    Said::by(&mut machine.staplegun(&["disable", "--all"])).expect(0);
    assert!(directories[0].is_dir(), "it was there before");
    assert!(!directories[1].exists(), "nobody else made it");
    // Taken back, too.
    let words = ["enable", "--client", "require", "postfix", "dovecot"];
    Said::by(&mut machine.staplegun(&words)).expect(1);
    assert!(directories[0].is_dir() && !directories[1].exists());
}
