//! PostgreSQL cannot staple. It loads its certificate once and forks, without
//! exec, for every connection.

use staplegun_testkit::contract;
use staplegun_testkit::hosts::Postgres;

#[test]
fn staples_nothing_by_itself() {
    contract::staples_nothing_by_itself(&Postgres::new());
}

#[test]
fn staples_a_response_file_from_the_first_handshake() {
    contract::staples_a_response_file(&Postgres::new());
}

#[test]
fn staples_the_response_beside_its_certificate() {
    contract::staples_the_response_beside_its_certificate(&Postgres::new());
}

#[test]
fn staples_nothing_that_clients_refuse() {
    contract::staples_nothing_that_clients_refuse(&Postgres::new());
}
