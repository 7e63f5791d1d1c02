"""The agent beside HAProxy's own updater of OCSP responses, which came with 2.8, on the same kind
of responder: HAProxy 3.0 in a Debian 13."""

import os
import subprocess
import time

from .agent import fetched, measured
from .common import ROOT, Responder, Unmeasured, clean_environment, ratio

SUITE = "trixie"
# Seconds that HAProxy may take.
LIMIT = 300
WIRE, WHOLE = "on the wire", "whole run, files included"
# No port is needed for it to load certificates.
CONFIGURATION = """
global
    log stdout format raw local0
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend tls
    bind {directory}/tls.socket ssl crt-list {directory}/list
    http-request return status 200
"""
# Whatever is left when this ends, ends with the root.
RUNS = """echo begins
haproxy -f "$1" &
while kill -0 $! && [ ! -e "$2" ]; do sleep 0.1; done"""


def measure(bench, _sites):
    count, rounds = bench.count("certificates updated"), bench.count("updater rounds")
    ours, theirs = [], []
    with Responder(bench, bench.path("updater"), count) as (keeping, _):
        leaf = os.listdir(bench.path("updater/certs"))[0]
        floor = measured([[bench.built("floor"), f"certs/{leaf}", "issuer.pem", keeping,
                           str(count)]], bench.path("updater"))
    for number in range(rounds):
        ours.append(agent(bench, bench.path(f"updater-ours-{number}"), count))
        theirs.append(haproxy(bench, bench.path(f"updater-theirs-{number}"), count))
    for name, runs in (("agent", ours), ("HAProxy", theirs)):
        for what in (WIRE, WHOLE):
            rate = count * rounds / sum(one[what] for one in runs)
            bench.row("updater", f"{count:,} certificates, {name}, {what}", rate, "fetches/s")
    bench.row("updater", f"{count:,} exchanges with a verification, one after the other",
              count / floor["wall"], "fetches/s")
    for what in (WIRE, WHOLE):
        pairs = [(one[what], other[what]) for one, other in zip(theirs, ours)]
        times, interval = ratio(pairs)
        bench.row("updater", f"agent over HAProxy's updater, {what}", times, "times",
                  "interval includes 1 or lies above", interval[1] >= 1, interval)


def agent(bench, store, count):
    """The seconds that the agent takes: between the responder's first and last answer, and until
    it has ended."""
    responder = Responder(bench, store, count)
    with responder:
        used = fetched(bench, store, count)
    return {WIRE: responder.span, WHOLE: used["wall"]}


def haproxy(bench, store, count):
    """The same of HAProxy, from its start until it has told the last response."""
    responder = Responder(bench, store, count, "keys")
    with responder:
        keys = os.path.join(store, "keys")
        with open(os.path.join(store, "list"), "w") as out:
            out.writelines(f"{keys}/{name} [ocsp-update on]\n" for name in sorted(os.listdir(keys)))
        configuration = os.path.join(store, "haproxy.cfg")
        with open(configuration, "w") as out:
            out.write(CONFIGURATION.format(directory=store))
        done = os.path.join(store, "done")
        command = [os.path.join(ROOT, "tools", "debian-root"), SUITE, "--packages", "haproxy",
                   "--share", store, "--", "timeout", str(LIMIT),
                   "sh", "-c", RUNS, "sh", configuration, done]
        whole = told(command, done, count)
    return {WIRE: responder.span, WHOLE: whole}


def told(command, done, count):
    """The seconds until so many responses are told."""
    child = subprocess.Popen(command, env=clean_environment(), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, updated, began, ended = [], 0, None, None
    for line in child.stdout:
        if line.startswith("begins"):
            began = time.monotonic()
        elif "Update successful" in line:
            updated += 1
        else:
            said.append(line)
        if updated == count and not ended:
            ended = time.monotonic()
            with open(done, "w"):
                pass
    child.wait()
    if not ended:
        raise Unmeasured(f"HAProxy told {updated} of {count} responses: {''.join(said[-5:])}")
    return ended - began
