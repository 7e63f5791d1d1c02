//! `staplegun run` gives the program what it was given itself: compared with a
//! plain start, from states that are not usual.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use staplegun_testkit::directory::Directory;

use crate::support::{PYTHON, STAPLEGUN, like_staplegun};

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
    let mut child = like_staplegun(PYTHON)
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
    // Its number, and no other that has the same digits in it.
    text.replacen(&format!("pid {pid}\n"), "pid PID\n", 1)
        .replace(&format!("/proc/{pid}/"), "/proc/PID/")
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
