//! How the library stands to a group: whether it is in its processes, and what of it they have.

use std::path::Path;

use super::group::{Group, Machine};
use super::known::Known;
use super::next;
use super::row::Reach;
use crate::check::carried::Carriers;
use crate::check::elf::Image;
use crate::check::finding::{Effect, Finding};
use crate::check::process::{examine_seen, libc};
use crate::library;
use crate::machine::process::Process;
use crate::machine::tls::Tls;

/// How the library stands to a group.
pub struct Standing<'a> {
    /// Whether the library is in it, or can be.
    pub reach: Reach,
    /// Its processes with the library.
    with: Vec<&'a Process>,
    /// What stands in its way.
    pub against: Option<Finding>,
    /// The client policy that its processes were started with.
    pub policy: Option<String>,
    /// Whether that lets connections pass unchecked: a process of this number does.
    pub unchecked: Option<u32>,
}

impl<'a> Standing<'a> {
    /// How it stands to that group of `machine`'s; `lib` is the library that the operator named.
    pub fn of(
        group: &Group,
        machine: &'a Machine,
        lib: Option<&Path>,
        carriers: &Carriers,
    ) -> Self {
        let with = machine.processes(&group.with_library);
        let without = machine.processes(&group.without_library);
        let with: Vec<&Process> = with.collect();
        let without: Vec<&Process> = without.collect();
        let policy = |process: &&Process| {
            let policy = process.seen.variable(b"STAPLEGUN_CLIENT")?;
            let known = ["report", "verify", "require"];
            let mut known = known.into_iter();
            known.find(|known| known.as_bytes() == policy)
        };
        let all = || with.iter().chain(&without);
        let strict = |process: &&&Process| matches!(policy(process), Some("verify" | "require"));
        let lets_pass = |process: &&&Process| {
            process.seen.library().is_none() || !process.seen.unreached(carriers).is_empty()
        };
        let is_hidden = |process: &&&Process| process.seen.variable(b"LD_PRELOAD").is_none();
        let in_force = all().find_map(policy).map(str::to_owned);
        let mut standing = Self {
            reach: match (with.is_empty(), without.is_empty()) {
                (false, true) => Reach::Loaded,
                (false, false) => Reach::Partly,
                (true, false) => Reach::Reachable,
                (true, true) if group.tls.is_empty() => Reach::Unknown,
                // It does not run yet.
                (true, true) if group.tls.iter().any(Tls::is_shared_openssl) => Reach::Reachable,
                (true, true) => Reach::Unreachable,
            },
            against: None,
            // It has overwritten its environment.
            policy: in_force.or_else(|| {
                with.iter().find(is_hidden)?;
                next::policy_of_unit(group)
            }),
            unchecked: all()
                .filter(strict)
                .find(lets_pass)
                .map(|process| process.pid),
            with,
        };
        match standing.reach {
            Reach::Reachable => {
                standing.against = without.first().and_then(|it| against(it, lib, carriers))
            }
            Reach::Unreachable => standing.against = group.tls.iter().next().map(next::other_tls),
            Reach::Loaded | Reach::Partly | Reach::Unknown => {}
        }
        if standing.against.is_some() {
            standing.reach = Reach::Unreachable;
        }
        standing
    }

    /// Whether one of them has the live map of this store.
    pub fn has_map(&self, known: &Known) -> bool {
        let map = known.layout().map();
        let mut with = self.with.iter();
        with.any(|process| process.seen.map() == Some(&map))
    }

    /// Whether one of them reads the agent's files.
    pub fn reads_files(&self, carriers: &Carriers) -> bool {
        let mut with = self.with.iter();
        with.any(|process| process.seen.node(carriers) == Some(true))
    }

    /// Whether the library's file was replaced since one of them was started.
    pub fn is_replaced(&self) -> bool {
        let mut libraries = self
            .with
            .iter()
            .filter_map(|process| process.seen.library());
        libraries.any(|path| path.to_string_lossy().ends_with(" (deleted)"))
    }
}

/// What keeps the library out of a process that has a shared OpenSSL.
fn against(process: &Process, lib: Option<&Path>, carriers: &Carriers) -> Option<Finding> {
    const LASTING: [&str; 6] = [
        "secure_execution",
        "not_executable",
        "other_machine",
        "other_libc",
        "static",
        "no_linker",
    ];
    let library = library::find_for(lib, libc(process.pid)).ok()?;
    let shim = Image::read(&library).ok()?;
    let examined = examine_seen(&process.seen, &shim, carriers);
    let mut findings = examined.findings.into_iter();
    findings.find(|it| it.effect == Effect::Prevents && LASTING.contains(&it.cause))
}
