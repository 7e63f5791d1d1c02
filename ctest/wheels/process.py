"""The process under test: one Python with several libssl images, doing TLS with each.

    process.py PLAN

PLAN is JSON: "order" (the libraries, in the order they are imported), "postgres",
"mysql" and "detours" (ports), "pki", and "shim" (whether it is there). Prints facts,
"label<TAB>value"; what they must be stands in `run`.
"""

import ctypes
import json
import re
import socket
import sys
import threading

PLAN = json.loads(sys.argv[1])
HOST = "server.test"
CA = f"{PLAN['pki']}/ca.pem"
# Seconds for a connection: only a hang takes as long.
LIMIT = 60
# The detour's server answers a line, and closes on CLOSE: this as a user's name makes an
# end of what got past the handshake.
LINE = "line\nCLOSE\n"
USER = "tester"
COMMAND_SET_TYPE, COMMAND_GET_TYPE = 65, 127


def fact(label, value):
    print(f"{label}\t{value}", flush=True)


class SystemSsl:
    """Python's own module, on the system's libssl."""

    server, name = "postgres", "ssl"

    def __init__(self):
        import ssl
        self.ssl = ssl

    def connect(self, port, protocol, user):
        """A TLS connection behind PostgreSQL's greeting; (what to keep, its version)."""
        version = self.ssl.TLSVersion[protocol.replace(".", "_")]
        context = self.ssl.create_default_context(cafile=CA)
        context.minimum_version = context.maximum_version = version
        raw = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        raw.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47]))
        if raw.recv(1) != b"S":
            raise OSError("the server speaks no TLS")
        return self.wrapped(context, raw, user)

    def wrapped(self, context, raw, user):
        connection = context.wrap_socket(raw, server_hostname=HOST)
        if user == LINE:
            # What was wrong with its handshake, a TLS 1.3 server tells after it.
            connection.sendall(LINE.encode())
            raise OSError(f"answered {connection.recv(100)!r}")
        return connection, connection.version()


class Libpq:
    """A binding of libpq whose wheel carries libssl."""

    server = "postgres"

    def __init__(self, name):
        self.name = name
        self.module = __import__(name)

    def connect(self, port, protocol, user):
        connection = self.module.connect(
            host=HOST, hostaddr="127.0.0.1", port=port, user=user, dbname="postgres",
            sslmode="verify-full", sslrootcert=CA, gssencmode="disable",
            connect_timeout=LIMIT, ssl_min_protocol_version=protocol,
            ssl_max_protocol_version=protocol)
        cursor = connection.cursor()
        cursor.execute("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        return connection, cursor.fetchone()[0]


class MySql:
    """mysql-connector-python's C extension, whose wheel carries libssl."""

    server, name = "mysql", "mysql"

    def __init__(self):
        import _mysql_connector  # first: mysql.connector itself imports ssl
        import mysql.connector
        if not mysql.connector.HAVE_CEXT:
            raise ImportError(f"{_mysql_connector} is not in use")
        self.connector = mysql.connector

    def connect(self, port, protocol, user):
        connection = self.connector.connect(
            host="127.0.0.1", port=port, user=user, password=USER, use_pure=False,
            ssl_ca=CA, ssl_verify_cert=True, tls_versions=[protocol],
            connection_timeout=LIMIT)
        cursor = connection.cursor()
        cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
        return connection, cursor.fetchone()[1]


LIBRARIES = {"ssl": SystemSsl, "psycopg2": lambda: Libpq("psycopg2"),
             "psycopg": lambda: Libpq("psycopg"), "mysql": MySql}


def images():
    """The files of the libssl images in this process, in the order of their addresses."""
    with open("/proc/self/maps") as maps:
        found = [line.split()[-1] for line in maps if re.search(r"/libssl[^/]*\.so", line)]
    return list(dict.fromkeys(found))


def look_at_images():
    """Calls by the names that every program shares must reach the object's image."""
    paths = images()
    fact("images", len(paths))
    everybody = ctypes.CDLL(None) if PLAN["shim"] else None
    contexts = []
    for path in paths:
        own = ctypes.CDLL(path)
        shared = everybody or own
        for library in (own, shared):
            library.SSL_CTX_new.restype = ctypes.c_void_p
            library.SSL_CTX_new.argtypes = [ctypes.c_void_p]
            library.SSL_CTX_ctrl.restype = ctypes.c_long
            library.SSL_CTX_ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long,
                                             ctypes.c_void_p]
        own.SSL_CTX_free.argtypes = [ctypes.c_void_p]
        own.TLS_method.restype = ctypes.c_void_p
        contexts.append((own, shared, shared.SSL_CTX_new(own.TLS_method())))
    answers = set()
    for own, shared, context in contexts + contexts[::-1]:
        answers.add(bool(context) and shared.SSL_CTX_ctrl(context, COMMAND_SET_TYPE, 1, None))
        answers.add(own.SSL_CTX_ctrl(context, COMMAND_GET_TYPE, 0, None))
    fact("routes", "own" if answers == {1} else f"answers {sorted(answers)}")
    for own, _, context in contexts:
        own.SSL_CTX_free(context)


def outcome(library, port, protocol, user):
    """What came of a connection, in words: the protocol, or why not; and what to keep."""
    try:
        return library.connect(port, protocol, user)[::-1]
    except Exception as why:
        text = str(why)
        reason = re.search(r"OCSP (?:status|response): [a-z ]*[a-z]|invalid status response", text)
        if reason:
            return reason.group(0), None
        if re.search(r"answered b|expected authentication request|Malformed|[Ll]ost connection",
                     text):
            return "passed the handshake", None
        return f"{type(why).__name__}: {' '.join(text.split())}", None


def connect_everywhere(libraries):
    """Every library's handshakes, by turns, and what they opened stays open meanwhile."""
    kept = []
    for protocol in ("TLSv1.2", "TLSv1.3"):
        for library in libraries:
            what, connection = outcome(library, PLAN[library.server], protocol, USER)
            fact(f"{library.name}.{protocol}.database", what)
            kept.append(connection)
            for response, ports in PLAN["detours"].items():
                what, _ = outcome(library, ports[library.server], protocol, LINE)
                fact(f"{library.name}.{protocol}.{response}", what)
    for connection in kept[::2] + kept[1::2]:
        if connection:
            connection.close()


def connect_together(libraries, each=5):
    """All libraries at once, each from a thread of its own."""
    done = []

    def work(library):
        for _ in range(each):
            what, connection = outcome(library, PLAN[library.server], "TLSv1.3", USER)
            done.append(what)
            if connection:
                connection.close()

    threads = [threading.Thread(target=work, args=(library,)) for library in libraries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bad = [what for what in done if what != "TLSv1.3"]
    fact("together", bad[0] if bad else f"{len(done) // len(libraries)} each")


def serve(library):
    """One connection as a server, on the libssl of Python's module."""
    context = library.ssl.SSLContext(library.ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{PLAN['pki']}/server.pem", f"{PLAN['pki']}/server.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT)
        fact("port", listener.getsockname()[1])
        raw, _ = listener.accept()
        raw.settimeout(LIMIT)
        with context.wrap_socket(raw, server_side=True) as connection:
            connection.recv(1)


def main():
    libraries = [LIBRARIES[name]() for name in PLAN["order"]]
    look_at_images()
    connect_everywhere(libraries)
    connect_together(libraries)
    for library in libraries:
        if library.name == "ssl":
            serve(library)


if __name__ == "__main__":
    main()
