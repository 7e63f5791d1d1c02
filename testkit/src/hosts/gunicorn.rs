//! gunicorn: an arbiter that forks workers; each makes a context for every connection.

use super::host::{Host, installed};
use crate::directory::{Directory, set_mode};
use crate::program::{Program, Server};
use crate::shim::Shim;
use crate::site::Site;

const APPLICATION: &str = "
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '0')])
    return []
";

/// gunicorn with TLS, as an unprivileged user.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gunicorn;

impl Host for Gunicorn {
    fn start(&self, site: &Site, shim: &Shim) -> Server {
        let gunicorn = installed(&["/usr/bin/gunicorn"], "gunicorn");
        let directory = Directory::new();
        directory.write("application.py", APPLICATION);
        // Where it makes a socket for its own tool, from 25 on.
        let home = directory.join("home");
        std::fs::create_dir(&home).expect("a directory can be made");
        set_mode(&home, 0o1777);
        let mut server = Program::start_on_free_port(|port| {
            let program = Program::new(&gunicorn)
                .args(["--bind", &format!("127.0.0.1:{port}"), "--workers", "2"])
                // TLS 1.2 and 1.3; its default is 1.2 at most, by its own word.
                .args(["--ssl-version", "2", "--worker-tmp-dir", "/dev/shm"])
                .arg("--chdir")
                .arg(directory.path())
                .arg("--certfile")
                .arg(site.path("chain.pem"))
                .arg("--keyfile")
                .arg(site.path("key.pem"))
                .arg("application")
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("HOME", &home)
                .user("nobody");
            shim.apply(program)
        });
        server.keep(directory);
        server
    }

    fn reload(&self, server: &Server, _site: &Site) -> Option<&'static str> {
        server.hang_up();
        Some("SIGHUP")
    }
}
