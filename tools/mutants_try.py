"""Tries changes: one by one with the tests that are quick or most about its file; what these have not
noticed several at a time with all others that reach it, which tells most of it for the price of one."""

import collections
import dataclasses
import re
import threading

from mutants_tests import environment, words_for
from mutants_worker import HUNG

CAUGHT, MISSED = "caught", "missed"
# Not noticed so far, and there are more tests.
OPEN = "open"
# Tests that take less run together in one process, as many at a time.
QUICK, AT_ONCE = 0.35, 120
# Slow tests that a change is tried with by itself, none that takes longer.
FEW, LONG = 8, 8
# Then so many changes are on at a time, and so many tests of a program run in one process.
TOGETHER, GROUP = 10, 16
# As many that fail tell enough: they are looked into before others run.
ENOUGH = 12
FAILED = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. FAILED|^    (\S+)$", re.MULTILINE)
PASSED = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. ok$", re.MULTILINE)


@dataclasses.dataclass
class Verdict:
    """What became of a change, by which test, and after how many. Where it is OPEN, the tests that it
    was not yet tried with."""

    verdict: str
    by: str = ""
    tried: int = 0
    rest: tuple = ()


class Trial:
    """What tries changes with some tests. It remembers which of the slow ones noticed changes of a
    file: these are likely to notice the next."""

    def __init__(self, tree, known):
        self.tree, self.known = tree, known
        self.noticed = collections.defaultdict(collections.Counter)
        self.lock = threading.Lock()
        # file -> test -> how much of what the test reaches lies there.
        self.shares = collections.defaultdict(dict)
        for one in known:
            files = collections.Counter(
                tree.changes[change]["file"] for change in one.reached if change in tree.changes)
            for file, count in files.items():
                self.shares[file][one.test] = count / files.total()

    def run(self, worker, changes, known, limit, until_one_fails=True):
        tests = [one.test for one in known]
        directory = tests[0].directory
        return worker.run(changes, words_for(tests, until_one_fails), directory,
                          environment(self.tree, directory), limit)

    def alone(self, worker, changes, one):
        """Whether a slow test notices: HUNG, CAUGHT or None. One that fails once may have done so by
        itself."""
        for _ in range(2):
            code = self.run(worker, changes, [one], 10 + 5 * one.seconds)["code"]
            if not code:
                return None
        return HUNG if code == HUNG else CAUGHT

    def quick(self, worker, changes, known):
        """The quick ones, those of a program in one process."""
        programs = collections.defaultdict(list)
        for one in known:
            programs[one.seconds >= QUICK / 6, one.test.program].append(one)
        tried = 0
        for key in sorted(programs):
            tests = sorted(programs[key], key=lambda one: one.seconds)
            for at in range(0, len(tests), AT_ONCE):
                some = tests[at:at + AT_ONCE]
                done = self.run(worker, changes, some, 15 + 8 * sum(one.seconds for one in some))
                tried += len(some)
                if done["code"]:
                    said = {name for pair in FAILED.findall(done["output"]) for name in pair if name}
                    failed = [one.test.title for one in some if one.test.name in said]
                    by = failed[0] if failed else key[1]
                    return Verdict(HUNG if done["code"] == HUNG else CAUGHT, by, tried)
        return Verdict(MISSED, tried=tried)

    def first_look(self, worker, change):
        """What the quick tests and a few slow ones tell of a change that is behind a switch."""
        file = self.tree.changes[change]["file"]
        reaching = [one for one in self.known if change in one.reached]
        quick = [one for one in reaching if one.test.name and one.seconds < QUICK]
        found = self.quick(worker, [change], quick)
        if found.verdict != MISSED:
            return found
        shares, noticed = self.shares[file], self.noticed[file]
        slow = sorted((one for one in reaching if one not in quick), key=lambda one: (
            -noticed[one.test], -shares[one.test] / (QUICK + one.seconds)))
        few = [one for one in slow if one.seconds < LONG][:FEW]
        for tried, one in enumerate(few, found.tried + 1):
            verdict = self.alone(worker, [change], one)
            if verdict:
                with self.lock:
                    noticed[one.test] += 1
                return Verdict(verdict, one.test.title, tried)
        rest = tuple(one for one in slow if one not in few)
        return Verdict(OPEN if rest else MISSED, tried=found.tried + len(few), rest=rest)

    def of_build(self, worker):
        """What all tests tell of the one change that is built without a switch."""
        found = self.quick(worker, (), [one for one in self.known
                                        if one.test.name and one.seconds < QUICK])
        if found.verdict != MISSED:
            return found
        slow = [one for one in self.known if not one.test.name or one.seconds >= QUICK]
        for one in self.failing(worker, (), slow)[0]:
            verdict = self.alone(worker, (), one)
            if verdict:
                return Verdict(verdict, one.test.title, len(self.known))
        return Verdict(MISSED, tried=len(self.known))

    def together(self, worker, found):
        """What becomes of some changes (change -> its OPEN verdict) by the rest of their tests: all
        are on at a time, and where a test then fails, each is tried alone with it. Where one hides
        another, that counts as missed."""
        verdicts, on = {}, list(found)
        tests = {one for verdict in found.values() for one in verdict.rest}
        while on and tests:
            failed, is_all = self.failing(worker, on, tests)
            told = failed[:FEW]
            noticed = {}
            for one in told:
                for change in on:
                    if change in one.reached and change not in noticed:
                        verdict = self.alone(worker, [change], one)
                        if verdict:
                            tried = found[change].tried + len(found[change].rest)
                            noticed[change] = Verdict(verdict, one.test.title, tried)
                if noticed:
                    break
            verdicts.update(noticed)
            on = [change for change in on if change not in noticed]
            if is_all:
                tests = set(failed)
            if not noticed:
                # They fail only with several on, or at times.
                tests -= set(told)
        for change in on:
            verdict = found[change]
            verdicts[change] = Verdict(MISSED, tried=verdict.tried + len(verdict.rest))
        return verdicts

    def failing(self, worker, changes, known):
        """Which tests do not pass, the quickest first, and whether all have run."""
        programs = collections.defaultdict(list)
        for one in sorted(known, key=lambda one: one.seconds):
            programs[one.test.program].append(one)
        failed = []
        for tests in programs.values():
            for at in range(0, len(tests), GROUP):
                if len(failed) >= ENOUGH:
                    return sorted(failed, key=lambda one: one.seconds), False
                some = tests[at:at + GROUP]
                limit = 60 + 3 * sum(one.seconds for one in some)
                done = self.run(worker, changes, some, limit, until_one_fails=False)
                if done["code"]:
                    passed = set(PASSED.findall(done["output"]))
                    failed += [one for one in some if one.test.name not in passed]
        return sorted(failed, key=lambda one: one.seconds), True


def groups(found):
    """The OPEN changes of `found` (change -> verdict), some at a time, neighbours apart: these are
    likely to hide each other."""
    left = sorted(change for change, verdict in found.items() if verdict.verdict == OPEN)
    count = -(-len(left) // TOGETHER)
    return [{change: found[change] for change in left[at::count]} for at in range(count)]
