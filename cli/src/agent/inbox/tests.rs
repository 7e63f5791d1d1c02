//! The thread goes on whatever happens in it.

use std::sync::mpsc::channel;

use staplegun_store::layout::Layout;
use staplegun_testkit::{Directory, wait};

use super::*;
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
