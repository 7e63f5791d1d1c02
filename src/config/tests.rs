//! What README's table of variables says of each.

use super::*;

fn read(pairs: &[(&CStr, &'static str)], preloaded: bool) -> Config {
    let lookup = |name: &CStr| -> Option<&'static [u8]> {
        let found = pairs.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_bytes())
    };
    Config::read(&lookup, preloaded)
}

/// What each of the values means, in a library that is preloaded.
fn each<M>(name: &CStr, values: &[&'static str], meaning: impl Fn(&Config) -> M) -> Vec<M> {
    let read = |value: &&'static str| meaning(&read(&[(name, *value)], true));
    values.iter().map(read).collect()
}

#[test]
fn automatic_stapling_is_the_default_only_when_preloaded() {
    assert_eq!(read(&[], true).server, Server::Auto);
    assert_eq!(read(&[], false).server, Server::Off);
    let asked = read(&[(c"STAPLEGUN_SERVER", "auto")], false);
    assert_eq!(asked.server, Server::Auto);
}

#[test]
fn a_server_staples_unless_it_is_off_and_a_client_refuses_from_verify_on() {
    let words = ["auto", "repair", "off"];
    let server = each(c"STAPLEGUN_SERVER", &words, |c| (c.server, c.staples()));
    let meant = [
        (Server::Auto, true),
        (Server::Repair, true),
        (Server::Off, false),
    ];
    assert_eq!(server, meant);
    let words = ["no", "off", "report", "verify", "require"];
    let client = each(c"STAPLEGUN_CLIENT", &words, |c| {
        (c.client_policy(), c.refuses_unchecked())
    });
    let meant = [
        (Client::Off, false),
        (Client::Off, false),
        (Client::Report, false),
        (Client::Verify, true),
        (Client::Require, true),
    ];
    assert_eq!(client, meant);
}

#[test]
fn what_is_on_or_off_is_so_by_0_and_1_alone() {
    let words = ["0", "1", "no"];
    let each = |name, meaning: fn(&Config) -> bool| each(name, &words, meaning);
    let disabled = each(c"STAPLEGUN_DISABLE", |c| c.disabled);
    assert_eq!(disabled, [false, true, false]);
    let recheck = each(c"STAPLEGUN_RECHECK", |c| c.recheck);
    assert_eq!(recheck, [false, true, true]);
    let quiet = each(c"STAPLEGUN_QUIET", |c| c.quiet);
    assert_eq!(quiet, [false, true, false]);
}

#[test]
fn as_much_is_logged_as_is_asked_for_and_info_by_default() {
    let words = ["error", "warn", "info", "debug", "all"];
    let levels = each(c"STAPLEGUN_LOG_LEVEL", &words, |c| c.level);
    let meant = [
        Level::Error,
        Level::Warn,
        Level::Info,
        Level::Debug,
        Level::Info,
    ];
    assert_eq!(levels, meant);
    assert_eq!(read(&[], true).level, Level::Info);
}

#[test]
fn a_value_that_is_not_understood_is_the_default_and_one_complaint() {
    let config = read(&[(c"STAPLEGUN_SERVER", "yes\n")], true);
    assert_eq!(config.server, Server::Auto);
    assert_eq!(
        config.complaints,
        [concat!(
            r"STAPLEGUN_SERVER is 'yes\n', which is none of auto, repair, off; ",
            "the default is used"
        )]
    );
}

#[test]
fn responses_are_separated_by_colons_and_empty_ones_left_out() {
    let config = read(&[(c"STAPLEGUN_RESPONSE", ":/a.der::/dir:")], true);
    assert_eq!(
        config.responses,
        [PathBuf::from("/a.der"), PathBuf::from("/dir")]
    );
}

#[test]
fn what_the_program_may_leave_its_directory_for_is_where_it_was_started() {
    let here = std::env::current_dir().expect("there is one");
    let responses = each(c"STAPLEGUN_RESPONSE", &["a.der"], |c| c.responses.clone());
    assert_eq!(responses, [[here.join("a.der")]]);
    let issuers = each(c"STAPLEGUN_ISSUERS", &["ca/x.pem"], |c| c.issuers.clone());
    assert_eq!(issuers, [Some(here.join("ca/x.pem"))]);
}

#[test]
fn a_log_is_off_unless_named_and_a_file_must_be_absolute() {
    let words = ["off", "stderr", "syslog", "/var/log/s", "log"];
    let logs = each(c"STAPLEGUN_LOG", &words, |c| c.log.clone());
    let meant = [
        LogTarget::Off,
        LogTarget::Stderr,
        LogTarget::Syslog,
        LogTarget::File(PathBuf::from("/var/log/s")),
        LogTarget::Off,
    ];
    assert_eq!(logs, meant);
    assert_eq!(read(&[], true).log, LogTarget::Off);
}

#[test]
fn a_wait_is_in_seconds_with_or_without_the_unit_and_five_minutes_at_most() {
    let words = ["5s", "7", "0", "300", "301", "1h"];
    let waits = each(c"STAPLEGUN_WAIT", &words, |c| {
        (c.wait.as_secs(), c.complaints.len())
    });
    assert_eq!(waits, [(5, 0), (7, 0), (0, 0), (300, 0), (0, 1), (0, 1)]);
}

#[test]
fn a_map_is_as_large_as_64_mib_unless_told_otherwise() {
    assert_eq!(read(&[], true).map_max, 67_108_864);
    let words = ["1048576", "1099511627776", "1099511627777"];
    let sizes = each(c"STAPLEGUN_MAP_MAX", &words, |c| {
        (c.map_max, c.complaints.len())
    });
    assert_eq!(sizes, [(1 << 20, 0), (1 << 40, 0), (67_108_864, 1)]);
}

#[test]
fn a_store_that_is_not_an_absolute_path_is_not_used() {
    let stores = each(c"STAPLEGUN_DIR", &["store", "/srv/store"], |c| {
        (c.directory.clone(), c.complaints.len())
    });
    assert_eq!(stores, [(None, 1), (Some(PathBuf::from("/srv/store")), 0)]);
}

#[test]
fn disable_wins_over_everything() {
    let config = read(
        &[
            (c"STAPLEGUN_DISABLE", "1"),
            (c"STAPLEGUN_SERVER", "repair"),
            (c"STAPLEGUN_CLIENT", "require"),
        ],
        true,
    );
    assert!(!config.staples() && !config.refuses_unchecked());
    assert_eq!(config.client_policy(), Client::Off);
}
