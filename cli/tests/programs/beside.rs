//! The agent that `staplegun run` starts beside the program: the program does not
//! notice it, and it lives as long as its store is used.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use staplegun_testkit::directory::Directory;
use staplegun_testkit::{process, wait};

use crate::support::{
    PYTHON, STAPLEGUN, Said, agent_of, agents_of, like_staplegun, staplegun,
    wait_for_the_end_of_agents,
};

/// Says whether wait() would find a child, then waits for its standard input to end.
const WAITS: &str = "
import os, sys
try:
    print('child', os.waitpid(-1, os.WNOHANG), flush=True)
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
        "live",
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
fn a_pipeline_ends_with_the_program_though_the_agent_goes_on() {
    let directory = Directory::new();
    // The program leaves a server behind that uses the store.
    let script = "echo $$
openssl s_server -nocert -accept 127.0.0.1:0 > $0 2>&1 < /dev/null &
echo $!
for attempt in $(seq 400); do grep -q ACCEPT $0 && exit; sleep 0.05; done
exit 1";
    let mut command = staplegun(&["run", "--dir"]);
    command
        .arg(directory.join("store"))
        .args(["--", "sh", "-c", script])
        .arg(directory.join("output"));
    let said = Said::by(&mut command).expect(0);
    let (program, server) = said.out.trim().split_once('\n').expect("two numbers");
    let program = program.parse().expect("a number");
    let agents = agents_of(program);
    Said::by(Command::new("kill").arg(server)).expect(0);
    assert_eq!(agents.len(), 1);
    wait_for_the_end_of_agents(program);
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
    let mut command = like_staplegun("unshare");
    command
        .args(namespace)
        .args([STAPLEGUN, "run", "--dir"])
        .arg(directory.join("store"))
        .args(["--", PYTHON, "-c", &waits]);
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
    let mut command = like_staplegun(PYTHON);
    command
        .args(["-c", subreaper, STAPLEGUN, "run", "--dir"])
        .arg(directory.join("store"))
        .args(["--", PYTHON, "-c", WAITS]);
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

#[test]
fn the_systems_agent_is_used_while_it_runs() {
    // With directories of its own for the system's store.
    let script = "
mount -t tmpfs none /run && mount -t tmpfs none /var/lib || exit 77
$0 agent --quiet & agent=$!
for attempt in $(seq 400); do test -d /run/staplegun/spool && break; sleep 0.05; done
$0 run -- sh -c \"$1\"
kill $agent; wait $agent
$0 run -- sh -c \"$1\"";
    let witness = "echo \"dir=$STAPLEGUN_DIR $(pgrep -c -f -- \"--watch-pid $$\\$\")\"";
    let mut command = like_staplegun("unshare");
    command.args(["--mount", "sh", "-c", script, STAPLEGUN, witness]);
    let said = Said::by(&mut command);
    if said.status == 77 || said.err.contains("unshare failed") {
        eprintln!("not tested: nothing can be mounted here");
        return;
    }
    assert_eq!(said.out, "dir= 0\ndir= 1\n", "{said:?}");
}
