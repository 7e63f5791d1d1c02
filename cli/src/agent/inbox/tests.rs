//! The thread goes on whatever happens in it.

use std::sync::mpsc::channel;

use staplegun_store::layout::Layout;
use staplegun_testkit::{Directory, wait};

use super::*;
use crate::agent::testing::logged;
use crate::fetch::{Issuers, Trust};

#[test]
fn a_panic_costs_what_it_is_about_and_nothing_else() {
    let directory = Directory::new();
    let manner = Arc::new(Settings::default().manner(Trust::default()));
    let (events, told) = channel();
    let mut inbox = Inbox::start(
        Layout::at(directory.path()).spool(),
        manner,
        Box::new(|| panic!("a bug")),
        &Arc::new(Issuers::default()),
        &SpoolRefused::default(),
        &events,
    )
    .expect("there are threads");
    let next = || told.recv_timeout(wait::limit()).expect("it goes on");
    inbox.configure();
    let Event::Configured(read) = next() else {
        panic!("the agent waits for that");
    };
    let error = read.expect_err("it panicked").to_string();
    assert!(error.contains("panicked"), "{error}");
    assert!(matches!(next(), Event::Emptied(1)));
    inbox.look();
    assert!(matches!(next(), Event::Emptied(2)));
}

#[test]
fn a_spool_that_cannot_be_used_is_told_once_and_used_as_soon_as_it_can_be() {
    let directory = Directory::new();
    let layout = Layout::at(directory.path());
    let (events, _told) = channel();
    let mut thread = Thread {
        path: layout.spool(),
        reload: Box::new(|| panic!("nobody asks for it")),
        examiner: Examiner {
            manner: Arc::new(Settings::default().manner(Trust::default())),
            issuers: Arc::default(),
            events: events.clone(),
        },
        refused: SpoolRefused::default(),
        events,
        drop_box: None,
        is_failing: false,
        budget: Budget::default(),
        refusals: Refusals::default(),
    };
    let in_the_way = directory.write("spool", "a file");
    assert_eq!(thread.path, in_the_way);
    let log = logged(|| (0..3).for_each(|_| thread.open()));
    assert!(
        log.len() == 1 && log[0].contains("cannot use the spool"),
        "{log:?}"
    );
    std::fs::remove_file(in_the_way).expect("it is ours");
    thread.open();
    assert!(thread.drop_box.is_some());
}
