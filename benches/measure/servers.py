"""Debian's servers: processor time and page faults for a TLS 1.3 handshake, with the library and
without."""

import os
import shutil
import statistics

from .common import ratio, run

SERVERS = {
    "nginx": ("nginx", "native stapling"),
    "haproxy": ("HAProxy", "native stapling"),
    "postgres": ("PostgreSQL", "no stapling"),
    "redis": ("Redis", "no stapling"),
}


def measure(bench, _sites):
    program = bench.built("servers")
    load = bench.compile("load", "-lssl", "-lcrypto")
    # The servers run as other users, who need not be able to enter where it was built.
    library = bench.path("libstaplegun.so")
    shutil.copy(bench.library, library)
    os.chmod(bench.work, 0o755)
    os.chmod(library, 0o755)
    rounds, turns = bench.count("server rounds"), bench.count("server turns")
    for server, (name, other) in SERVERS.items():
        # On one processor: what is moved to another has its caches to fill anew there, and the
        # more of it there is, the longer that takes.
        processor = str(max(os.sched_getaffinity(0)))
        lines = run(["taskset", "--cpu-list", processor,
                     program, server, str(rounds), str(turns), load],
                    STAPLEGUN_LIB=library).splitlines()
        rounds_told = [tuple(float(word) for word in line.split()) for line in lines]
        pairs = [told[:2] for told in rounds_told]
        for at, what in enumerate(("under the shim", other)):
            bench.row("servers", f"{name}, CPU for a handshake, {what}",
                      sum(pair[at] for pair in pairs) / len(pairs), "µs")
        times, interval = ratio(pairs)
        bench.row("servers", f"{name}, shim over {other}", times, "times",
                  "interval below 4 % wide, includes 1 or lies below",
                  interval[0] <= 1 and interval[1] - interval[0] < 0.04, interval)
        # A process for each connection maps anew whatever it touches.
        if server == "postgres":
            more = statistics.median(ours - theirs for _, _, ours, theirs in rounds_told)
            bench.row("servers", f"{name}, page faults of a connection, over {other}", more,
                      "faults", "at most 12", more <= 12)
