"""The instructions of an earlier run, which no change may exceed without saying so."""

import json
import os

from .common import run

# How far a row may rise: the greater of both.
SHARE, INSTRUCTIONS = 0.03, 3


def made_with():
    """What the counts depend on besides the sources: with another, nothing is comparable."""
    return {"rustc": run([os.environ.get("RUSTC", "rustc"), "--version"]).strip(),
            "libc": run(["ldd", "--version"]).splitlines()[0],
            "libssl": run(["openssl", "version"]).strip()}


def rows_of(bench):
    return {f"{row['part']}: {row['what']}": row["value"] for row in bench.rows
            if row["unit"] == "instructions"}


def write(path, bench):
    with open(path, "w") as out:
        json.dump({"made with": made_with(), "instructions": rows_of(bench)}, out, indent=1)
        out.write("\n")


def read(path):
    with open(path) as text:
        return json.load(text)


def differences(baseline):
    """Why this machine's counts cannot be held against the baseline; empty if they can."""
    found, wanted = made_with(), baseline["made with"]
    return [f"{name} is {found[name]}, the baseline's {wanted[name]}"
            for name in wanted if found.get(name) != wanted[name]]


def complaints(baseline, bench, whole):
    """One sentence for each row that has risen or appeared, or has gone from a whole run."""
    before, now = baseline["instructions"], rows_of(bench)
    said = [f"{row}: was not measured" for row in before if whole and row not in now]
    said += [f"{row}: {value:,}, and the baseline has no such row"
             for row, value in now.items() if row not in before]
    for row, value in now.items():
        if row in before and value - before[row] > max(SHARE * before[row], INSTRUCTIONS):
            said.append(f"{row}: {value:,} instructions, the baseline's {before[row]:,}")
    return said
