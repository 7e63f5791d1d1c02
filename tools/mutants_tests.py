"""The tests that are to notice: cargo's, one by one, and the commands of ctest/; whether they pass
with no change on, how long they take, and which changes they reach."""

import dataclasses
import importlib.machinery
import importlib.util
import json
import os
import queue
import subprocess
import threading

from mutants_tree import json_lines

# Programs of tests that read the tree, build it or try the tools: none runs the code.
LEFT_OUT = {
    "staplegun": {"compiled", "dependencies", "documents", "filters", "imports", "machines",
                  "mutants", "packages", "tree"},
    "staplegun-cli": {"install"},
}
# The tests in a package's own sources, which are the quickest.
UNIT = "unit"
# Longer than any takes.
LIMIT = 900


@dataclasses.dataclass(frozen=True)
class Test:
    """One test of a program, or a command of its own, which has no name."""

    program: str
    name: str
    command: tuple
    directory: str

    @property
    def title(self):
        return f"{self.program} {self.name}".strip()


@dataclasses.dataclass(frozen=True)
class Known:
    """A test that passes with no change on."""

    test: Test
    seconds: float
    reached: frozenset


def environment(tree, directory):
    """What a test is run with."""
    return dict(tree.environment, STAPLEGUN_LIB=tree.library, CARGO_MANIFEST_DIR=directory,
                # That a test may be the last one of its program.
                RUSTC_BOOTSTRAP="1", RUST_TEST_THREADS="2", PROPTEST_MAX_SHRINK_ITERS="0",
                # Seconds after which it waits in vain.
                STAPLEGUN_TEST_LIMIT="15")


def words_for(tests, until_one_fails=True):
    """The command that runs tests of one program."""
    first = tests[0]
    if not first.name:
        return first.command
    fail_fast = ("-Zunstable-options", "--fail-fast") if until_one_fails else ()
    return (*first.command, *fail_fast, "--exact", *(test.name for test in tests))


def names(tree, path, directory, *more):
    told = subprocess.run([path, "--list", "--format", "terse", *more], cwd=directory, check=True,
                          env=environment(tree, directory), stdout=subprocess.PIPE, text=True).stdout
    return {line.removesuffix(": test") for line in told.splitlines() if line.endswith(": test")}


def of_programs(tree, package, programs, unit):
    """The unit tests, or all others, of what was built."""
    for program, path, directory in sorted(programs):
        if (program == UNIT) != unit or program in LEFT_OUT.get(package, ()):
            continue
        ignored = names(tree, path, directory, "--ignored")
        for name in sorted(names(tree, path, directory) - ignored):
            yield Test(f"{os.path.basename(directory)}/{program}", name, (path,), directory)


def of_ctest(tree):
    """What `ctest/` holds the library to, on few libssls: what an old one lacks, what only a new one
    takes, and where its own functions call each other around the library."""
    def command(title, *words):
        directory = os.path.join(tree.tree, "ctest")
        program = os.path.join(tree.tree, words[0])
        return Test(title, "", (program, *words[1:], "--quick", "--shim", tree.library), directory)

    publish = ("--publish", os.path.join(tree.build_directory, "debug", "examples", "publish"))
    hosts = ("ctest/hosts/run", *publish, "--built", tree.hosts)
    for image in ("3.0", "1.0.2q", "3.6"):
        yield command(f"ctest/run {image}", "ctest/run", f"--images={image}")
    for image in ("3.0", "3.6"):
        for program in programs_of_hosts(tree):
            yield command(f"ctest/hosts {image} {program}", *hosts, f"--images={image}",
                          f"--only={program}")
    for fault in ("panic", "function", "absent", "allocation", "allocations"):
        yield command(f"ctest/faults {fault}", "ctest/faults/run", *publish,
                      "--test-build", tree.test_build, f"--only={fault}")


def programs_of_hosts(tree):
    """Those of ctest/hosts, each of which can be run without the others."""
    path = os.path.join(tree.source, "ctest", "hosts", "run")
    loader = importlib.machinery.SourceFileLoader("ctest_hosts", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("ctest_hosts", loader))
    loader.exec_module(module)
    return module.PROGRAMS


def baseline(tree, workers, package, tests):
    """What is known of each test that passes; those that do not are told. What an earlier run of the
    same tree and list has found to pass is taken from it."""
    path = os.path.join(tree.target, f"baseline-{package}.jsonl")
    known = {(one["program"], one["name"]): one for one in json_lines(path)
             if one["key"] == tree.list_key and not one["code"]}
    todo = [test for test in tests if (test.program, test.name) not in known]
    # What takes long begins first.
    todo.sort(key=lambda test: bool(test.name))
    lock = threading.Lock()

    def run(worker, test):
        for _ in range(2):
            done = worker.run((), words_for([test]), test.directory,
                              environment(tree, test.directory), LIMIT)
            if not done["code"]:
                break
        one = dict(key=tree.list_key, program=test.program, name=test.name, **done)
        if not done["code"]:
            one["output"] = ""
        with lock:
            known[test.program, test.name] = one
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(one) + "\n")

    share(workers, todo, run)
    found = []
    for test in tests:
        one = known[test.program, test.name]
        if not one["code"]:
            found.append(Known(test, one["seconds"], frozenset(one["reached"])))
            continue
        print(f"mutants: left out, as it does not pass here ({one['code']}): {test.title}")
        # Of a command, what it says is wrong; of a test its name says that.
        for line in one["output"].splitlines()[-8:] if not test.name else ():
            print(f"    {line}")
    return found, len(tests) - len(found)


def share(workers, things, run):
    """Runs `run(worker, thing)` for each thing, as many at a time as there are workers."""
    left = queue.SimpleQueue()
    for thing in things:
        left.put(thing)
    errors = []

    def work(worker):
        while not errors:
            try:
                thing = left.get_nowait()
            except queue.Empty:
                return
            try:
                run(worker, thing)
            except BaseException as error:  # noqa: B902: it is raised again by who waits
                errors.append(error)

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
