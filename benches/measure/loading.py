"""What a process pays in which no TLS happens."""

import os
import statistics
import subprocess
import time

from .common import Unmeasured, clean_environment, run


def others(bench, sites):
    empty = empty_object(bench)
    store = sites["P-256"].store

    def spawn(library):
        start = time.perf_counter()
        pid = os.posix_spawn("/bin/true", ["true"],
                             clean_environment(LD_PRELOAD=library, STAPLEGUN_DIR=store))
        os.waitpid(pid, 0)
        return (time.perf_counter() - start) * 1e6

    pairs = [(spawn(empty), spawn(bench.library)) for _ in range(bench.count("loads"))]
    over = statistics.median(shim - nothing for nothing, shim in pairs)
    bench.row("loading", f"/bin/true, median of {len(pairs)} pairs, over empty", over, "µs",
              "at most 300", over <= 300)
    trace = bench.path("trace")
    run(["strace", "-o", trace, "-E", f"LD_PRELOAD={bench.library}",
         "-E", f"STAPLEGUN_DIR={store}", "/bin/true"])
    with open(trace) as text:
        touched = sum(store in line for line in text if "execve" not in line)
    bench.row("loading", "system calls about the store, without TLS", touched, "calls",
              "none", touched == 0)
    of_its_own = [private(library, store) for library in (empty, bench.library)]
    bench.row("loading", "private memory of cat, over an empty object",
              of_its_own[1] - of_its_own[0], "KiB", "at most 24", of_its_own[1] - of_its_own[0] <= 24)
    pages(bench, store)


def private(library, store):
    """KiB that a program without TLS has written to, and no other process shares with it."""
    with subprocess.Popen(["cat"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=clean_environment(LD_PRELOAD=library, STAPLEGUN_DIR=store)) as child:
        # What it echoes tells that it is loaded.
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()
        with open(f"/proc/{child.pid}/smaps_rollup") as rollup:
            dirty = next(line for line in rollup if line.startswith("Private_Dirty:"))
        child.stdin.close()
    return int(dirty.split()[1])


def empty_object(bench):
    return bench.compile("empty.so", "-shared", "-fPIC", text="/* Nothing. */\n")


def instructions(bench, sites):
    counted = [bench.callgrind(["/bin/true"], LD_PRELOAD=library,
                               STAPLEGUN_DIR=sites["P-256"].store)
               for library in (empty_object(bench), bench.library)]
    bench.row("loading", "/bin/true, over an empty object", counted[1] - counted[0],
              "instructions")


def pages(bench, store):
    """KiB of the live map in the memory of a process that made no SSL_CTX, although it has
    loaded libssl. One that made a context must show some, or this would show nothing."""
    without, with_context = (
        resident(bench, store, f"import ssl, sys; {more}; print(); sys.stdin.read()")
        for more in ("pass", "ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)"))
    if with_context is None:
        raise Unmeasured("a process with an SSL_CTX has not mapped the live map")
    bench.row("loading", "of the live map in memory, without TLS", without or 0, "KiB",
              "none", without is None)
    bench.row("loading", "of the live map in memory, with an SSL_CTX", with_context, "KiB")


def resident(bench, store, script):
    """KiB of the live map in a Python's memory; None if it is not even mapped."""
    with subprocess.Popen(["python3", "-c", script], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE,
                          env=clean_environment(LD_PRELOAD=bench.library,
                                                STAPLEGUN_DIR=store)) as child:
        child.stdout.readline()
        with open(f"/proc/{child.pid}/smaps") as smaps:
            lines = smaps.read().splitlines()
    for at, line in enumerate(lines):
        if store in line:
            of_map = next(line for line in lines[at:] if line.startswith("Rss:"))
            return int(of_map.split()[1])
    return None
