//! Where a spool lies: whose it must be, and whether it is still there.
#![cfg(feature = "agent")]

mod support;

use staplegun_store::spool::DropBox;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use support::Scratch;

#[test]
fn a_spool_that_is_a_link_is_refused() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir(at("a")).unwrap();
    symlink(at("a"), at("b")).unwrap();
    assert!(DropBox::open(&at("b")).is_err());
    fs::set_permissions(at("a"), Permissions::from_mode(0o700)).unwrap();
    // Only root can give it away.
    if chown(at("a"), Some(65534), None).is_ok() {
        let error = DropBox::open(&at("a")).unwrap_err();
        assert!(error.to_string().contains("65534"), "{error}");
    }
}

/// Programs leave their certificates at the path: the agent that looks elsewhere sees none.
#[test]
fn a_spool_that_was_moved_or_replaced_lies_there_no_more() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name);
    let spool = DropBox::open(&at("spool")).unwrap();
    assert!(spool.lies_at(&at("spool")));
    fs::rename(at("spool"), at("elsewhere")).unwrap();
    assert!(!spool.lies_at(&at("spool")), "there is nothing");
    assert!(spool.lies_at(&at("elsewhere")));
    // No program follows a link to it.
    symlink(at("elsewhere"), at("spool")).unwrap();
    assert!(!spool.lies_at(&at("spool")), "there is a link");
    fs::remove_file(at("spool")).unwrap();
    let another = DropBox::open(&at("spool")).unwrap();
    assert!(!spool.lies_at(&at("spool")), "there is another");
    assert!(another.lies_at(&at("spool")));
}
