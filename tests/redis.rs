//! Redis cannot staple. It rebuilds its environment when it starts.

use staplegun_testkit::contract;
use staplegun_testkit::hosts::Redis;

#[test]
fn staples_nothing_by_itself() {
    contract::staples_nothing_by_itself(&Redis);
}

#[test]
fn staples_a_response_file_from_the_first_handshake() {
    contract::staples_a_response_file(&Redis);
}

#[test]
fn staples_the_response_beside_its_certificate() {
    contract::staples_the_response_beside_its_certificate(&Redis);
}

#[test]
fn staples_nothing_that_clients_refuse() {
    contract::staples_nothing_that_clients_refuse(&Redis);
}
