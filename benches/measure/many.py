"""An agent that has very many certificates: its start, its memory, and who waits for it."""

import concurrent.futures
import os
import signal
import socket
import subprocess
import time

from .agent import rows
from .common import Responder, Running, Unmeasured, clean_environment, run

# For so many a map of the usual 16 MiB is too small, and one that is larger than 64 MiB is
# mapped by programs only with STAPLEGUN_MAP_MAX: both are raised.
SETTINGS = "map-size = 268435456\n\n[timing]\nsweep = 2.0\n\n[http]\nsocket = true\n"
# How long its main thread is looked at, in seconds: several sweeps, and one request.
WATCHED = 10
SCRAPED = 2


def measure(bench, _sites):
    count, store = bench.count("many certificates"), bench.path("many")
    part = "agent-many"
    with Responder(bench, store, count, "full"):
        pass
    config = os.path.join(store, "agent.toml")
    with open(config, "w") as out:
        out.write(SETTINGS)
    begun = time.time_ns()
    with Running([bench.built("staplegun"), "agent", "--quiet", "--dir", store,
                  "--config", config]) as agent:
        first, all_there = (int(word) for word in
                            run([bench.built("filled"), store, str(count)]).split())
        seconds = [(at - begun) / 1e9 for at in (first, all_there)]
        what = f"{count:,} certificates"
        bench.row(part, f"{what}, start to the first staple in the map", seconds[0] * 1000, "ms",
                  "at most 3,000", seconds[0] <= 3)
        bench.row(part, f"{what}, start to the last", seconds[1] * 1000, "ms")
        # In the middle somebody wants a reload, after which it looks at everything.
        longest = longest_pause(agent.pid, 0.2 if bench.smoke else WATCHED,
                                lambda: os.kill(agent.pid, signal.SIGHUP))
        bench.row(part, f"{what}, main thread busy at a stretch, sweeps", longest * 1000, "ms",
                  "at most 50", longest <= 0.05)
        longest = longest_pause(agent.pid, 0.2 if bench.smoke else SCRAPED, lambda: scrape(store))
        bench.row(part, f"{what}, main thread busy at a stretch, metrics asked for",
                  longest * 1000, "ms", "at most 50", longest <= 0.05)
        rows(bench, part, f"{what}, another one, load to request",
             run([bench.built("loaded"), store, str(bench.count("certificates loaded"))]), 50)
        private = kibibytes(agent.pid)
        begun = time.monotonic()
        status(bench, store)
        took = time.monotonic() - begun
        bench.row(part, f"{what}, `status`", took * 1000, "ms", "at most 5,000", took <= 5)
    each = (private - alone(bench)) * 1024 / count
    bench.row(part, f"{what}, memory of the agent's own for each", each, "bytes",
              "at most 2,048", each <= 2048)


def alone(bench):
    """KiB of an agent that has no certificates."""
    store = bench.path("nothing")
    os.mkdir(store)
    with Running([bench.built("staplegun"), "agent", "--quiet", "--dir", store]) as agent:
        run([bench.built("loaded"), store, "1"])
        return kibibytes(agent.pid)


def status(bench, store):
    """It ends with 1 where something is the matter with a certificate."""
    done = subprocess.run([bench.built("staplegun"), "status", "--dir", store],
                          env=clean_environment(), capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise Unmeasured(f"status ended with {done.returncode}: {done.stderr}")


def kibibytes(pid):
    """What a process has in memory that no file and no other process has: not the map."""
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def scrape(store):
    """Asks for the metrics, as Prometheus does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.path.join(store, "http.sock"))
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if not client.recv(16).startswith(b"HTTP/1.1 200 "):
            raise Unmeasured("the agent does not tell its metrics")
        while client.recv(1 << 20):
            pass


def longest_pause(pid, seconds, disturb):
    """How long the main thread was busy at most without waiting for anything, as seen every
    millisecond; somebody calls `disturb` meanwhile."""
    def look():
        with open(f"/proc/{pid}/task/{pid}/status") as text:
            fields = dict(line.split(":\t", 1) for line in text.read().splitlines()
                          if ":\t" in line)
        return fields["State"][0], fields["voluntary_ctxt_switches"]

    with concurrent.futures.ThreadPoolExecutor() as others:
        disturbed = others.submit(lambda: (time.sleep(seconds / 2), disturb()))
        longest, since, before = 0.0, time.monotonic(), look()
        end = since + seconds
        while (now := time.monotonic()) < end:
            seen = look()
            if seen[0] != "R" or seen[1] != before[1]:
                since = now
            longest, before = max(longest, now - since), seen
            time.sleep(0.001)
        # What went wrong there is told here.
        disturbed.result()
    return longest
