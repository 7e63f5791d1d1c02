//! Python's ssl module cannot staple. It brings libssl by dlopen with RTLD_LOCAL.

use staplegun_testkit::contract;
use staplegun_testkit::hosts::Python;

#[test]
fn staples_nothing_by_itself() {
    contract::staples_nothing_by_itself(&Python::new());
}

#[test]
fn staples_a_response_file_from_the_first_handshake() {
    contract::staples_a_response_file(&Python::new());
}

#[test]
fn staples_the_response_beside_its_certificate() {
    contract::staples_the_response_beside_its_certificate(&Python::new());
}

#[test]
fn staples_nothing_that_clients_refuse() {
    contract::staples_nothing_that_clients_refuse(&Python::new());
}
