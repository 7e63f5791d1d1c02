"""A list of responses for the whole chain, which libssl takes from 3.6 on: what it costs a
server's status callback beyond the leaf's response alone, and beyond decoding each once. What the allocator does for libcrypto's
many small pieces differs from run to run, so that this is held to its goal and to no baseline."""

import os
import time

from .common import ROOT, Unmeasured, run
from .handshake import command_for, toggle
from .site import KEYS, Site

IMAGE = "3.6"
DECODING = "--toggle-collect=d2i_OCSP_RESPONSE"


class Chained(Site):
    """A server's certificate below an intermediate, whose response is in the map as well in
    the store `both`."""

    def __init__(self, bench):
        super().__init__(bench, "P-256", "chain")
        self.both = self.path("both")
        os.mkdir(self.both)
        for name in ("leaf", "ca"):
            run([bench.built("examples/publish"), self.both, self.fingerprint(name),
                 self.path(f"{name}.der"), str(int(time.time()) + 86400)])

    def mint(self, new_key):
        self.openssl("req", "-x509", *KEYS["P-256"], "-nodes", "-keyout", "root.key", "-out",
                     "root.pem", "-subj", "/CN=Benchmark root", "-days", "30")
        super().mint(new_key)
        # The same authority once more, certified by the root.
        self.openssl("req", "-new", "-key", "ca.key", "-out", "ca.csr", "-subj",
                     "/CN=Benchmark CA")
        self.write("ca.ext", "basicConstraints=critical,CA:TRUE\n")
        self.openssl("x509", "-req", "-in", "ca.csr", "-CA", "root.pem", "-CAkey", "root.key",
                     "-set_serial", "0x2000", "-days", "30", "-extfile", "ca.ext",
                     "-out", "ca.pem")
        self.write("root.index", "V\t491231235959Z\t\t2000\tunknown\t/CN=Benchmark CA\n")
        self.openssl("ocsp", "-index", "root.index", "-rsigner", "root.pem", "-rkey", "root.key",
                     "-CA", "root.pem", "-issuer", "root.pem", "-cert", "ca.pem", "-no_nonce",
                     "-ndays", "7", "-resp_no_certs", "-respout", "ca.der")
        self.write("chain.pem", self.read("leaf.pem") + self.read("ca.pem"))


def instructions(bench, _):
    line = run([os.path.join(ROOT, "tools", "libssl-images"), IMAGE]).strip()
    beside = os.path.dirname(line.split("\t")[1])
    site = Chained(bench)
    command = command_for(bench, site, "tls1.3", ["--ask", "--still"])

    def spent(store):
        """In the callback, without decoding: the client decodes as much, and is counted with
        it where decoding is."""
        environment = {"LD_PRELOAD": bench.library, "STAPLEGUN_DIR": store,
                       "LD_LIBRARY_PATH": beside}
        stapled = int(run(command(2), **environment).split()[0])
        if stapled != 2:
            raise Unmeasured(f"chain: {stapled} of 2 handshakes were stapled")
        counts = bench.count("handshakes")
        callback = bench.per_step(counts, command, toggle("map"), **environment)
        decoding = bench.per_step(counts, command, DECODING, **environment)
        return callback, decoding / 2

    alone, leaf_decoded = spent(site.store)
    both, both_decoded = spent(site.both)
    if both_decoded < 1.5 * leaf_decoded:
        raise Unmeasured("chain: no list was handed over")
    over = (both - both_decoded) - (alone - leaf_decoded)
    bench.row("chain", f"P-256, tls1.3, OpenSSL {IMAGE}, a list of two over the leaf's alone",
              over, "instructions", "at most 1,000", over <= 1000)
