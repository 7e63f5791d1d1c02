"""Calls of SSL_ctrl and SSL_CTX_ctrl that have nothing to do with stapling."""

import os

from .common import ROOT, run

ALL = [(kind, function, number)
       for kind, function in (("ssl", "SSL_ctrl"), ("ctx", "SSL_CTX_ctrl"))
       for number in (33, 104)]
SMOKE = [("ssl", "SSL_ctrl", 104)]


def measure(bench, _sites):
    program = bench.compile("pass-through", "-lssl", "-lcrypto", "-ldl")
    listing = run([os.path.join(ROOT, "tools/libssl-images"), "1.1.1w"])
    second = listing.strip().split("\t")[1]
    shim = {"LD_PRELOAD": bench.library}
    counts = bench.count("calls")
    for kind, function, number in SMOKE if bench.smoke else ALL:
        def command(count, *more):
            return [program, str(count), kind, str(number), *more]
        direct = bench.per_step(counts, command)
        for images, more, most in (("one libssl", [], 25), ("two", ["--second", second], 60)):
            through = bench.per_step(counts, lambda count: command(count, *more), **shim)
            over = through - direct
            bench.row("pass-through", f"{function}({number}), {images}, over direct", over,
                      "instructions", f"at most {most}", over <= most)
