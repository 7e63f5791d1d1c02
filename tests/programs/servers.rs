//! One test for each server.

use staplegun_testkit::hosts::{
    Apache, Dovecot, Exim, Gunicorn, HaProxy, HaProxyService, Lighttpd, Login, MariaDb, Memcached,
    Mosquitto, Mpm, Nginx, Node, OpensslServer, Postfix, Postgres, Python, Redis, Squid, Stunnel,
    Unbound, Valkey, Vsftpd,
};
use staplegun_testkit::{Host, Site, Tls};

use crate::confinement::user;
use crate::document;
use crate::live_map::LiveMap;
use crate::ring::{Case, Own, hold, hold_by_file, hold_by_script, hold_unreached};

#[test]
fn vsftpd() {
    hold(Case {
        name: "vsftpd",
        package: "vsftpd",
        host: Vsftpd,
        confined: user("nobody").chroot().limited(),
        from_file: true,
        own: Own::Nothing,
    });
}

#[test]
fn dovecot() {
    hold(Case {
        name: "Dovecot (imaps, login not in a chroot)",
        package: "dovecot-imapd",
        host: Dovecot::new(Login::Outside),
        confined: user("dovenull").limited(),
        from_file: true,
        own: Own::Nothing,
    });
}

/// It makes its first context when it is in the chroot, where files cannot be reached;
/// the live map is mapped and response files are read before.
#[test]
fn dovecot_with_its_login_in_a_chroot() {
    hold(Case {
        name: "Dovecot (imaps, login in its chroot)",
        package: "dovecot-imapd",
        host: Dovecot::new(Login::Chroot),
        confined: user("dovenull").chroot().limited(),
        from_file: true,
        own: Own::Nothing,
    });
}

/// Unpacked, since it cannot be installed beside Postfix.
#[test]
fn exim() {
    if document::suite().is_some() {
        return;
    }
    hold_by_file("Exim (GnuTLS)", document::EXIM, &Exim, &user("nobody"));
}

#[test]
fn postfix() {
    hold(Case {
        name: "Postfix (smtpd)",
        package: "postfix",
        host: Postfix::chroot(false),
        confined: user("postfix"),
        from_file: true,
        own: Own::Nothing,
    });
}

#[test]
fn postfix_in_a_chroot() {
    hold(Case {
        name: "Postfix (smtpd, chroot)",
        package: "postfix",
        host: Postfix::chroot(true),
        confined: user("postfix").chroot(),
        from_file: true,
        own: Own::Nothing,
    });
}

fn apache(name: &'static str, mpm: Mpm) {
    hold(Case {
        name,
        package: "apache2",
        host: Apache::new(mpm),
        confined: user("www-data"),
        from_file: true,
        own: Own::Fetched(Apache::new(mpm).own_stapling("")),
    });
}

#[test]
fn apache_prefork() {
    apache("Apache (prefork)", Mpm::Prefork);
}

#[test]
fn apache_event() {
    apache("Apache (event)", Mpm::Event);
}

#[test]
fn stunnel() {
    hold(Case {
        name: "stunnel",
        package: "stunnel4",
        host: Stunnel::new(),
        confined: user(Stunnel::user()).chroot(),
        from_file: true,
        own: Own::Nothing,
    });
}

#[test]
fn mosquitto() {
    hold(Case {
        name: "Mosquitto",
        package: "mosquitto",
        host: Mosquitto,
        confined: user("mosquitto"),
        from_file: true,
        own: Own::Nothing,
    });
}

/// Debian 11's is built without TLS.
#[test]
fn memcached() {
    if document::suite() == Some("bullseye") {
        return;
    }
    hold(Case {
        name: "memcached",
        package: "memcached",
        host: Memcached,
        confined: user("memcache"),
        from_file: true,
        own: Own::Nothing,
    });
}

#[test]
fn lighttpd() {
    hold(Case {
        name: "lighttpd",
        package: "lighttpd",
        host: Lighttpd::new(),
        confined: user("www-data"),
        from_file: true,
        own: Own::File(Lighttpd::new().own_response("own.der"), "own.der"),
    });
}

#[test]
fn squid() {
    hold(Case {
        name: "Squid (-N)",
        package: "squid-openssl",
        host: Squid::master(false),
        confined: user("proxy"),
        from_file: true,
        own: Own::Nothing,
    });
}

/// The master becomes proxy and then executes the worker with root's real user:
/// the loader takes that for setuid and ignores LD_PRELOAD.
#[test]
fn squid_with_a_master_started_as_root_is_not_reached() {
    hold_unreached(
        "Squid (master and worker, started as root)",
        "squid-openssl",
        &Squid::master(true),
        "the loader ignores LD_PRELOAD in the worker",
    );
}

#[test]
fn gunicorn() {
    hold(Case {
        name: "gunicorn",
        package: "gunicorn",
        host: Gunicorn,
        confined: user("nobody"),
        from_file: true,
        own: Own::Nothing,
    });
}

#[test]
fn haproxy() {
    hold(Case {
        name: "HAProxy (one process)",
        package: "haproxy",
        host: HaProxy,
        confined: user("nobody"),
        from_file: true,
        own: Own::File(HaProxy, "bundle.pem.ocsp"),
    });
}

#[test]
fn haproxy_with_master_threads_and_chroot() {
    hold(Case {
        name: "HAProxy (master-worker, threads, chroot)",
        package: "haproxy",
        host: HaProxyService,
        confined: user("haproxy").chroot(),
        from_file: true,
        own: Own::File(HaProxyService, "bundle.pem.ocsp"),
    });
}

#[test]
fn nginx() {
    hold(Case {
        name: "nginx",
        package: "nginx",
        host: Nginx::new(),
        confined: user("nobody"),
        from_file: true,
        own: Own::File(Nginx::new().own_response("own.der"), "own.der"),
    });
}

#[test]
fn postgres() {
    hold(Case {
        name: "PostgreSQL",
        package: "postgresql-15",
        host: Postgres::new(),
        confined: user("postgres"),
        from_file: true,
        own: Own::Nothing,
    });
}

#[test]
fn postgres_started_by_pg_ctlcluster() {
    hold(Case {
        name: "PostgreSQL (pg_ctlcluster)",
        package: "postgresql-15",
        host: Postgres::new().pg_ctlcluster(),
        confined: user("postgres"),
        from_file: true,
        own: Own::Nothing,
    });
}

#[test]
fn mariadb() {
    hold(Case {
        name: "MariaDB",
        package: "mariadb-server-core",
        host: MariaDb::new(),
        confined: user("nobody"),
        from_file: true,
        own: Own::Nothing,
    });
}

#[test]
fn unbound() {
    hold(Case {
        name: "Unbound (DNS over TLS)",
        package: "unbound",
        host: Unbound,
        confined: user("unbound"),
        from_file: true,
        own: Own::Nothing,
    });
}

#[test]
fn redis() {
    hold(Case {
        name: "Redis",
        package: "redis-server",
        host: Redis,
        confined: user("nobody"),
        from_file: true,
        own: Own::Nothing,
    });
}

/// Where there is a package of it: from Debian 13 on.
#[test]
fn valkey() {
    if document::suite().is_none_or(|suite| suite == "bullseye") {
        return;
    }
    hold(Case {
        name: "Valkey",
        package: "valkey-server",
        host: Valkey,
        confined: user("nobody"),
        from_file: true,
        own: Own::Nothing,
    });
}

#[test]
fn python() {
    hold(Case {
        name: "Python (http.server)",
        package: "python3",
        host: Python::new(),
        confined: user("nobody"),
        from_file: true,
        own: Own::Nothing,
    });
}

#[test]
fn openssl_s_server() {
    hold(Case {
        name: "openssl s_server",
        package: "openssl",
        host: OpensslServer::new(),
        confined: user("nobody"),
        from_file: true,
        own: Own::File(OpensslServer::new().own_response("own.der"), "own.der"),
    });
}

/// The machine's, where that is Debian's.
#[test]
fn node() {
    if !Node::uses_the_systems_openssl() {
        return;
    }
    hold(Case {
        name: "Node.js (Debian's)",
        package: "nodejs",
        host: Node::new(),
        confined: user("nobody"),
        from_file: true,
        own: Own::File(Node::new().own_response("own.der"), "own.der"),
    });
}

/// Where the library reaches Node.js, the script leaves everything to it.
#[test]
fn node_with_the_library_and_the_script() {
    if !Node::uses_the_systems_openssl() {
        return;
    }
    let (site, mut map) = (Site::new(), LiveMap::new());
    let ours = site.good().der();
    map.publish(&site, &ours);
    map.show(&site, &site.good().this_update(-60).der());
    let host = Node::new().with_script();
    let server = host.start(&site, &map.shim());
    for tls in Tls::ALL {
        let client = host.client(&server, &site).tls(tls);
        client.handshake().assert_stapled(&ours);
    }
}

/// The same build in each Debian.
#[test]
fn node_with_an_openssl_of_its_own() {
    if document::suite().is_some() {
        return;
    }
    let host = Node::of_the_project();
    hold_by_script(&Case {
        name: "Node.js (the project's build)",
        package: document::NODE,
        own: Own::File(host.clone().own_response("own.der"), "own.der"),
        host,
        confined: user("nobody"),
        from_file: false,
    });
}
