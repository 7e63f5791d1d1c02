//! What belongs together: the processes of a unit, or those that one program started of its
//! own kind, with their TLS libraries and their ports.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::Result;
use staplegun_ocsp::printable;

use crate::check::carried::Carriers;
use crate::check::elf::Image;
use crate::check::program;
use crate::library;
use crate::machine::ports::{self, Port};
use crate::machine::process::{self, Keeper, Process, Survey};
use crate::machine::protocol::listens_for_others;
use crate::machine::sockets::{self, Socket};
use crate::machine::tls::Tls;
use crate::machine::unit::{Unit, is_machine_of_systemd};

/// How a group is told from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A unit of the system's, or of a user's.
    Unit(Option<u32>, String),
    /// The first process of a program that nobody keeps.
    Process(u32),
    /// A port of which this user does not see who listens on it.
    Port(u16),
}

/// A unit or a program.
#[derive(Debug, Default)]
pub struct Group {
    /// Who keeps it.
    pub keeper: Keeper,
    /// The program's file: of a unit that of its first process.
    program: PathBuf,
    /// How its first process calls itself.
    command: String,
    /// The processes, the oldest first; none if it is started by a connection only, or not seen.
    pub pids: Vec<u32>,
    /// Those that have an OpenSSL which is shared, and the library in them; and Node.js with its
    /// own, and the script by which that staples.
    pub with_library: Vec<u32>,
    /// Those that have an OpenSSL which is shared, and not the library; and Node.js with its own,
    /// without the script.
    pub without_library: Vec<u32>,
    /// What of it speaks TLS.
    pub tls: BTreeSet<Tls>,
    /// Where it listens.
    pub ports: Vec<Port>,
    /// Whether its network is another one, so that its ports are not seen.
    pub is_elsewhere: bool,
}

/// The machine, as far as this user may see.
#[derive(Debug)]
pub struct Machine {
    /// All processes.
    pub survey: Survey,
    /// The groups that have a TLS library or listen.
    pub groups: BTreeMap<Key, Group>,
}

impl Machine {
    /// Looks at it: at all groups, or at those that are wanted, and the ports that are.
    ///
    /// # Errors
    ///
    /// If there is no /proc.
    pub fn look(
        carriers: &Carriers,
        is_wanted: impl Fn(&Group) -> bool,
        is_port_wanted: impl Fn(u16) -> bool,
    ) -> Result<Self> {
        let survey = process::all()?;
        let listening = ports::listening()?;
        let by_pid = survey.by_pid();
        let keys: HashMap<u32, Key> = by_pid
            .iter()
            .map(|(pid, process)| (*pid, Key::of(process, &by_pid)))
            .collect();
        let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
        for process in &survey.processes {
            let key = &keys[&process.pid];
            let first = match key {
                Key::Process(pid) => by_pid[pid],
                Key::Unit(..) | Key::Port(_) => process,
            };
            let group = groups.entry(key.clone());
            group.or_insert_with(|| Group::new(first)).add(process);
        }
        groups.retain(|_, group| is_wanted(group));
        let own = std::env::current_exe().ok();
        for process in &survey.processes {
            if let Some(group) = groups.get_mut(&keys[&process.pid])
                && Some(process.path()) != own
            {
                group.look_into(process, carriers);
            }
        }
        // systemd holds the sockets of what is not started yet.
        let waits = is_machine_of_systemd().then_some(1);
        let mut sockets = None;
        for port in listening {
            let mut pids = port
                .pids
                .iter()
                .filter(|pid| Some(**pid) != waits)
                .peekable();
            let number = port.address.port();
            let key = if pids.peek().is_some() {
                holder(pids.filter_map(|pid| keys.get(pid)), &groups)
            } else {
                let sockets = sockets.get_or_insert_with(sockets::all);
                let key = waiting(&port, sockets).unwrap_or(Key::Port(number));
                let unseen = groups.contains_key(&key) || is_wanted(&Group::unseen(&key));
                unseen.then_some(key)
            };
            let key = key.or_else(|| is_port_wanted(number).then_some(Key::Port(number)));
            if let Some(key) = key {
                let group = groups.entry(key).or_insert_with_key(Group::unseen);
                group.ports.push(port);
            }
        }
        groups.retain(|_, group| !group.tls.is_empty() || !group.ports.is_empty());
        Ok(Self { survey, groups })
    }

    /// Looks at the programs of units that a connection starts and that do not run.
    pub fn look_at_waiting(&mut self, lib: Option<&Path>, carriers: &Carriers) {
        for group in self.groups.values_mut() {
            let Keeper::Unit(name) = &group.keeper else {
                continue;
            };
            if !group.pids.is_empty() {
                continue;
            }
            let commands = Unit::read(name).map(|unit| unit.commands());
            let Some(command) = commands.unwrap_or_default().into_iter().next() else {
                continue;
            };
            group.program = command.path.into();
            let library = library::find_for(lib, program::libc(&group.program));
            if let Ok(shim) = library.and_then(|path| Image::read(&path)) {
                group
                    .tls
                    .extend(Tls::of_program(&group.program, &shim, carriers));
            }
        }
    }

    /// The program that listens on a port of a group: of several that have its socket the
    /// first; of a unit that does not run yet its own.
    pub fn listener(&self, group: &Group, port: &Port) -> Option<PathBuf> {
        let pids = port.pids.iter().filter(|pid| group.pids.contains(pid));
        let pids: Vec<u32> = pids.copied().collect();
        let listener = self.processes(&pids).next().map(Process::path);
        listener.or_else(|| group.program().map(Path::to_owned))
    }

    /// The processes of a group.
    pub fn processes<'m>(&'m self, pids: &[u32]) -> impl Iterator<Item = &'m Process> {
        let all = self.survey.processes.iter();
        all.filter(|process| pids.contains(&process.pid))
    }
}

impl Key {
    fn of(process: &Process, by_pid: &HashMap<u32, &Process>) -> Self {
        match &process.keeper {
            Keeper::Unit(name) => Self::Unit(None, name.clone()),
            Keeper::UserUnit(user, name) => Self::Unit(Some(*user), name.clone()),
            Keeper::Container | Keeper::Nobody => {
                let mut first = process;
                while let Some(parent) = by_pid.get(&first.parent)
                    && parent.keeper == process.keeper
                    && (parent.path() == process.path() || listens_for_others(&parent.path()))
                {
                    first = parent;
                }
                Self::Process(first.pid)
            }
        }
    }
}

/// The group that a port belongs to: of those that have its socket, which others may have
/// inherited, one that speaks TLS, else the first; none if none of them is wanted.
fn holder<'k>(keys: impl Iterator<Item = &'k Key>, groups: &BTreeMap<Key, Group>) -> Option<Key> {
    let keys: Vec<&Key> = keys.filter(|key| groups.contains_key(key)).collect();
    let has_tls = |key: &&&Key| groups.get(**key).is_some_and(|group| !group.tls.is_empty());
    keys.iter()
        .find(has_tls)
        .or(keys.first())
        .map(|key| (*key).clone())
}

/// The unit that a connection to the port starts.
fn waiting(port: &Port, sockets: &[Socket]) -> Option<Key> {
    let mut sockets = sockets.iter();
    let socket = sockets.find(|socket| socket.has_port(port.address.port()))?;
    Some(Key::Unit(None, socket.activates.clone()))
}

impl Group {
    fn new(first: &Process) -> Self {
        Self {
            keeper: first.keeper.clone(),
            program: first.path(),
            command: first.name.clone(),
            ..Self::default()
        }
    }

    /// One of which only the port is seen, or the unit that it starts.
    fn unseen(key: &Key) -> Self {
        let keeper = match key {
            Key::Unit(None, name) => Keeper::Unit(name.clone()),
            Key::Unit(Some(user), name) => Keeper::UserUnit(*user, name.clone()),
            Key::Process(_) | Key::Port(_) => Keeper::Nobody,
        };
        Self {
            keeper,
            ..Self::default()
        }
    }

    fn add(&mut self, process: &Process) {
        self.pids.push(process.pid);
        self.is_elsewhere |= process.is_elsewhere;
    }

    fn look_into(&mut self, process: &Process, carriers: &Carriers) {
        let tls = Tls::of(process, carriers);
        let has_shared = tls.iter().any(Tls::is_shared_openssl);
        let has = match process.seen.node(carriers) {
            _ if has_shared => Some(process.seen.library().is_some()),
            has_script => has_script,
        };
        match has {
            Some(true) => self.with_library.push(process.pid),
            Some(false) => self.without_library.push(process.pid),
            None => {}
        }
        self.tls.extend(tls);
    }

    /// Takes over what is seen of it now, but for its ports, which were looked at. One that
    /// has ended again leaves what was seen.
    pub fn update(&mut self, now: Self) {
        if !now.pids.is_empty() {
            let ports = std::mem::take(&mut self.ports);
            *self = Self { ports, ..now };
        }
    }

    /// What people call it: the unit without its ending, else the program.
    pub fn name(&self) -> String {
        const LONGEST: usize = 64;
        let file = self
            .program
            .file_name()
            .unwrap_or_default()
            .as_encoded_bytes();
        let name = match &self.keeper {
            Keeper::Unit(name) | Keeper::UserUnit(_, name) => {
                name.strip_suffix(".service").unwrap_or(name).as_bytes()
            }
            // The kernel keeps the first 15 bytes. Another name than the file's is that of a
            // link to it.
            _ if file.starts_with(self.command.as_bytes()) => file,
            _ => self.command.as_bytes(),
        };
        printable(name, LONGEST)
    }

    /// The program's file, if it is seen.
    pub fn program(&self) -> Option<&Path> {
        Some(self.program.as_path()).filter(|path| !path.as_os_str().is_empty())
    }
}
