//! What looking at files costs, and what a look finds: a directory is read once for all
//! certificates, and a handshake reads only what is its certificate's own.
//!
//! A script in Python is the host, and strace tells what it asked the system for.

use std::fs;
use std::path::PathBuf;

use staplegun_testkit::{Identity, Program, Response, Shim, Site, Spec};

/// What the scripts have in common. `shake_until` shakes hands until the log has that
/// many lines with those words.
const PRELUDE: &str = "
import os, ssl, sys, time
os.chdir(sys.argv[1])

def server(chain='chain.pem', key='key.pem'):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context

client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
client.check_hostname = False
client.verify_mode = ssl.CERT_NONE

def shake(context):
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(one, other), context.wrap_bio(other, one, server_side=True)
    for end in ends * 3:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass

def phase(name):
    os.path.exists('/phase/' + name)

def shake_for(seconds, context):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shake(context)

def shake_until(count, words, context):
    end = time.monotonic() + 20
    while open('log').read().count(words) < count:
        assert time.monotonic() < end, open('log').read()
        shake(context)

def replace(name, content):
    with open('new', 'wb') as file:
        file.write(content)
    os.rename('new', name)
";

/// A site, and the log and the trace of a script's run there.
struct Scene {
    site: Site,
    log: String,
    trace: String,
}

impl Scene {
    /// Runs the script with the library preloaded.
    fn run(site: Site, shim: Shim, script: &str) -> Scene {
        let log = site.write("log", "");
        let trace = site.path("trace");
        let shim = shim
            .log(&log)
            .env("STAPLEGUN_LOG_LEVEL", "info")
            .env("STAPLEGUN_CLIENT", "report");
        let mut strace = Program::new("strace").args(["-f", "-s", "4096"]);
        strace = strace.args(["-e", "trace=%file", "-o"]).arg(&trace);
        for assignment in shim.assignments() {
            strace = strace.arg("-E").arg(assignment);
        }
        let script = format!("{PRELUDE}{script}");
        let python = strace.args(["python3", "-c", &script]);
        let done = python.arg(site.path("")).run();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
        let read = |path| fs::read_to_string(path).expect("it can be read");
        Scene {
            log: read(log),
            trace: read(trace),
            site,
        }
    }

    /// How often `call` was made in that phase on a path that has `part` in it.
    fn count(&self, phase: &str, call: &str, part: &str) -> usize {
        let begin = format!("/phase/{phase}\"");
        self.trace
            .lines()
            .skip_while(|line| !line.contains(&begin))
            .skip(1)
            .take_while(|line| !line.contains("/phase/"))
            .filter(|line| line.contains(&format!(" {call}(")) && line.contains(part))
            .count()
    }

    fn log_count(&self, words: &str) -> usize {
        self.log.matches(words).count()
    }
}

/// The directory `responses` of the site, with that many responses about others.
fn directory_of_others(site: &Site, others: usize) -> PathBuf {
    let directory = site.path("responses");
    fs::create_dir(&directory).expect("it is new");
    for number in 0..others {
        let serial = format!("other {number}");
        let der = site.good().serial(serial.as_bytes()).der();
        fs::write(directory.join(format!("{number}.der")), der).expect("it is ours");
    }
    directory
}

/// A site whose own response stands among others, and a newer one beside the directory.
fn site_among_others(others: usize) -> (Site, Shim) {
    let site = Site::new();
    let directory = directory_of_others(&site, others);
    let good = site.good().this_update(-7200).der();
    fs::write(directory.join("own.der"), good).expect("it is ours");
    site.write("renewed.der", site.good().this_update(-60).der());
    (site, Shim::preloaded().responses(&[&directory]))
}

const READY: &str = "is ready to be stapled";

#[test]
fn a_directory_is_read_once_for_all_certificates() {
    let (site, shim) = site_among_others(100);
    let script = "
phase('first')
first = server()
phase('again')
again = [server() for _ in range(5)]
phase('end')
";
    let scene = Scene::run(site, shim, script);
    assert_eq!(scene.log_count(READY), 6, "{}", scene.log);
    assert!(scene.count("first", "openat", ".der") > 100);
    assert_eq!(scene.count("again", "openat", ".der"), 5);
}

#[test]
fn a_handshake_reads_its_own_file_of_a_large_directory_and_no_other() {
    let (site, shim) = site_among_others(100);
    let script = format!(
        "
context = server()
phase('renewed')
replace('responses/own.der', open('renewed.der', 'rb').read())
shake_until(2, '{READY}', context)
phase('end')
"
    );
    let scene = Scene::run(site, shim, &script);
    assert_eq!(scene.count("renewed", "openat", "responses/"), 1);
}

#[test]
fn a_handshake_finds_a_new_file_in_a_small_directory() {
    let site = Site::new();
    let directory = directory_of_others(&site, 3);
    site.write("renewed.der", site.good().der());
    let shim = Shim::preloaded().responses(&[&directory]);
    let script = format!(
        "
context = server()
phase('new')
replace('responses/new.der', open('renewed.der', 'rb').read())
shake_until(1, '{READY}', context)
phase('end')
"
    );
    let scene = Scene::run(site, shim, &script);
    // Only what is new: once to learn of whom it speaks, and once to staple it.
    assert_eq!(scene.count("new", "openat", "responses/new.der"), 2);
    assert_eq!(scene.count("new", "openat", "responses/1.der"), 0);
}

#[test]
fn a_new_file_in_a_large_directory_is_found_after_the_next_load_of_any_certificate() {
    let site = Site::new();
    let directory = directory_of_others(&site, 100);
    site.write("renewed.der", site.good().der());
    let other = site.root.issue(&Spec::server());
    site.write("other.pem", other.pem() + &site.root.pem());
    site.write("other.key", other.key.pem());
    let shim = Shim::preloaded().responses(&[&directory]);
    let script = format!(
        "
context = server()
replace('responses/new.der', open('renewed.der', 'rb').read())
phase('handshakes')
shake_for(2.5, context)
phase('load')
other = server('other.pem', 'other.key')
shake_until(1, '{READY}', context)
phase('end')
"
    );
    let scene = Scene::run(site, shim, &script);
    assert_eq!(scene.count("handshakes", "openat", "responses"), 0);
    assert_eq!(scene.count("load", "openat", "responses/1.der"), 0);
}

#[test]
fn each_of_thousands_of_files_counts() {
    const FILES: usize = 5000;
    let site = Site::new();
    let directory = directory_of_others(&site, 0);
    for number in 0..FILES {
        fs::write(directory.join(number.to_string()), "").expect("it is ours");
    }
    fs::write(directory.join("own"), site.good().der()).expect("it is ours");
    let shim = Shim::preloaded().responses(&[&directory]);
    let scene = Scene::run(site, shim, "context = server()");
    assert_eq!(scene.log_count(READY), 1, "{}", scene.log);
}

#[test]
fn a_response_that_was_renewed_while_descriptors_were_used_up_is_found_afterwards() {
    let (site, shim) = site_among_others(3);
    let script = format!(
        "
import resource
context = server()
replace('responses/own.der', open('renewed.der', 'rb').read())
before = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
phase('used up')
shake_for(4.5, context)
phase('end')
resource.setrlimit(resource.RLIMIT_NOFILE, before)
shake_until(2, '{READY}', context)
"
    );
    let scene = Scene::run(site, shim, &script);
    // Both that file and its directory were tried.
    assert!(scene.count("used up", "openat", "responses/own.der\"") > 0);
    assert!(scene.count("used up", "openat", "responses\"") > 0);
}

#[test]
fn a_directory_that_no_memory_can_be_had_for_is_not_the_end() {
    const FILES: usize = 20_000;
    let site = Site::new();
    let directory = directory_of_others(&site, 0);
    for number in 0..FILES {
        fs::write(directory.join(number.to_string()), "").expect("it is ours");
    }
    fs::write(directory.join("own"), site.good().der()).expect("it is ours");
    let shim = Shim::preloaded().responses(&[&directory]);
    // From too little for the first part of the work to enough for all of it.
    let script = "
import resource
before = resource.getrlimit(resource.RLIMIT_AS)
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
for room in 256, 512, 1024, 2048, 4096, 8192, 16384:
    if os.fork() == 0:
        resource.setrlimit(resource.RLIMIT_AS, (used + room * 1024, before[1]))
        server()
        os._exit(0)
    assert os.wait()[1] == 0, room
server()
";
    let scene = Scene::run(site, shim, script);
    assert!(
        scene.log_count("cannot be read: out of memory") > 0,
        "{}",
        scene.log
    );
    assert!(scene.log_count(READY) > 0, "{}", scene.log);
}

#[test]
fn a_look_is_one_system_call_a_second() {
    const SECONDS: usize = 4;
    let (site, shim) = site_among_others(100);
    let named = site.write("named.der", site.good().der());
    let both = [site.path("responses"), named];
    let shim = shim.responses(&[&both[0], &both[1]]);
    let script =
        format!("context = server()\nphase('quiet')\nshake_for({SECONDS}, context)\nphase('end')");
    let scene = Scene::run(site, shim, &script);
    let site = scene.site.path("");
    let site = site.to_str().expect("UTF-8");
    let looks = scene.count("quiet", "statx", "responses")
        + scene.count("quiet", "statx", "named.der")
        + scene.count("quiet", "statx", "chain.pem.ocsp");
    // Seconds begin at whole ones.
    assert!((SECONDS - 1..=SECONDS + 1).contains(&looks), "{looks}");
    // And the log, which is opened for each line, is not about looks.
    assert_eq!(
        scene.count("quiet", "openat", &format!("{site}responses")),
        0
    );
}

/// A response that waits for its issuer, which STAPLEGUN_ISSUERS may hold.
fn site_without_issuer() -> (Site, Shim) {
    let site = Site::new();
    let response = site.write("response.der", site.good().der());
    let stranger = Identity::self_signed(&Spec::ca("Another CA"));
    let issuers = site.write("issuers.pem", stranger.pem());
    let shim = Shim::preloaded().responses(&[&response]);
    (site, shim.env("STAPLEGUN_ISSUERS", issuers))
}

#[test]
fn issuers_are_not_searched_again_for_one_that_they_do_not_hold() {
    let (site, shim) = site_without_issuer();
    let script = "
first = server('cert.pem')
phase('again')
again = [server('cert.pem') for _ in range(5)]
phase('end')
";
    let scene = Scene::run(site, shim, script);
    assert_eq!(scene.count("again", "openat", "issuers.pem"), 0);
    assert_eq!(scene.log_count(READY), 0);
}

#[test]
fn issuers_are_not_searched_again_for_another_of_an_issuer_that_was_found() {
    let site = Site::new();
    site.write("issuers.pem", site.root.pem());
    let other = site.root.issue(&Spec::server());
    site.write("other.pem", other.pem());
    site.write("other.key", other.key.pem());
    let shim = Shim::preloaded().responses(&[
        &site.write("one.der", site.good().der()),
        &site.write("two.der", Response::good(&other, &site.root).der()),
    ]);
    let script = "
first = server('cert.pem')
phase('again')
again = server('other.pem', 'other.key')
phase('end')
";
    let issuers = site.path("issuers.pem");
    let scene = Scene::run(site, shim.env("STAPLEGUN_ISSUERS", issuers), script);
    assert_eq!(scene.count("again", "openat", "issuers.pem"), 0);
    assert_eq!(scene.log_count(READY), 2, "{}", scene.log);
}

#[test]
fn issuers_that_changed_are_searched_again() {
    let (site, shim) = site_without_issuer();
    let script = "
first = server('cert.pem')
replace('issuers.pem', open('ca.pem', 'rb').read())
again = server('cert.pem')
";
    let scene = Scene::run(site, shim, script);
    assert_eq!(scene.log_count(READY), 1, "{}", scene.log);
}

#[test]
fn a_response_of_another_certificate_does_not_keep_one_from_its_own() {
    let site = Site::new();
    let directory = directory_of_others(&site, 2);
    let other = site.root.issue(&Spec::server());
    let of_other = Response::good(&other, &site.root).der();
    fs::write(directory.join("a.der"), of_other).expect("it is ours");
    fs::write(directory.join("b.der"), site.good().der()).expect("it is ours");
    fs::write(directory.join("c.der"), site.good().expired().der()).expect("it is ours");
    let shim = Shim::preloaded().responses(&[&directory]);
    let scene = Scene::run(site, shim, "context = server()");
    assert_eq!(scene.log_count("b.der is ready"), 1, "{}", scene.log);
    assert_eq!(scene.log_count("a.der"), 0, "{}", scene.log);
}
