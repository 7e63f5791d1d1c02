"""Live maps of any size, and the library itself."""

import os
import re
import shutil

from .common import ROOT, run


def lookup(bench, _sites):
    program, counts, spent = bench.built("lookup"), bench.count("lookups"), []
    for size in bench.count("map sizes"):
        store = bench.path(f"store{size}")
        os.mkdir(store)
        took, allocated = run([program, "fill", store, str(size)]).split()
        spent.append(bench.per_step(
            counts, lambda count: [program, "read", store, str(size), str(count)]))
        start = bench.callgrind([program, "read", store, str(size), "0"])
        opened, after = run([program, "read", store, str(size), str(counts[1])]).split()
        bench.row("lookup", f"{size:,} certificates, lookup and copy", spent[-1], "instructions")
        bench.row("lookup", f"{size:,}, whole process without a lookup", start, "instructions")
        bench.row("lookup", f"{size:,}, of the map touched by opening it", int(opened), "KiB")
        bench.row("lookup", f"{size:,}, and after {counts[1]:,} lookups", int(after), "KiB")
        bench.row("lookup", f"{size:,}, size on tmpfs or disk", int(allocated) // 1024, "KiB")
        bench.row("lookup", f"{size:,}, the writer fills the map in", int(took), "ms")
        shutil.rmtree(store)
    flat = max(spent) / min(spent)
    bench.row("lookup", "most over least", flat, "times", "at most 1.2", flat <= 1.2)


def library(bench, _sites):
    stripped = bench.path("stripped.so")
    run(["strip", "-o", stripped, bench.library])
    size = os.path.getsize(stripped)
    bench.row("library", "stripped", size / 1024, "KiB", "under 700", size < 700 * 1024)
    tree = run(["cargo", "tree", "--locked", "--package", "staplegun", "--edges", "normal",
                "--prefix", "none", "--no-dedupe"], ROOT)
    crates = {line.split(" (")[0] for line in tree.splitlines()}
    bench.row("library", "crates in it, with ours", len(crates), "crates")
    needed = run(["readelf", "-d", bench.library])
    bench.row("library", "shared objects that it needs", needed.count("(NEEDED)"), "objects")
    kinds = re.findall(r"\bR_\w+", run(["readelf", "-rW", bench.library]))
    relative = sum(kind.endswith("_RELATIVE") for kind in kinds)
    bench.row("library", "relocations", len(kinds), "relocations")
    bench.row("library", "of them by name", len(kinds) - relative, "relocations")
