//! vsftpd, which forks for every connection and shakes hands in an empty chroot,
//! under a limit of its address space.

use std::fs;

use super::host::{Host, installed};
use crate::directory::Directory;
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

/// vsftpd, started as root, with its defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vsftpd;

impl Host for Vsftpd {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let vsftpd = installed(&["/usr/sbin/vsftpd"], "vsftpd");
        let directory = Directory::new();
        let empty = directory.join("empty");
        fs::create_dir(&empty).expect("a new directory");
        let mut server = Program::start_on_free_port(|port| {
            // Its ciphers are for RSA by default.
            let configuration = format!(
                "listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
secure_chroot_dir={}
ssl_enable=YES
allow_anon_ssl=YES
ssl_ciphers=HIGH
rsa_cert_file={}
rsa_private_key_file={}
",
                empty.display(),
                site.path("chain.pem").display(),
                site.path("key.pem").display(),
            );
            let file = directory.write("vsftpd.conf", configuration);
            shim.apply(Program::new(&vsftpd).arg(file))
        });
        server.keep(directory);
        server
    }

    fn starttls(&self) -> Option<&'static str> {
        Some("ftp")
    }
}
