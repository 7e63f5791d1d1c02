"""The agent on a store of certificates without responses, beside a loop of openssl ocsp."""

import os
import subprocess
import time

from .common import Unmeasured, clean_environment, run


def measure(bench, _sites):
    count, sample = bench.count("certificates"), bench.count("openssl loop")
    store = bench.path("agent")
    os.mkdir(store)
    responder = subprocess.Popen([bench.built("responder"), store, str(count)],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        url = responder.stdout.readline().strip()
        if not url:
            raise Unmeasured("the responder did not start")
        leaves = sorted(os.listdir(os.path.join(store, "certs")))[:sample]
        loop = measured([["openssl", "ocsp", "-issuer", "issuer.pem", "-cert", f"certs/{leaf}",
                          "-url", url, "-no_nonce", "-CAfile", "issuer.pem",
                          "-respout", os.path.join(bench.work, leaf)] for leaf in leaves], store)
        ours = measured([[bench.built("staplegun"), "agent", "--once", "--quiet",
                          "--dir", store]], store)
    finally:
        responder.stdin.close()
        responder.wait()
    fetched = len(os.listdir(os.path.join(store, "staples")))
    if fetched != count:
        raise Unmeasured(f"the agent has {fetched} of {count} responses")
    rates = {"agent": count / ours["wall"], "loop": sample / loop["wall"]}
    bench.row("agent", f"{count:,} certificates, first fetch", rates["agent"], "fetches/s")
    bench.row("agent", f"loop of openssl ocsp, {sample} of them", rates["loop"], "fetches/s")
    times = rates["agent"] / rates["loop"]
    bench.row("agent", "agent over loop", times, "times", "at least 10", times >= 10)
    bench.row("agent", "CPU for a fetch", ours["cpu"] / count * 1e6, "µs")
    bench.row("agent", "CPU for a fetch of the loop", loop["cpu"] / sample * 1e6, "µs")
    bench.row("agent", "peak resident memory", ours["peak"] / 1024, "MiB", "under 64",
              ours["peak"] < 64 * 1024)
    revocations(bench)


def revocations(bench):
    """How long what is known to be revoked is still stapled."""
    count, store = bench.count("revocations"), bench.path("revocations")
    os.mkdir(store)
    said = run([bench.built("revocation"), bench.built("staplegun"), store, str(count)])
    median, nearly_all, longest = (int(word) / 1000 for word in said.split())
    what = f"{count:,} revoked at once, told to withdrawn"
    bench.row("agent", f"{what}, median", median, "ms")
    bench.row("agent", f"{what}, 99 %", nearly_all, "ms", "under 10", nearly_all < 10)
    bench.row("agent", f"{what}, longest", longest, "ms")


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
