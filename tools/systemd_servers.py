"""The servers of tools/systemd-check: how each is given a certificate on a Debian, where it
listens, and which of the documents' lines bring the library into it."""

import collections

# package   Debian's, whose unit is used as it is
# unit      what is started and restarted
# port      where it listens with TLS
# starttls  what s_client has to say first, if anything
# user      whose the certificate's files are, in `tls`
# tls       the directory of chain.pem, server.key and ca.pem
# files     what of its configuration is written, path: text; a path that ends with "+" is appended to
# commands  what else configures it
# page      the document whose blocks are typed: file and heading
Server = collections.namedtuple(
    "Server", "package unit port starttls user tls files commands page")

DROP_IN = ("docs/operators/README.md", "The drop-in")

SERVERS = {
    "redis": Server(
        "redis-server", "redis-server", 6380, None, "redis", "/etc/redis/tls",
        {"/etc/redis/redis.conf+": "port 0\ntls-port 6380\ntls-cert-file /etc/redis/tls/chain.pem\n"
         "tls-key-file /etc/redis/tls/server.key\ntls-ca-cert-file /etc/redis/tls/ca.pem\n"
         "tls-auth-clients no\n"}, [],
        ("README.md", "Every server of a machine")),
    "nginx": Server(
        "nginx-light", "nginx", 8443, None, "root", "/etc/nginx/tls",
        {"/etc/nginx/sites-enabled/default": "server { listen 127.0.0.1:8443 ssl; "
         "ssl_certificate /etc/nginx/tls/chain.pem; ssl_certificate_key /etc/nginx/tls/server.key; }\n"},
        [], DROP_IN),
    "haproxy": Server(
        "haproxy", "haproxy", 8445, None, "root", "/etc/haproxy/tls",
        {"/etc/haproxy/haproxy.cfg+": "frontend tls\n    bind 127.0.0.1:8445 ssl crt /etc/haproxy/tls/both.pem\n"
         "    http-request return status 200\n"},
        ["cat /etc/haproxy/tls/chain.pem /etc/haproxy/tls/server.key > /etc/haproxy/tls/both.pem"],
        DROP_IN),
    "unbound": Server(
        "unbound", "unbound", 8853, None, "root", "/etc/unbound/tls",
        {"/etc/unbound/unbound.conf.d/tls.conf": "server:\n  interface: 127.0.0.1@8853\n  tls-port: 8853\n"
         "  tls-service-pem: /etc/unbound/tls/chain.pem\n  tls-service-key: /etc/unbound/tls/server.key\n"},
        # Its root.key comes from a package that is only recommended.
        ["rm /etc/unbound/unbound.conf.d/root-auto-trust-anchor-file.conf"], DROP_IN),
    "postgresql": Server(
        "postgresql", "postgresql@15-main", 5432, "postgres", "postgres", "/etc/postgresql/tls",
        {"/etc/postgresql/15/main/conf.d/tls.conf": "ssl = on\nssl_cert_file = '/etc/postgresql/tls/chain.pem'\n"
         "ssl_key_file = '/etc/postgresql/tls/server.key'\n"}, [],
        ("docs/operators/postgresql.md", "PostgreSQL")),
    "postfix": Server(
        "postfix", "postfix", 25, "smtp", "root", "/etc/postfix/tls", {},
        ["postconf -e smtpd_tls_cert_file=/etc/postfix/tls/chain.pem "
         "smtpd_tls_key_file=/etc/postfix/tls/server.key smtpd_tls_security_level=may "
         "inet_interfaces=loopback-only inet_protocols=ipv4"],
        ("docs/operators/postfix.md", "Postfix")),
    "dovecot": Server(
        "dovecot-imapd", "dovecot", 993, None, "root", "/etc/dovecot/tls",
        {"/etc/dovecot/conf.d/98-tls.conf": "ssl = required\nssl_cert = </etc/ssl/certs/dovecot.pem\n"
         "ssl_key = </etc/dovecot/tls/server.key\n"},
        ["cp /etc/dovecot/tls/chain.pem /etc/ssl/certs/dovecot.pem"],
        ("docs/operators/dovecot.md", "Dovecot")),
    "apache": Server(
        "apache2", "apache2", 8444, None, "root", "/etc/apache2/tls",
        {"/etc/apache2/ports.conf": "", "/etc/apache2/conf-enabled/tls.conf":
         "ServerName localhost\nListen 127.0.0.1:8444\n<VirtualHost 127.0.0.1:8444>\nSSLEngine on\n"
         "SSLCertificateFile /etc/apache2/tls/chain.pem\nSSLCertificateKeyFile /etc/apache2/tls/server.key\n"
         "</VirtualHost>\n"},
        ["a2enmod -q ssl", "a2dissite -q 000-default"],
        ("docs/operators/apache.md", "Apache")),
}
