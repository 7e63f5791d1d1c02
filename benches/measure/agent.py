"""The agent on a store of certificates without responses, beside a loop of openssl ocsp."""

import os
import shutil
import subprocess
import time

from .common import Responder, Running, Unmeasured, clean_environment, run


def measure(bench, _sites):
    count, sample = bench.count("certificates"), bench.count("openssl loop")
    store = bench.path("agent")
    with Responder(bench, store, count) as (keeping, closing):
        leaves = sorted(os.listdir(os.path.join(store, "certs")))[:sample]
        loop = measured([["openssl", "ocsp", "-issuer", "issuer.pem", "-cert", f"certs/{leaf}",
                          "-url", keeping, "-no_nonce", "-CAfile", "issuer.pem",
                          "-respout", os.path.join(bench.work, leaf)] for leaf in leaves], store)
        floor = measured([[bench.built("floor"), f"certs/{leaves[0]}", "issuer.pem", keeping,
                           str(count)]], store)
        other = bench.path("agent-closed")
        shutil.copytree(store, other)
        ours = fetched(bench, store, count)
        closed = fetched(bench, other, count, "--responder", f"{keeping}={closing}")
    rates = {"agent": count / ours["wall"], "closed": count / closed["wall"],
             "loop": sample / loop["wall"]}
    bench.row("agent", f"{count:,} certificates, first fetch", rates["agent"], "fetches/s")
    bench.row("agent", "the same, each connection closed", rates["closed"], "fetches/s")
    bench.row("agent", f"loop of openssl ocsp, {sample} of them", rates["loop"], "fetches/s")
    for name, what, goal in (("agent", "agent over loop", 25),
                             ("closed", "agent over loop, each connection closed", 10)):
        times = rates[name] / rates["loop"]
        bench.row("agent", what, times, "times", f"at least {goal}", times >= goal)
    cost, least = (one["cpu"] / count * 1e6 for one in (ours, floor))
    bench.row("agent", "CPU for a fetch", cost, "µs", "at most 200", cost <= 200)
    bench.row("agent", "CPU for a fetch, each connection closed", closed["cpu"] / count * 1e6,
              "µs")
    bench.row("agent", "CPU for one exchange and one verification", least, "µs")
    bench.row("agent", "CPU for a fetch, over those", cost / least, "times")
    bench.row("agent", "CPU for a fetch of the loop", loop["cpu"] / sample * 1e6, "µs")
    bench.row("agent", "peak resident memory", ours["peak"] / 1024, "MiB", "under 64",
              ours["peak"] < 64 * 1024)
    revocations(bench)
    loads(bench)


def fetched(bench, store, count, *options):
    """An agent that fetches all of them and ends."""
    used = measured([[bench.built("staplegun"), "agent", "--once", "--quiet", "--dir", store,
                      *options]], store)
    there = len(os.listdir(os.path.join(store, "staples")))
    if there != count:
        raise Unmeasured(f"the agent has {there} of {count} responses")
    return used


def revocations(bench):
    """How long what is known to be revoked is still stapled."""
    count, store = bench.count("revocations"), bench.path("revocations")
    os.mkdir(store)
    said = run([bench.built("revocation"), bench.built("staplegun"), store, str(count)])
    rows(bench, "agent", f"{count:,} revoked at once, told to withdrawn", said, 10)


def loads(bench):
    """How long it takes from a program's load of a certificate to the request for it."""
    count, store = bench.count("certificates loaded"), bench.path("loads")
    os.mkdir(store)
    with Running([bench.built("staplegun"), "agent", "--quiet", "--dir", store]):
        said = run([bench.built("loaded"), store, str(count)])
    rows(bench, "agent", f"{count:,} loaded one by one, load to request", said, 50)


def rows(bench, part, what, said, limit):
    """What a program said: the median, what 99 % are below, and the longest."""
    median, nearly_all, longest = (int(word) / 1000 for word in said.split())
    bench.row(part, f"{what}, median", median, "ms")
    bench.row(part, f"{what}, 99 %", nearly_all, "ms", f"at most {limit}", nearly_all <= limit)
    bench.row(part, f"{what}, longest", longest, "ms")


def measured(commands, cwd):
    """Runs commands one after another: seconds, seconds of CPU, and peak KiB of any."""
    start, cpu, peak = time.monotonic(), 0.0, 0
    for command in commands:
        child = subprocess.Popen(command, cwd=cwd, env=clean_environment(), text=True,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise Unmeasured(f"`{' '.join(command)}` ended with {child.returncode}: {said}")
        cpu += used.ru_utime + used.ru_stime
        peak = max(peak, used.ru_maxrss)
    return {"wall": time.monotonic() - start, "cpu": cpu, "peak": peak}
