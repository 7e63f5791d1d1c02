"""Servers for the wheels' clients: real databases under the shim, and one that staples
whatever it is told to. All listen on 127.0.0.1, on ports that were free, and end with
their block."""

import contextlib
import glob
import os
import re
import shutil
import socket
import subprocess
import threading

# Seconds that a server may take to start; far more than a busy machine needs.
LIMIT = 120
# A server ends with its test, even if that is killed.
GUARD = ["setpriv", "--pdeathsig=KILL"]


class Failed(Exception):
    """Something that is not under test failed; the text says what."""


def must(command, **more):
    """Runs a command without which nothing can be tested; its output."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=300, **more)
    except FileNotFoundError:
        raise Failed(f"{command[0]} is not installed")
    if done.returncode != 0:
        raise Failed(f"`{' '.join(command[:4])} ...` ended with {done.returncode}:\n"
                     f"{done.stdout[-2000:]}")
    return done.stdout


def unprivileged():
    """The user that databases run as (they refuse root), and the words before a command."""
    if os.geteuid() != 0:
        return None, GUARD
    return "nobody", [*GUARD, "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def give(path):
    """Makes the databases' user the owner of a file or directory."""
    user, _ = unprivileged()
    if user:
        shutil.chown(path, user)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def private_key(pki, directory):
    """The server's key as databases want it: theirs alone."""
    key = os.path.join(directory, "server.key")
    shutil.copy(os.path.join(pki, "server.key"), key)
    os.chmod(key, 0o600)
    give(key)
    return key


class Child:
    """A server process; `announced` found in its output says that it is ready."""

    def __init__(self, command, announced, environment):
        self.text = ""
        self.ready = threading.Event()
        self.announced = re.compile(announced)
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env=environment)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        """Keeps its pipe empty for as long as it runs."""
        for line in self.process.stdout:
            self.text += line
            if self.announced.search(self.text):
                self.ready.set()
        self.ready.set()

    def wait(self):
        """What `announced` matched, or None if the process ended first."""
        if not self.ready.wait(LIMIT):
            raise Failed(f"{' '.join(self.process.args)} is not ready after "
                         f"{LIMIT} seconds")
        return self.announced.search(self.text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join()


def start(command_for, announced, environment):
    """Starts a server on a port that is free; another one if it was taken meanwhile."""
    for _ in range(5):
        port = free_port()
        child = Child(command_for(port), announced, environment)
        if child.wait():
            child.port = port
            return child
        child.__exit__()
        if "in use" not in child.text:
            break
    raise Failed(f"a server did not start:\n{child.text[-2000:]}")


def postgres(directory, pki, environment):
    """PostgreSQL with ssl=on. It stops at once on SIGTERM when no client is left."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"),
                      key=lambda path: int(path.split("/")[4]))
    if not programs:
        raise Failed("no PostgreSQL in /usr/lib/postgresql; install the Debian package "
                     "postgresql")
    _, prefix = unprivileged()
    home = os.path.join(directory, "postgres")
    os.mkdir(home)
    give(home)
    data = os.path.join(home, "data")
    must([*prefix, os.path.join(programs[-1], "initdb"), "--no-sync", "-E", "UTF8",
          "--locale=C", "-A", "trust", "-U", "tester", "-D", data], cwd=home)
    settings = ["fsync=off", "listen_addresses=127.0.0.1", "unix_socket_directories=",
                "ssl=on", f"ssl_cert_file={os.path.join(pki, 'server.pem')}",
                f"ssl_key_file={private_key(pki, home)}"]
    words = [word for setting in settings for word in ("-c", setting)]
    return start(lambda port: [*prefix, os.path.join(programs[-1], "postgres"),
                               "-D", data, "-p", str(port), *words],
                 "ready to accept connections", environment)


def mariadb(directory, pki, environment):
    """MariaDB with TLS, and the user tester."""
    if not shutil.which("mariadbd"):
        raise Failed("mariadbd is not installed; install the Debian package "
                     "mariadb-server-core")
    _, prefix = unprivileged()
    home = os.path.join(directory, "mariadb")
    os.mkdir(home)
    give(home)
    must([*prefix, "mariadb-install-db", "--no-defaults", f"--datadir={home}/data",
          "--auth-root-authentication-method=normal", "--skip-test-db"], cwd=home)
    users = os.path.join(home, "users.sql")
    with open(users, "w") as out:
        out.write("CREATE OR REPLACE USER tester@'%' IDENTIFIED BY 'tester';\n")
    give(users)
    key = private_key(pki, home)
    return start(lambda port: [*prefix, "mariadbd", "--no-defaults",
                               f"--datadir={home}/data", f"--socket={home}/socket",
                               "--bind-address=127.0.0.1", f"--port={port}",
                               "--skip-name-resolve", f"--init-file={users}",
                               f"--ssl-cert={os.path.join(pki, 'server.pem')}",
                               f"--ssl-key={key}", "--tls-version=TLSv1.2,TLSv1.3"],
                 "ready for connections", environment)


def stapler(pki, response, environment):
    """openssl s_server, which staples the file that it is given, be it good or bad.

    It answers each line with the line reversed, which no database client understands,
    and closes on the line CLOSE: what gets that far has passed the handshake.
    """
    status = ["-status_file", os.path.join(pki, response)] if response else []
    child = Child([*GUARD, "openssl", "s_server", "-accept", "127.0.0.1:0", "-rev",
                   "-cert", os.path.join(pki, "server.crt"),
                   "-key", os.path.join(pki, "server.key"),
                   "-cert_chain", os.path.join(pki, "intermediate.crt"), *status],
                  r"ACCEPT \S+:(\d+)", environment)
    found = child.wait()
    if not found:
        raise Failed(f"openssl s_server did not start:\n{child.text[-2000:]}")
    child.port = int(found.group(1))
    return child


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise OSError("closed early")
        data += more
    return data


def mysql_packet(connection):
    header = exactly(connection, 4)
    return header + exactly(connection, int.from_bytes(header[:3], "little"))


def greet_postgres(client, database):
    """SSLRequest, and the database's word that it is willing."""
    database.sendall(exactly(client, 8))
    client.sendall(exactly(database, 1))


def greet_mysql(client, database):
    """The database's greeting, and the client's wish to go on with TLS."""
    client.sendall(mysql_packet(database))
    database.sendall(mysql_packet(client))


class Detour:
    """Gives a real database's clear-text greeting, then goes on with a stapler's TLS."""

    def __init__(self, greet, database, tls):
        self.greet, self.database, self.tls = greet, database, tls
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            with client, socket.create_connection(("127.0.0.1", self.tls)) as tls:
                with socket.create_connection(("127.0.0.1", self.database)) as database:
                    self.greet(client, database)
                back = threading.Thread(target=pump, args=(tls, client), daemon=True)
                back.start()
                pump(client, tls)
                back.join()
        except OSError:
            pass  # the client sees its connection end, which is what it is to judge

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Wakes accept, which close alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def pump(source, sink):
    """Hands on what comes, and that it ended, in whichever way."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
