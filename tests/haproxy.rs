//! HAProxy staples the `.ocsp` file beside its certificate. It asks libssl for
//! the status callback and crashes at start when it finds one that is not its own.

use staplegun_testkit::contract;
use staplegun_testkit::hosts::HaProxy;

#[test]
fn staples_nothing_by_itself() {
    contract::staples_nothing_by_itself(&HaProxy);
}

#[test]
fn staples_a_response_file_from_the_first_handshake() {
    contract::staples_a_response_file(&HaProxy);
}

#[test]
fn staples_nothing_that_clients_refuse() {
    contract::staples_nothing_that_clients_refuse(&HaProxy);
}

#[test]
fn its_own_response_wins_unchanged() {
    contract::the_programs_own_response_wins(&HaProxy, "bundle.pem.ocsp");
}
