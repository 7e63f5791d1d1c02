//! The thread that looks at the files in `staples/`, where others may have put a better
//! response, or damaged or removed what the agent wrote. None is believed: each is judged
//! here, as an answer of a responder is. A disk that hangs, and what takes cryptography,
//! hold up this thread and not the main one.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use staplegun_store::Key;
use staplegun_store::files::{Files, Stamp};
use staplegun_store::layout::Layout;

use super::clock;
use super::event::{Event, Found, Looked};
use super::stored;
use super::worker::caught;
use crate::fetch::{self, Issued, Manner, Subject};

/// How often a file is judged anew that was replaced meanwhile.
const ATTEMPTS: u32 = 3;

/// A file to be looked at.
#[derive(Debug)]
pub struct Look {
    /// Whose response it is.
    pub subject: Arc<Subject>,
    /// Which file was seen there last,
    pub seen: Option<Stamp>,
    /// and what is in use, which need not be judged again.
    pub in_use: Option<Vec<u8>>,
}

/// What the thread is told: by which manner to judge, and what to look at.
type Order = (Arc<Manner>, Vec<Look>);

/// The thread, as the main one sees it.
#[derive(Debug)]
pub struct Looker {
    orders: Sender<Order>,
    is_busy: bool,
}

impl Looker {
    /// Starts the thread, which tells `events` what it finds.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(layout: &Layout, events: &Sender<Event>) -> std::io::Result<Self> {
        let (sender, orders) = channel();
        let (layout, events) = (layout.clone(), events.clone());
        std::thread::Builder::new()
            .name("staples".to_owned())
            .spawn(move || work(&layout, &orders, &events))?;
        Ok(Self {
            orders: sender,
            is_busy: false,
        })
    }

    /// Looks at these; [`Event::Looked`] follows, and [`Looker::looked`].
    pub fn look(&mut self, manner: Arc<Manner>, looks: Vec<Look>) {
        // The thread ends with the process only.
        self.is_busy = self.orders.send((manner, looks)).is_ok();
    }

    /// It has looked.
    pub fn looked(&mut self) {
        self.is_busy = false;
    }

    /// Whether it is looking.
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }
}

fn work(layout: &Layout, orders: &Receiver<Order>, events: &Sender<Event>) {
    let files = Files::new(layout.lasting());
    while let Ok((manner, looks)) = orders.recv() {
        let looked = looks
            .iter()
            .filter_map(|one| caught(|| look(layout, &files, &manner, one)).flatten());
        // Without a main thread the process is ending.
        if events.send(Event::Looked(looked.collect())).is_err() {
            return;
        }
    }
}

/// None if the file is the one that was seen last.
fn look(layout: &Layout, files: &Files, manner: &Manner, look: &Look) -> Option<Looked> {
    let Look {
        subject,
        seen,
        in_use,
    } = look;
    let (key, issuer) = (subject.key(), subject.issuer()?);
    let mut stamp = stored::stamp_of_response(layout, &key);
    if stamp == *seen {
        return None;
    }
    let mut found = find(files, &key, in_use.as_deref(), issuer, manner);
    for _ in 1..ATTEMPTS {
        if matches!(found, Found::InUse) {
            // Nothing follows from it: what is there by now is told by a notice.
            break;
        }
        let now = stored::stamp_of_response(layout, &key);
        if now == stamp {
            break;
        }
        stamp = now;
        found = find(files, &key, in_use.as_deref(), issuer, manner);
    }
    Some(Looked { key, stamp, found })
}

fn find(
    files: &Files,
    key: &Key,
    in_use: Option<&[u8]>,
    issuer: &Issued,
    manner: &Manner,
) -> Found {
    let der = match files.staples.read(key) {
        Ok(der) => der,
        Err(error) if error.is_for_good() => stored::or_warn(Err(error)),
        Err(error) => return Found::Unreadable(error),
    };
    match der {
        None => Found::Nothing,
        Some(der) if Some(der.as_slice()) == in_use => Found::InUse,
        Some(der) => {
            let judgement = fetch::judge(&der, issuer, clock::now(), &manner.policy);
            Found::Response(der, judgement)
        }
    }
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::directory::set_mode;
    use staplegun_testkit::{Directory, Identity, Spec};

    use super::*;
    use crate::agent::settings::Settings;
    use crate::agent::testing::as_nobody;
    use crate::fetch::{Issuers, Trust};

    #[test]
    fn a_file_that_may_be_readable_later_is_told_from_what_never_holds_a_response() {
        let directory = Directory::new();
        let files = Files::open(directory.path()).expect("it is ours");
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let ders = vec![ca.issue(&Spec::server()).der(), ca.der()];
        let subject = Subject::new(ders, &Issuers::default()).expect("a certificate");
        let manner = Settings::default().manner(Trust::default());
        let issuer = subject.issuer().expect("it came along");
        let path = files.staples.path_of(&subject.key());
        let find = || as_nobody(|| find(&files, &subject.key(), None, issuer, &manner));
        assert!(matches!(find(), Found::Nothing));
        std::os::unix::fs::symlink("elsewhere", &path).expect("it is ours");
        assert!(matches!(find(), Found::Nothing));
        std::fs::remove_file(&path).expect("it is there");
        std::fs::write(&path, "no response").expect("it is ours");
        assert!(matches!(find(), Found::Response(_, Err(_))));
        set_mode(&path, 0);
        assert!(matches!(find(), Found::Unreadable(_)));
    }
}
