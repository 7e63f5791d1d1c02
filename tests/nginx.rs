//! nginx misses the first handshake of each worker when it fetches by itself;
//! here it does not staple, or staples a file of its own. It loads certificates
//! by BIO, so that nobody sees a path.

use staplegun_testkit::contract;
use staplegun_testkit::hosts::Nginx;

#[test]
fn staples_nothing_by_itself() {
    contract::staples_nothing_by_itself(&Nginx::new());
}

#[test]
fn staples_a_response_file_from_the_first_handshake() {
    contract::staples_a_response_file(&Nginx::new());
}

#[test]
fn staples_nothing_that_clients_refuse() {
    contract::staples_nothing_that_clients_refuse(&Nginx::new());
}

#[test]
fn its_own_response_wins_unchanged() {
    let host = Nginx::new().own_response("own.der");
    contract::the_programs_own_response_wins(&host, "own.der");
}
