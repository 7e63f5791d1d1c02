//! What is told of a process, by what the kernel shows of it in files: of this one, and of such as
//! are written here.

use std::fs;

use staplegun_testkit::Directory;

use super::*;
use crate::check::made::{LIBRARY, Made, PROGRAM};

#[test]
fn this_process_is_seen() {
    let pid = std::process::id();
    let seen = Seen::look(pid).expect("it runs");
    assert_eq!(seen.secure, Some(false));
    assert!(
        seen.mapped(|name| name.starts_with("libc.so"))
            .next()
            .is_some()
    );
    assert!(seen.environment.is_some());
    let file = std::env::current_exe().expect("it has one");
    assert_eq!(seen.executable, file);
    assert!(libc(pid).is_some());
    assert_eq!(libc(pid), program::libc(&file));
}

const OURS: &str = "/opt/libstaplegun.so.0";
const LIBSSL: &str = "/lib/libssl.so.3";

/// What the kernel shows of a process; the files that it has are in `root` there.
struct Shown(Directory);

impl Shown {
    /// One that runs such a program, has these files mapped to execute, and that environment.
    fn new(program: &Made<'_>, mapped: &[&str], environment: &[&str]) -> Self {
        let shown = Self(Directory::new());
        let file = shown.0.write("program", program.bytes());
        std::os::unix::fs::symlink(file, shown.0.join("exe")).expect("it can be made");
        let line = |path: &&str| format!("7f00-7f01 r-xp 00000000 fe:00 12   {path}\n");
        shown
            .0
            .write("maps", mapped.iter().map(line).collect::<String>());
        shown.0.write("environ", environment.join("\0"));
        shown
    }

    /// Its auxiliary vector says that it has more rights than its starter.
    fn secure(self) -> Self {
        let pairs = [(6, 4096), (23, 1), (0, 0)];
        let words = pairs.iter().flat_map(|(key, value)| [*key, *value]);
        let bytes: Vec<u8> = words.flat_map(usize::to_ne_bytes).collect();
        self.0.write("auxv", bytes);
        self
    }

    fn examined(&self) -> Examined {
        let shim = self.0.write("libstaplegun.so.0", LIBRARY.bytes());
        let shim = Image::read(&shim).expect("a library");
        let seen = Seen::at(self.0.path().to_owned()).expect("its files are there");
        examine_seen(&seen, &shim, &Carriers::default())
    }

    /// The causes of what is found.
    fn causes(&self, effect: Effect) -> Vec<&'static str> {
        let findings = self.examined().findings.into_iter();
        let findings = findings.filter(|finding| finding.effect == effect);
        findings.map(|finding| finding.cause).collect()
    }

    /// What is said for that cause.
    fn said(&self, cause: &str) -> Vec<String> {
        let findings = self.examined().findings.into_iter();
        let findings = findings.filter(|finding| finding.cause == cause);
        findings.map(|finding| finding.text).collect()
    }
}

#[test]
fn its_program_is_told_and_the_live_map_that_it_takes_responses_from() {
    let map = Layout::at(Path::new("/")).map();
    let map = map.to_str().expect("UTF-8");
    let shown = Shown::new(&PROGRAM, &[OURS, LIBSSL, map], &[]);
    assert_eq!(shown.examined().program, shown.0.join("program"));
    let text = format!("it takes responses from the live map {map}");
    assert_eq!(shown.said("live_map"), [text]);
    let shown = Shown::new(&PROGRAM, &[OURS, LIBSSL], &[]);
    assert_eq!(
        shown.causes(Effect::Note),
        ["libssl_loaded", "no_live_map", "loaded"]
    );
    assert_eq!(shown.causes(Effect::Allows), ["both_loaded"]);
}

#[test]
fn what_its_environment_said_about_us_is_told_and_nothing_else_of_it() {
    let script = "NODE_OPTIONS=--require /usr/share/staplegun/node.cjs";
    let ours = [
        "LD_PRELOAD=/opt/libstaplegun.so.0",
        "STAPLEGUN_LOG=debug",
        script,
    ];
    let others = ["PASSWORD=secret", "HOME=/usr/share/staplegun/node.cjs"];
    let shown = Shown::new(&PROGRAM, &[OURS], &[&others[..], &ours].concat());
    let started = ours.map(|variable| format!("it was started with {variable}"));
    assert_eq!(shown.said("variable"), started);
    let others = ["NODE_OPTIONS=--inspect"];
    assert!(
        Shown::new(&PROGRAM, &[OURS], &others)
            .said("variable")
            .is_empty()
    );
}

#[test]
fn why_the_library_is_not_loaded_is_told_by_how_the_process_was_started() {
    let notes = |environment: &[&str]| {
        let shown = Shown::new(&PROGRAM, &[LIBSSL], environment);
        let mut notes = shown.causes(Effect::Note);
        notes.retain(|note| !["libssl_loaded", "no_live_map", "variable"].contains(note));
        notes
    };
    assert_eq!(
        notes(&["LD_PRELOAD=/opt/libstaplegun.so.0"]),
        ["preload_failed"]
    );
    assert_eq!(notes(&["LD_PRELOAD=/opt/libjemalloc.so.2"]), ["no_preload"]);
    assert_eq!(notes(&[]), ["no_preload"]);

    let hidden = Shown::new(&PROGRAM, &[LIBSSL], &[]);
    fs::remove_file(hidden.0.join("environ")).expect("it is there");
    let notes = hidden.causes(Effect::Note);
    assert!(notes.contains(&"environment_hidden"), "{notes:?}");
    assert!(!notes.contains(&"no_preload"), "{notes:?}");

    let secure = Shown::new(&PROGRAM, &[LIBSSL], &[]).secure();
    let prevents = secure.causes(Effect::Prevents);
    assert!(prevents.contains(&"secure_execution"), "{prevents:?}");
}

#[test]
fn of_the_file_that_it_runs_only_what_keeps_the_library_out_is_told() {
    let own = PROGRAM
        .exports(&["SSL_CTX_new"])
        .needed(&["libnowhere.so.1"]);
    let shown = Shown::new(&own, &[], &[]);
    assert_eq!(
        shown.causes(Effect::Prevents),
        ["not_loaded", "own_openssl"]
    );
    assert_eq!(shown.causes(Effect::Note), ["no_live_map", "no_preload"]);
}

#[test]
fn before_it_has_loaded_libssl_nothing_is_known() {
    let shown = Shown::new(&PROGRAM, &[OURS], &[]);
    assert_eq!(shown.causes(Effect::Open), ["no_libssl_yet"]);
    assert!(shown.causes(Effect::Prevents).is_empty());
    // With an OpenSSL of its own in a plug-in, nothing is to be waited for.
    let shown = Shown::new(&PROGRAM, &[OURS, "/plugin.so"], &[]);
    fs::create_dir(shown.0.join("root")).expect("it can be made");
    fs::write(shown.0.join("root/plugin.so"), "../ssl/ssl_lib.c").expect("it can be written");
    assert!(shown.causes(Effect::Open).is_empty());
    assert_eq!(shown.causes(Effect::Prevents), ["own_openssl"]);
}

#[test]
fn node_with_an_openssl_of_its_own_is_judged_by_the_script_that_it_was_started_with() {
    let node = PROGRAM.exports(&["_ZN4node5StartEiPPc", "SSL_CTX_new"]);
    let script = "NODE_OPTIONS=--require /usr/share/staplegun/node.cjs";
    let shown = Shown::new(&node, &[OURS], &[script]);
    assert_eq!(shown.causes(Effect::Allows), ["node_script"]);
    assert!(shown.causes(Effect::Prevents).is_empty());
    let shown = Shown::new(&node, &[OURS], &["NODE_OPTIONS=--inspect"]);
    assert_eq!(shown.causes(Effect::Prevents), ["no_node_script"]);
}
