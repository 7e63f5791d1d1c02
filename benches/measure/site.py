"""What the servers of the measurements present: certificates, their responses, live maps."""

import os
import time

from .common import run

KEYS = {
    "P-256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "RSA-2048": ["-newkey", "rsa:2048"],
}


class Site:
    """A certification authority and a server's certificate for one kind of key."""

    def __init__(self, bench, kind, directory=None):
        self.directory = bench.path(directory or kind)
        os.mkdir(self.directory)
        self.mint(KEYS[kind])
        os.mkdir(self.store)
        run([bench.built("examples/publish"), self.store, self.fingerprint("leaf"),
             self.response, str(int(time.time()) + 86400)])

    def fingerprint(self, name):
        """The key of a certificate in the live map."""
        key = self.openssl("x509", "-in", f"{name}.pem", "-noout", "-fingerprint", "-sha256")
        return key.strip().split("=")[1].replace(":", "").lower()

    def mint(self, new_key):
        self.openssl("req", "-x509", *new_key, "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
                     "-subj", "/CN=Benchmark CA", "-days", "30")
        self.openssl("req", *new_key, "-nodes", "-keyout", "leaf.key", "-out", "leaf.csr",
                     "-subj", "/CN=localhost")
        self.openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-set_serial", "0x1000", "-days", "30", "-out", "leaf.pem")
        self.write("index", "V\t491231235959Z\t\t1000\tunknown\t/CN=localhost\n")
        self.openssl("ocsp", "-index", "index", "-rsigner", "ca.pem", "-rkey", "ca.key",
                     "-CA", "ca.pem", "-issuer", "ca.pem", "-cert", "leaf.pem", "-no_nonce",
                     "-ndays", "7", "-resp_no_certs", "-respout", "leaf.der")
        self.write("chain.pem", self.read("leaf.pem") + self.read("ca.pem"))

    def openssl(self, *words):
        return run(["openssl", *words], self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name):
        with open(self.path(name)) as text:
            return text.read()

    def write(self, name, text):
        with open(self.path(name), "w") as out:
            out.write(text)

    @property
    def chain(self):
        return self.path("chain.pem")

    @property
    def key(self):
        return self.path("leaf.key")

    @property
    def response(self):
        return self.path("leaf.der")

    @property
    def store(self):
        """A store whose live map has the response."""
        return self.path("store")

    def manners(self, bench):
        """The ways to staple: name -> (options of benches/handshake.c, environment)."""
        shim = {"LD_PRELOAD": bench.library}
        return {
            "native": (["--native", self.response], {}),
            "file": ([], {**shim, "STAPLEGUN_DIR": self.path("none"),
                          "STAPLEGUN_RESPONSE": self.response}),
            "map": ([], {**shim, "STAPLEGUN_DIR": self.store}),
        }
