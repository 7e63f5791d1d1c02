//! `staplegun run`: the program gets staples, and nothing else of it is changed.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use staplegun_testkit::directory::Directory;
use staplegun_testkit::judge::Client;
use staplegun_testkit::pki::{Identity, Spec};
use staplegun_testkit::process;
use staplegun_testkit::program::Program;
use staplegun_testkit::responder::{OpensslResponder, Status};
use staplegun_testkit::shim;
use staplegun_testkit::site::Site;
use staplegun_testkit::wait;

use crate::support::{STAPLEGUN, Said, compile, staplegun};

const PYTHON: &str = "/usr/bin/python3";

/// Puts itself into a state that is not usual, and then becomes what it is told.
const LAUNCHER: &str = r#"
import os, resource, signal, sys
broken_pipes, closed, directory = sys.argv[1:4]
signal.signal(signal.SIGPIPE, signal.SIG_IGN if broken_pipes == "ignored" else signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGSEGV, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1, signal.SIGCHLD})
os.umask(0o027)
resource.setrlimit(resource.RLIMIT_NOFILE, (333, 444))
resource.setrlimit(resource.RLIMIT_STACK, (4 << 20, resource.RLIM_INFINITY))
os.dup2(os.open("/dev/zero", os.O_RDWR), 9)
os.chdir(directory)
os.environb[b"ODD"] = b"\xff = \n"
for descriptor in closed.split():
    os.close(int(descriptor))
os.execv(sys.argv[4], sys.argv[4:])
"#;

/// A shell that writes down what it was given, with as few processes as it can.
const WITNESS: &str = r#"{
echo "pid $$"
while IFS= read -r line; do case $line in
  Sig[PBIC]*|ShdPnd*|Umask*|Groups*|Cap*|NoNewPrivs*|Seccomp*) echo "$line";;
esac; done < /proc/$$/status
read -r children < /proc/$$/task/$$/children; echo "children $children"
for descriptor in /proc/$$/fd/*; do echo "$descriptor"; done
while IFS= read -r line; do echo "$line"; done < /proc/$$/limits
readlink /proc/$$/fd/9 /proc/$$/cwd /proc/$$/root
tr '\0' '\n' < /proc/$$/cmdline
tr '\0' '\n' < /proc/$$/environ | grep -av '^LD_PRELOAD=\|^STAPLEGUN_DIR='
} > "$1"
"#;

/// What a shell that was started so writes down, by the launcher or by `run`.
fn witnessed(directory: &Directory, broken_pipes: &str, closed: &str, through: &[&str]) -> String {
    let program = directory.join("odd name");
    if !program.exists() {
        std::os::unix::fs::symlink("/bin/sh", &program).expect("the directory can be written");
    }
    let out = directory.join("witnessed");
    let mut launcher = staplegun::<&str>(&[]);
    let environment: Vec<_> = launcher
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
        .collect();
    launcher = Command::new(PYTHON);
    for (name, value) in environment {
        match value {
            Some(value) => launcher.env(name, value),
            None => launcher.env_remove(name),
        };
    }
    let mut child = launcher
        .args(["-c", LAUNCHER, broken_pipes, closed])
        .arg(directory.path())
        .args(through)
        .args(["./odd name", "-c", WITNESS, "argument"])
        .arg(&out)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let pid = child.id();
    let status = child.wait().expect("it is our child");
    let mut errors = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut errors).expect("text");
    assert!(status.success(), "{status}: {errors}");
    assert_eq!(errors, "");
    let text = String::from_utf8_lossy(&fs::read(&out).expect("it was written")).into_owned();
    assert!(
        text.starts_with(&format!("pid {pid}\n")),
        "another process: {text}"
    );
    text.replace(&pid.to_string(), "PID")
}

#[test]
fn the_program_is_given_what_staplegun_was_given() {
    let directory = Directory::new();
    let store = directory.join("store");
    let store = store.to_str().expect("UTF-8");
    for broken_pipes in ["ignored", "default"] {
        for closed in ["", "0", "0 1", "2"] {
            let plain = witnessed(&directory, broken_pipes, closed, &[]);
            let run = [STAPLEGUN, "run", "--dir", store, "--"];
            let through = witnessed(&directory, broken_pipes, closed, &run);
            assert_eq!(plain, through, "SIGPIPE {broken_pipes}, closed {closed:?}");
            assert!(plain.contains("children \n"), "{plain}");
            assert!(plain.contains("/dev/zero"), "{plain}");
            assert!(plain.contains("\n./odd name\n"), "{plain}");
        }
    }
}

/// Says whether it has a child, then waits for its standard input to end.
const WAITS: &str = "
import os, sys
try:
    print('child', os.wait(), flush=True)
except ChildProcessError:
    print('no child', flush=True)
sys.stdin.read()
";

/// A program that was started by `staplegun run` and waits.
struct Waiting {
    child: Child,
    first_line: String,
}

impl Waiting {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it can be started");
        let mut line = Vec::new();
        let out = child.stdout.as_mut().expect("it is piped");
        let mut byte = [0];
        while out.read(&mut byte).expect("it can be read") == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        Self {
            child,
            first_line: String::from_utf8(line).expect("text"),
        }
    }

    fn run(store: &Path) -> Self {
        let mut command = staplegun(&["run", "--dir"]);
        command.arg(store).args(["--", PYTHON, "-c", WAITS]);
        Self::start(command)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "{status}");
    }
}

/// The agents that were started for a process.
fn agents_of(pid: u32) -> Vec<u32> {
    let watched = [b"--watch-pid\0", pid.to_string().as_bytes(), b"\0"].concat();
    let entries = fs::read_dir("/proc").expect("it is mounted");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(watched.len()).any(|part| part == watched)
    })
    .collect()
}

fn agent_of(pid: u32) -> u32 {
    match agents_of(pid)[..] {
        [agent] => agent,
        ref others => panic!("one agent was expected for {pid}: {others:?}"),
    }
}

fn wait_for_the_end_of_agents(pid: u32) {
    wait::until("the agent ends", || agents_of(pid).is_empty().then_some(()));
}

#[test]
fn the_program_has_no_foreign_child_and_the_agent_ends_after_it() {
    let directory = Directory::new();
    let store = directory.join("store");
    let program = Waiting::run(&store);
    assert_eq!(program.first_line, "no child");
    let pid = program.pid();
    agent_of(pid);
    program.end();
    wait_for_the_end_of_agents(pid);
    let mut left: Vec<String> = fs::read_dir(&store)
        .expect("the store stays")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    left.sort();
    let store = [
        "certs",
        "map.v1",
        "map.v1.lock",
        "spool",
        "staples",
        "state",
    ];
    assert_eq!(left, store);
}

#[test]
fn the_agent_has_nothing_of_the_program() {
    let directory = Directory::new();
    let program = Waiting::run(&directory.join("store"));
    let agent = agent_of(program.pid());
    let of_agent = process::descriptors(agent);
    for standard in ["0 -> /dev/null", "1 -> /dev/null", "2 -> /dev/null"] {
        assert!(of_agent.contains(&standard.to_owned()), "{of_agent:?}");
    }
    let pipes = |pid| -> Vec<String> {
        let all = process::descriptors(pid).into_iter();
        let targets = all.filter_map(|line| Some(line.split_once(" -> ")?.1.to_owned()));
        targets
            .filter(|target| target.starts_with("pipe:"))
            .collect()
    };
    let of_program = pipes(program.pid());
    assert!(!of_program.is_empty());
    assert!(
        pipes(agent).iter().all(|pipe| !of_program.contains(pipe)),
        "{of_agent:?}"
    );
    let session = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
        let after = stat.rsplit_once(") ").expect("proc(5)").1.to_owned();
        after.split(' ').nth(3).expect("proc(5)").to_owned()
    };
    assert_ne!(session(agent), session(program.pid()));
    let working = fs::read_link(format!("/proc/{agent}/cwd")).expect("it runs");
    assert_eq!(working, Path::new("/"));
    program.end();
}

#[test]
fn a_pipeline_ends_with_the_program() {
    let directory = Directory::new();
    // The program leaves a process with the library, so that the agent stays.
    let script = "echo out; sleep 60 > /dev/null 2>&1 < /dev/null & echo $!";
    let mut command = staplegun(&["run", "--dir"]);
    command
        .arg(directory.join("store"))
        .args(["--", "sh", "-c", script]);
    let said = Said::by(&mut command).expect(0);
    let sleeper = said
        .out
        .strip_prefix("out\n")
        .expect("its words")
        .trim()
        .to_owned();
    Said::by(Command::new("kill").arg(sleeper)).expect(0);
}

#[test]
fn as_pid_1_the_program_has_no_foreign_child_either() {
    let namespace = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let permitted = Command::new("unshare").args(namespace).arg("true").status();
    if !permitted.is_ok_and(|status| status.success()) {
        eprintln!("not tested: a PID namespace cannot be made here");
        return;
    }
    let directory = Directory::new();
    let waits = format!(
        "import glob\n\
         agents = [p for p in glob.glob('/proc/[0-9]*/cmdline') \
         if b'--watch-pid\\0001\\0' in open(p, 'rb').read()]\n\
         assert len(agents) == 1, agents\n\
         assert __import__('os').getpid() == 1\n{WAITS}"
    );
    let mut command = Command::new("unshare");
    command
        .args(namespace)
        .args([STAPLEGUN, "run", "--dir"])
        .arg(directory.join("store"))
        .args(["--", PYTHON, "-c", &waits])
        .env("STAPLEGUN_LIB", shim::library())
        .env_remove("LD_PRELOAD");
    let program = Waiting::start(command);
    assert_eq!(program.first_line, "no child");
    program.end();
}

#[test]
fn as_a_subreaper_the_program_has_no_foreign_child_either() {
    let directory = Directory::new();
    let subreaper = "import ctypes, os, sys\n\
                     ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n\
                     os.execv(sys.argv[1], sys.argv[1:])";
    let mut command = Command::new(PYTHON);
    command
        .args(["-c", subreaper, STAPLEGUN, "run", "--dir"])
        .arg(directory.join("store"))
        .args(["--", PYTHON, "-c", WAITS])
        .env("STAPLEGUN_LIB", shim::library())
        .env_remove("LD_PRELOAD");
    let program = Waiting::start(command);
    assert_eq!(program.first_line, "no child");
    let pid = program.pid();
    agent_of(pid);
    // The process that keeps the agent from coming to the program, and it alone.
    let guards = process::descendants(pid);
    program.end();
    wait_for_the_end_of_agents(pid);
    for guard in guards {
        wait::until("the guard ends", || {
            process::start_time(guard).is_none().then_some(())
        });
    }
}

/// Who holds the lock of a store's map.
fn keeper_of(store: &Path) -> Option<u32> {
    let inode = fs::metadata(store.join("map.v1.lock")).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = words
            .iter()
            .position(|word| word.ends_with(&format!(":{inode}")))?;
        // A waiter's line has an arrow.
        (!words.contains(&"->")).then(|| words[place - 1].parse().ok())?
    })
}

#[test]
fn a_second_run_takes_the_store_over_when_the_first_ends() {
    let directory = Directory::new();
    let store = directory.join("store");
    let first = Waiting::run(&store);
    let second = Waiting::run(&store);
    assert_eq!(keeper_of(&store), Some(agent_of(first.pid())));
    let standby = agent_of(second.pid());
    first.end();
    wait::until("the standby takes over", || {
        (keeper_of(&store) == Some(standby)).then_some(())
    });
    let pid = second.pid();
    second.end();
    wait_for_the_end_of_agents(pid);
}

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
    let mut command = staplegun(&["run", "--wait", "5s", "--dir", &path("store"), "--"]);
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
