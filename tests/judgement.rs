//! The library is held to the one table of what a response is worth: two files, in
//! the order in which a responder gave them.

use staplegun_testkit::cases::cases;
use staplegun_testkit::hosts::Python;
use staplegun_testkit::{Host, Shim, Site};

#[test]
fn the_library_staples_from_files_what_the_table_says() {
    let (site, host) = (Site::new(), Python::new());
    let mut wrong = Vec::new();
    for case in cases(&site.leaf, &site.root) {
        let before = case.before.as_ref();
        let before = before.map(|before| site.write("before.der", before));
        let comes = site.write("comes.der", &case.comes);
        let files: Vec<_> = before.iter().chain([&comes]).collect();
        let paths: Vec<_> = files.iter().map(|path| path.as_path()).collect();
        let server = host.start(&site, &Shim::preloaded().responses(&paths));
        let handshake = host.client(&server, &site).handshake();
        assert!(handshake.completed, "{}: {}", case.name, handshake.output);
        if handshake.staple.as_deref() != case.expected() {
            wrong.push(case.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
