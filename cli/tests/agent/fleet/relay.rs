//! Stands between an agent and the store, passes on what they say, and kills the agent when it has
//! come to a step of its way.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

/// When the agent is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The store has given it a lease, of which it does not hear.
    Leased,
    /// The responder was asked by it, and has not answered.
    Asking,
    /// It has a response, which the store does not get.
    Fetched,
    /// The store has got it, and it does not hear of that.
    Stored,
}

/// Whom to kill, and when; once.
#[derive(Debug)]
pub struct Plan {
    step: Step,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// None: not yet.
    victim: Option<u32>,
    /// The certificate of which it has the lease, if that is the step.
    leased: Option<String>,
    is_done: bool,
}

impl Plan {
    fn new(step: Step) -> Self {
        Self {
            step,
            state: Mutex::default(),
        }
    }

    /// That process, from now on.
    pub fn aim(&self, pid: u32) {
        self.state.lock().expect("no test panicked in it").victim = Some(pid);
    }

    /// Whether it was killed.
    pub fn is_done(&self) -> bool {
        self.state.lock().expect("no test panicked in it").is_done
    }

    /// The responder is asked for that certificate. True if it need not answer.
    pub fn asked(&self, sha256: &str) -> bool {
        let state = self.state.lock().expect("no test panicked in it");
        let is_victims = state.leased.as_deref() == Some(sha256);
        drop(state);
        is_victims && self.kill()
    }

    /// It has come to that step. True if it was killed.
    fn reached(&self, step: Step) -> bool {
        step == self.step && self.kill()
    }

    fn leased(&self, sha256: &str) {
        let mut state = self.state.lock().expect("no test panicked in it");
        if self.step == Step::Asking && state.victim.is_some() {
            state.leased.get_or_insert_with(|| sha256.to_owned());
        }
    }

    fn kill(&self) -> bool {
        let mut state = self.state.lock().expect("no test panicked in it");
        let Some(pid) = state.victim.filter(|_| !state.is_done) else {
            return false;
        };
        let pid = Pid::from_raw(pid.cast_signed()).expect("not zero");
        kill_process(pid, Signal::KILL).expect("it runs");
        state.is_done = true;
        true
    }
}

/// The relay. It ends with the test's process.
pub struct Relay {
    /// The store's address for the agent.
    pub port: u16,
    /// What it does to it.
    pub plan: Arc<Plan>,
}

impl Relay {
    /// To the store on that port.
    pub fn start(store: u16, step: Step) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let plan = Arc::new(Plan::new(step));
        let by = Arc::clone(&plan);
        std::thread::spawn(move || {
            for agent in listener.incoming().flatten() {
                // Without a store there is nothing to be passed on.
                if let Ok(store) = TcpStream::connect((Ipv4Addr::LOCALHOST, store)) {
                    relay(&agent, &store, &by);
                }
            }
        });
        Self { port, plan }
    }
}

/// A command that was passed on, and for which certificate.
#[derive(Clone, Debug)]
struct Sent {
    is_store: bool,
    sha256: String,
}

fn relay(agent: &TcpStream, store: &TcpStream, plan: &Arc<Plan>) {
    let under_way = Arc::new(Mutex::new(VecDeque::new()));
    let clone = |one: &TcpStream| one.try_clone().expect("a descriptor");
    let (from, to, by) = (clone(agent), clone(store), Arc::clone(plan));
    let sent = Arc::clone(&under_way);
    std::thread::spawn(move || {
        let _ = pass_commands(&from, &to, &sent, &by);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let (from, to, by) = (clone(store), clone(agent), Arc::clone(plan));
    std::thread::spawn(move || {
        let _ = pass_replies(&from, &to, &under_way, &by);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

/// Until one of them ends.
fn pass_commands(
    from: &TcpStream,
    mut to: &TcpStream,
    under_way: &Mutex<VecDeque<Sent>>,
    plan: &Plan,
) -> io::Result<()> {
    let mut reader = BufReader::new(from);
    loop {
        let mut command = Vec::new();
        read_value(&mut reader, &mut command)?;
        let text = String::from_utf8_lossy(&command).into_owned();
        let sent = Sent {
            is_store: text.contains("'PUBLISH'"),
            sha256: text
                .split_once("sg:1:{")
                .map(|(_, rest)| rest.chars().take(64).collect())
                .unwrap_or_default(),
        };
        if sent.is_store && plan.reached(Step::Fetched) {
            return Ok(());
        }
        // That is answered as a notice.
        if !text.contains("SUBSCRIBE") {
            under_way
                .lock()
                .expect("no test panicked in it")
                .push_back(sent);
        }
        to.write_all(&command)?;
    }
}

fn pass_replies(
    from: &TcpStream,
    mut to: &TcpStream,
    under_way: &Mutex<VecDeque<Sent>>,
    plan: &Plan,
) -> io::Result<()> {
    let mut reader = BufReader::new(from);
    loop {
        let mut reply = Vec::new();
        read_value(&mut reader, &mut reply)?;
        if reply[0] != b'>' {
            let sent = under_way
                .lock()
                .expect("no test panicked in it")
                .pop_front();
            let sent = sent.expect("it answers what was asked");
            if reply == b"*1\r\n$1\r\nt\r\n" {
                plan.leased(&sent.sha256);
                if plan.reached(Step::Leased) {
                    return Ok(());
                }
            }
            if sent.is_store && plan.reached(Step::Stored) {
                return Ok(());
            }
        }
        to.write_all(&reply)?;
    }
}

/// Reads one value of the protocol, whole.
fn read_value(reader: &mut impl BufRead, into: &mut Vec<u8>) -> io::Result<()> {
    let begin = into.len();
    if reader.read_until(b'\n', into)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = String::from_utf8_lossy(&into[begin + 1..]).into_owned();
    let count = line.trim_end().parse::<i64>().unwrap_or(0);
    let count = u64::try_from(count).unwrap_or(0);
    match into[begin] {
        // Without a length there is nothing.
        b'$' if !line.starts_with('-') => {
            reader.take(count + 2).read_to_end(into)?;
        }
        b'*' | b'>' | b'~' => (0..count).try_for_each(|_| read_value(reader, into))?,
        b'%' => (0..2 * count).try_for_each(|_| read_value(reader, into))?,
        _ => {}
    }
    Ok(())
}
