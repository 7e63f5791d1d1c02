"""Threads that staple from one map, beside threads whose program staples natively."""

from .common import Unmeasured, functions, ratio, run
from .handshake import command_for, toggle

THREADS = (1, 2, 4, 8)
# What takes a lock or counts references: a shared cache line that would be written.
SHARED = ("CRYPTO_THREAD_", "pthread_mutex", "pthread_rwlock", "_up_ref", "CRYPTO_UP_REF",
          "CRYPTO_atomic_", "CRYPTO_lock")


def measure(bench, sites):
    site, manners = sites["P-256"], sites["P-256"].manners(bench)
    program = bench.compile("threads", "-lssl", "-lcrypto", "-ldl", "-pthread")
    count = bench.count("threads")

    def handshakes(manner, threads, *more):
        options, environment = manners[manner]
        done = run([program, site.chain, site.key, str(threads), str(count), "tls1.3",
                    *options, *more], **environment)
        stapled, nanoseconds, blocks = (int(word) for word in done.split())
        if stapled != count // threads * threads:
            raise Unmeasured(f"{manner}, {threads} threads: {stapled} of {count} were stapled")
        return stapled / nanoseconds * 1e9, blocks

    for threads in THREADS:
        pairs = [(handshakes("map", threads)[0], handshakes("native", threads)[0])
                 for _ in range(bench.count("thread rounds"))]
        for at, manner in enumerate(("map", "native")):
            bench.row("threads", f"{threads}, {manner}", sum(pair[at] for pair in pairs)
                      / len(pairs), "handshakes/s")
        times, interval = ratio(pairs)
        bench.row("threads", f"{threads}, map over native", times, "times", interval=interval)
    # It ends by a signal at the first write to what is shared.
    _, blocks = handshakes("map", 8, "--seal", site.path("store"))
    bench.row("threads", "writes of 8 threads to the shim's memory", 0, "writes", "none", True)
    bench.row("threads", "blocks for a handshake, the response's own", blocks / count, "blocks")
    of_callback = functions(bench.profile(
        command_for(bench, site, "tls1.3", ["--ask"])(10), toggle("map"), **manners["map"][1]))
    shared = [function for _, function in of_callback
              if any(part in function for part in SHARED)]
    bench.row("threads", "functions in the callback that lock or count", len(shared),
              "functions", "none", not shared)
