"""Servers that choose a certificate for each connection, and the memory of open connections."""

import re

from .common import Unmeasured, functions, per_step, run
from .handshake import command_for

# glibc's, whose paths depend on addresses.
BY_ADDRESS = re.compile(r"malloc|calloc|realloc|free|_int_|unlink_chunk|tcache|alloc_perturb"
                        r"|__str(n|case)*cmp")

# The library holds so many certificates of connections for a context, to know them again: a
# fresh one each time gains nothing by it, and is only hashed from then on.
HELD = 16

# Bytes by which blocks of one size differ on average, by what lies around them.
SLACK = 64


def of_libc(shared, function):
    """Whether an instruction count says where blocks and strings lie, not what was done."""
    return shared.startswith("libc.so") and BY_ADDRESS.search(function)


def chosen(bench, sites):
    """A certificate callback that gives the SSL its certificate; the live map over the same
    program that staples natively, whole handshakes. A fresh X509 has to be hashed by whoever
    knows certificates by their hash: there the program itself asks for the SHA-256 too."""
    site = sites["P-256"]
    manners = site.manners(bench)

    def per_handshake(manner, presents):
        options, environment = manners[manner]
        command = command_for(bench, site, "tls1.3", ["--ask", "--still", "--present", presents,
                                                         *options])
        stapled = int(run(command(2), **environment).split()[0])
        if stapled != 2:
            raise Unmeasured(f"{presents}, {manner}: {stapled} of 2 handshakes were stapled")
        counts = [HELD + count for count in bench.count("handshakes")]
        return per_step(counts, lambda count: sum(
            spent for (shared, function), spent
            in functions(bench.profile(command(count), **environment)).items()
            if not of_libc(shared, function)))

    for presents, beside, what in (("same", "same", "same X509, live map over native"),
                                   ("fresh", "hashed", "fresh X509, live map over native and "
                                                       "one SHA-256")):
        over = per_handshake("map", presents) - per_handshake("native", beside)
        bench.row("connections", f"certificate for each, {what}", over, "instructions",
                  "at most 3,000", over <= 3000)


def memory(bench, sites):
    """The heap of each open connection, over the same program that staples natively."""
    site, count = sites["P-256"], bench.count("open")
    manners = site.manners(bench)

    def heap(manner, more):
        options, environment = manners[manner]
        command = command_for(bench, site, "tls1.3", ["--ask", "--open", *options, *more])
        stapled, _, spent = map(int, run(command(count), **environment).split())
        if stapled != count:
            raise Unmeasured(f"{manner}, open: {stapled} of {count} handshakes were stapled")
        return spent

    of_context = heap("map", []) - heap("native", [])
    bench.row("connections", "open, the context's certificate, map over native", of_context,
              "bytes")
    for presents in ("same", "fresh"):
        more = ["--present", presents]
        over = heap("map", more) - heap("native", more)
        bench.row("connections", f"open, certificate for each, {presents} X509, map over native",
                  over, "bytes", "as the context's", over <= of_context + SLACK)
