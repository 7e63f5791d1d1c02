//! The one thing to do next, as it is typed.

use staplegun_ocsp::printable;
use staplegun_store::layout::Layout;

use super::group::Group;
use super::row::{Reach, Row, Status};
use crate::check::finding::{Effect, Finding};
use crate::check::libssl::OTHER_TLS_ADVICE;
use crate::check::maps;
use crate::machine::process::Keeper;
use crate::machine::tls::Tls;
use crate::machine::unit::Unit;
use crate::shell::word;

/// For one that is revoked or has expired.
pub const REPLACE: &str = "replace the certificate";
/// For what this user may not see.
pub const AS_ROOT: &str = "staplegun scan, as root";

/// Puts the library into it.
pub fn enable(group: &Group) -> String {
    match &group.keeper {
        Keeper::Unit(_) => format!("staplegun enable {}", word(&group.name())),
        Keeper::UserUnit(..) | Keeper::Nobody => {
            format!("start it by: staplegun run -- {} ...", word(&group.name()))
        }
        Keeper::Container => format!(
            "start it, in its container, by: staplegun run -- {} ...",
            word(&group.name())
        ),
    }
}

/// Starts it again.
pub fn restart(group: &Group) -> String {
    match &group.keeper {
        Keeper::Unit(_) => format!("systemctl restart {}", word(&group.name())),
        Keeper::UserUnit(..) => format!("systemctl --user restart {}", word(&group.name())),
        Keeper::Container => "restart its container".to_owned(),
        Keeper::Nobody => "start it again".to_owned(),
    }
}

/// Starts the agent.
pub fn agent(layout: &Layout) -> String {
    match *layout == Layout::system() {
        true => "systemctl enable --now staplegun".to_owned(),
        false => format!(
            "staplegun agent --dir {}",
            word(&layout.lasting().display().to_string())
        ),
    }
}

/// Tells more of it.
pub fn check(group: &Group) -> String {
    let pid = group.with_library.first().or(group.pids.first());
    format!("staplegun check --pid {}", pid.copied().unwrap_or_default())
}

/// For what is stapled and refused by clients.
pub fn bad(group: &Group, reach: Reach, cause: &str) -> String {
    match (cause, reach) {
        ("no_issuer", _) => "name its issuer in trusted-issuers".to_owned(),
        (_, Reach::Loaded) => {
            "mend its own stapling, or set STAPLEGUN_SERVER=repair for it".to_owned()
        }
        _ => format!("turn its own stapling off, and: {}", enable(group)),
    }
}

/// For what the certificate itself or the agent says, by its cause; `path`: the file that the
/// operator named.
pub fn of_itself(cause: &str, path: Option<&str>) -> String {
    let file = path.map_or_else(|| "the certificate's file".to_owned(), word);
    match cause {
        "no_responder" => "nothing to do: names no responder".to_owned(),
        "self_signed" => "nothing to do: signed itself".to_owned(),
        "authority" => "nothing to do: is a certification authority's".to_owned(),
        "not_server" => "nothing to do: is not a server's".to_owned(),
        "certificate_expired" | "revoked" => REPLACE.to_owned(),
        "must_staple" => "replace the certificate by one without must-staple".to_owned(),
        "no_issuer" | "spool_no_issuer" => format!("append the issuer to {file}"),
        "untrusted_issuer" => "name its issuer in trusted-issuers".to_owned(),
        _ => "staplegun status".to_owned(),
    }
}

/// Why the library does not reach another TLS than a shared OpenSSL.
pub fn other_tls(tls: &Tls) -> Finding {
    let (cause, text) = match tls.is_openssl() {
        true => (
            "own_openssl",
            format!("{} carries an OpenSSL of its own", maps::short(&tls.path)),
        ),
        false => ("other_tls", format!("it uses {}, not OpenSSL", tls.make)),
    };
    let advice = match tls.make {
        "Go" => "put a TLS proxy before it, or set Go's Certificate.OCSPStaple",
        _ if tls.is_openssl() => {
            "use a build that takes libssl from the system, or put a TLS proxy before it"
        }
        _ => OTHER_TLS_ADVICE,
    };
    Finding::new(Effect::Prevents, cause, text).advise(advice)
}

/// The client policy of a program that has overwritten its environment: that of its unit;
/// `unknown` if it has none.
pub fn policy_of_unit(group: &Group) -> Option<String> {
    let unknown = Some("unknown".to_owned());
    let Keeper::Unit(name) = &group.keeper else {
        return unknown;
    };
    let Ok(unit) = Unit::read(name) else {
        return unknown;
    };
    let environment = unit.environment();
    let mut policies = environment
        .iter()
        .filter(|(name, _)| name == "STAPLEGUN_CLIENT");
    policies
        .next()
        .map(|(_, value)| printable(value.as_bytes(), 16))
}

/// Makes one row of programs that do the same and do not listen.
pub fn merge(rows: &mut Vec<Row>) {
    let mut merged: Vec<Row> = Vec::new();
    for row in rows.drain(..) {
        let is_same = |known: &&mut Row| {
            let status = [Status::NoPort, Status::OtherNetwork].contains(&row.status);
            status
                && row.unit.is_none()
                && known.unit.is_none()
                && known.status == row.status
                && known.program == row.program
                && known.tls == row.tls
                && known.library == row.library
                && known.client_policy == row.client_policy
        };
        match merged.iter_mut().find(is_same) {
            Some(known) => known.pids.extend(row.pids),
            None => merged.push(row),
        }
    }
    merged.sort_by(|a, b| {
        let order = |row: &Row| (!row.needs_operator, row.status, row.name.clone());
        order(a).cmp(&order(b))
    });
    *rows = merged;
}
