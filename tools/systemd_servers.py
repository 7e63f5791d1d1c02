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

DROP_IN = ("docs/operators/README.md", "By hand")
ENABLE = ("docs/operators/README.md", "Bringing the library into a service")

# Where a unit has more ports with TLS than one.
ALSO = {"dovecot": [(995, None), (587, "smtp")]}

UNIT = """[Service]
User=www-data
ExecStart={command}

[Install]
WantedBy=multi-user.target
"""

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
    "lighttpd": Server(
        "lighttpd lighttpd-mod-openssl", "lighttpd", 8446, None, "www-data", "/etc/lighttpd/tls",
        {"/etc/lighttpd/conf-enabled/99-tls.conf": 'server.modules += ( "mod_openssl" )\n'
         '$SERVER["socket"] == "127.0.0.1:8446" {\n  ssl.engine = "enable"\n'
         '  ssl.pemfile = "/etc/lighttpd/tls/chain.pem"\n  ssl.privkey = "/etc/lighttpd/tls/server.key"\n}\n'},
        [], DROP_IN),
    "unbound": Server(
        # The second has what its profile for AppArmor takes in, and what reads that.
        "unbound apparmor", "unbound", 8853, None, "root", "/etc/unbound/tls",
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
        "dovecot-imapd dovecot-pop3d dovecot-submissiond", "dovecot", 993, None, "root", "/etc/dovecot/tls",
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
    "squid": Server(
        "squid-openssl", "squid", 8448, None, "proxy", "/etc/squid/tls",
        {"/etc/squid/conf.d/tls.conf": "https_port 127.0.0.1:8448 accel defaultsite=localhost "
         "tls-cert=/etc/squid/tls/chain.pem tls-key=/etc/squid/tls/server.key\n"
         "visible_hostname localhost\nshutdown_lifetime 0 seconds\n"}, [],
        ENABLE),
    "mosquitto": Server(
        "mosquitto", "mosquitto", 8883, None, "mosquitto", "/etc/mosquitto/tls",
        {"/etc/mosquitto/conf.d/tls.conf": "listener 8883 127.0.0.1\n"
         "certfile /etc/mosquitto/tls/chain.pem\nkeyfile /etc/mosquitto/tls/server.key\n"},
        [], DROP_IN),
    "memcached": Server(
        "memcached", "memcached", 11211, None, "root", "/etc/memcached/tls",
        {"/etc/memcached.conf+": "--enable-ssl\n"
         "-o ssl_chain_cert=/etc/memcached/tls/chain.pem,ssl_key=/etc/memcached/tls/server.key\n"},
        # Its unit takes from root what lets root read everything.
        ["chgrp memcache /etc/memcached/tls/server.key", "chmod 640 /etc/memcached/tls/server.key"],
        DROP_IN),
    "vsftpd": Server(
        "vsftpd", "vsftpd", 21, "ftp", "root", "/etc/vsftpd/tls",
        {"/etc/vsftpd.conf+": "ssl_enable=YES\nssl_ciphers=HIGH\n"
         "rsa_cert_file=/etc/vsftpd/tls/chain.pem\nrsa_private_key_file=/etc/vsftpd/tls/server.key\n"},
        [], DROP_IN),
    "stunnel": Server(
        "stunnel4", "stunnel@tls", 8447, None, "root", "/etc/stunnel/tls",
        {"/etc/stunnel/tls.conf": "foreground = yes\npid = /run/stunnel-tls.pid\n[tls]\naccept = 127.0.0.1:8447\n"
         "connect = 127.0.0.1:8443\ncert = /etc/stunnel/tls/chain.pem\nkey = /etc/stunnel/tls/server.key\n"},
        ["systemctl enable stunnel@tls"], DROP_IN),
    "mariadb": Server(
        "mariadb-server", "mariadb", 3306, "mysql", "mysql", "/etc/mysql/tls",
        {"/etc/mysql/mariadb.conf.d/99-tls.cnf": "[mariadbd]\nssl-cert = /etc/mysql/tls/chain.pem\n"
         "ssl-key = /etc/mysql/tls/server.key\nssl-ca = /etc/mysql/tls/ca.pem\n"},
        [], DROP_IN),
    # Units of an operator's own.
    "python": Server(
        "python3", "app-python", 8451, None, "www-data", "/etc/app-python/tls",
        {"/etc/systemd/system/app-python.service": UNIT.format(
            command="/usr/bin/python3 /etc/app-python/app.py"),
         "/etc/app-python/app.py": "import http.server, ssl\n"
         "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
         "context.load_cert_chain('/etc/app-python/tls/chain.pem', '/etc/app-python/tls/server.key')\n"
         "server = http.server.HTTPServer(('127.0.0.1', 8451), http.server.BaseHTTPRequestHandler)\n"
         "server.socket = context.wrap_socket(server.socket, server_side=True)\n"
         "server.serve_forever()\n"},
        ["systemctl daemon-reload", "systemctl enable app-python"], DROP_IN),
    "gunicorn": Server(
        "gunicorn", "app-gunicorn", 8452, None, "www-data", "/etc/app-gunicorn/tls",
        {"/etc/systemd/system/app-gunicorn.service": UNIT.format(
            command="/usr/bin/gunicorn --chdir /etc/app-gunicorn --workers 2 --bind 127.0.0.1:8452 "
            "--certfile /etc/app-gunicorn/tls/chain.pem --keyfile /etc/app-gunicorn/tls/server.key app:app\n"
            "ExecReload=/bin/kill -HUP $MAINPID"),
         "/etc/app-gunicorn/app.py": "def app(environ, start):\n    start('200 OK', [])\n    return []\n"},
        ["systemctl daemon-reload", "systemctl enable app-gunicorn"], DROP_IN),
    "node": Server(
        "nodejs", "app-node", 8453, None, "www-data", "/etc/app-node/tls",
        {"/etc/systemd/system/app-node.service": UNIT.format(command="/usr/bin/node /etc/app-node/app.js"),
         "/etc/app-node/app.js": "const fs = require('fs');\nrequire('https').createServer({\n"
         "  cert: fs.readFileSync('/etc/app-node/tls/chain.pem'),\n"
         "  key: fs.readFileSync('/etc/app-node/tls/server.key'),\n"
         "}, (request, response) => response.end()).listen(8453, '127.0.0.1');\n"},
        ["systemctl daemon-reload", "systemctl enable app-node"], DROP_IN),
    "s_server": Server(
        "openssl", "app-openssl", 8454, None, "www-data", "/etc/app-openssl/tls",
        {"/etc/systemd/system/app-openssl.service": UNIT.format(
            command="/usr/bin/openssl s_server -accept 127.0.0.1:8454 -www "
            "-cert /etc/app-openssl/tls/chain.pem -cert_chain /etc/app-openssl/tls/chain.pem "
            "-key /etc/app-openssl/tls/server.key")},
        ["systemctl daemon-reload", "systemctl enable app-openssl"], DROP_IN),
}

# Those of docs/operators/files.md, which read what the agent shows as files.
OF_FILES = {
    "nginx": SERVERS["nginx"],
    "haproxy": SERVERS["haproxy"],
    # Reloaded, it reads the key as its own user.
    "lighttpd": SERVERS["lighttpd"]._replace(user="www-data"),
    "hitch": Server(
        "hitch", "hitch", 8447, None, "root", "/etc/hitch/tls",
        {"/etc/hitch/hitch.conf": 'frontend = "[127.0.0.1]:8447"\nbackend = "[127.0.0.1]:8443"\n'
         'ocsp-dir = "/etc/hitch/ocsp"\npem-file = "/etc/hitch/tls/both.pem"\n'},
        ["cat /etc/hitch/tls/chain.pem /etc/hitch/tls/server.key > /etc/hitch/tls/both.pem",
         "install -d -o _hitch -m 700 /etc/hitch/ocsp"], None),
    "exim4": Server(
        "exim4-daemon-light", "exim4", 25, "smtp", "Debian-exim", "/etc/exim4/tls",
        {"/etc/exim4/conf.d/main/00_tls": "MAIN_TLS_ENABLE = yes\n"
         "MAIN_TLS_CERTIFICATE = /etc/exim4/tls/chain.pem\nMAIN_TLS_PRIVATEKEY = /etc/exim4/tls/server.key\n"},
        ["sed -i -e \"s/^dc_use_split_config=.*/dc_use_split_config='true'/\""
         " -e \"s/^dc_local_interfaces=.*/dc_local_interfaces='127.0.0.1'/\" /etc/exim4/update-exim4.conf.conf",
         "update-exim4.conf"], None),
}
