//! Real servers as hosts of the library, each with the smallest configuration
//! that speaks TLS.

mod apache;
mod dovecot;
mod exim;
mod gunicorn;
mod haproxy;
mod host;
mod lighttpd;
mod mariadb;
mod memcached;
mod mosquitto;
mod nginx;
mod node;
mod postfix;
pub(crate) mod postgres;
mod python;
mod redis;
mod s_server;
mod squid;
mod stunnel;
mod unbound;
mod vsftpd;

pub use apache::{Apache, Mpm};
pub use dovecot::{Dovecot, Login};
pub use exim::Exim;
pub use gunicorn::Gunicorn;
pub use haproxy::{HaProxy, HaProxyService};
pub use host::Host;
pub use lighttpd::Lighttpd;
pub use mariadb::MariaDb;
pub use memcached::Memcached;
pub use mosquitto::Mosquitto;
pub use nginx::Nginx;
pub use node::Node;
pub use postfix::Postfix;
pub use postgres::Postgres;
pub use python::Python;
pub use redis::{Redis, Valkey};
pub use s_server::OpensslServer;
pub use squid::Squid;
pub use stunnel::Stunnel;
pub use unbound::Unbound;
pub use vsftpd::Vsftpd;
