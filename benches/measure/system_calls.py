"""System calls of stapled handshakes, and what a forked child's first one costs."""

import os
import re
import time

from .common import functions, run
from .handshake import command_for, toggle

# A growing heap is the program's own, whoever staples; so is the end of a process. The
# second half of a call that another process interrupted is no second call.
OWN = re.compile(r"\bbrk\(|\bexit_group\(|\+\+\+|---|<\.\.\. ")


def traced(bench, command, environment):
    """The system calls of a command: process -> lines."""
    trace = bench.path("trace")
    given = [word for pair in environment.items() for word in ("-E", "=".join(pair))]
    run(["strace", "-f", "-o", trace, *given, *command])
    calls = {}
    with open(trace) as text:
        for line in text:
            process, call = line.split(maxsplit=1)
            calls.setdefault(int(process), [])
            if not OWN.search(call):
                calls[int(process)].append(call)
    return calls


def measure(bench, sites):
    first, second = 10, 10 + bench.count("traced")
    site = sites["P-256"]
    for name, (options, environment) in site.manners(bench).items():
        command = command_for(bench, site, "tls1.3", ["--ask", *options])
        calls = []
        for count in (first, second):
            start = time.monotonic()
            of_process = traced(bench, command(count), environment)
            seconds = time.monotonic() - start
            calls.append(sum(map(len, of_process.values())))
        more, what = calls[1] - calls[0], f"{name}, {second - first} handshakes"
        if name == "file":
            bench.row("system calls", f"{what}, at most {seconds:.1f} s", more, "calls",
                      "at most 1 in a second", more <= seconds + 1)
        else:
            bench.row("system calls", what, more, "calls", "none", more == 0)


def fork(bench, sites):
    """A parent shakes hands, then a forked child for the first time, as servers that fork
    for every connection do."""
    site, counts = sites["P-256"], bench.count("handshakes")
    for name, (options, environment) in site.manners(bench).items():
        def command(parents, childs):
            more = ["--ask", "--still", *options, "--child", str(childs)]
            return command_for(bench, site, "tls1.3", more)(parents)

        def in_child(childs):
            profiles = children(bench, command(counts[0], childs), toggle(name), environment)
            return sum(functions(profiles[-1]).values())

        in_parent = bench.per_step(counts, lambda count: command(count, 0), toggle(name),
                                   **environment)
        over = in_child(1) - in_child(0) - in_parent
        calls = []
        for childs in (0, 1):
            of_process = traced(bench, command(counts[0], childs), environment)
            calls.append(len(of_process[max(of_process)]))
        if name == "native":
            bench.row("fork", "native, child's first over parent's", over, "instructions")
        else:
            bench.row("fork", f"{name}, child's first over parent's", over, "instructions",
                      "within 2,000", abs(over) <= 2000)
        bench.row("fork", f"{name}, of the child's first", calls[1] - calls[0], "system calls",
                  "none", calls[1] == calls[0])


def children(bench, command, option, environment):
    """The profiles of a program and its forked children, in the order they ended."""
    directory = bench.path("profiles")
    os.makedirs(directory, exist_ok=True)
    for old in os.listdir(directory):
        os.remove(os.path.join(directory, old))
    run(["valgrind", "--quiet", "--tool=callgrind", option,
         f"--callgrind-out-file={directory}/%p", *command], **environment)
    return [os.path.join(directory, process) for process in sorted(os.listdir(directory), key=int)]
