"""Tries a change: the tests that reach it, the quick ones first, until one notices."""

import collections
import dataclasses
import re
import threading

from mutants_tests import environment, words_for
from mutants_worker import HUNG

CAUGHT, MISSED = "caught", "missed"
# Tests that take less run together in one process, as many at a time.
QUICK, TOGETHER = 0.35, 120
# Those that would be alone; what is left after them goes in groups.
ALONE, GROUP = 10, 24
FAILED = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. FAILED|^    (\S+)$", re.MULTILINE)


@dataclasses.dataclass
class Verdict:
    """What became of a change, and by which test."""

    verdict: str
    by: str = ""
    tried: int = 0


class Trial:
    """What tries changes with some tests. It remembers which of the slow ones noticed changes of a
    file: these are likely to notice the next."""

    def __init__(self, tree, known):
        self.tree, self.known = tree, known
        self.noticed = collections.defaultdict(collections.Counter)
        self.lock = threading.Lock()

    def run(self, worker, change, known, limit):
        tests = [one.test for one in known]
        directory = tests[0].directory
        return worker.run(change, words_for(tests), directory, environment(self.tree, directory), limit)

    def alone(self, worker, change, one):
        """Whether a slow test notices: HUNG, CAUGHT or None. One that fails once may have done so by
        itself."""
        for _ in range(2):
            code = self.run(worker, change, [one], 10 + 5 * one.seconds)["code"]
            if not code:
                return None
        return HUNG if code == HUNG else CAUGHT

    def quick(self, worker, change, known):
        """The quick ones, those of a program in one process."""
        programs = collections.defaultdict(list)
        for one in known:
            programs[one.seconds >= QUICK / 6, one.test.program].append(one)
        tried = 0
        for key in sorted(programs):
            tests = sorted(programs[key], key=lambda one: one.seconds)
            for at in range(0, len(tests), TOGETHER):
                some = tests[at:at + TOGETHER]
                done = self.run(worker, change, some, 15 + 8 * sum(one.seconds for one in some))
                tried += len(some)
                if done["code"]:
                    failed = self.failed(done, some)
                    by = failed[0].test.title if failed else key[1]
                    return Verdict(HUNG if done["code"] == HUNG else CAUGHT, by, tried)
        return Verdict(MISSED, tried=tried)

    @staticmethod
    def failed(done, known):
        """Which of these tests a program said failed."""
        said = {name for pair in FAILED.findall(done["output"]) for name in pair if name}
        return [one for one in known if one.test.name in said]

    def slow(self, worker, change, file, known):
        known = sorted(known, key=lambda one: (-self.noticed[file][one.test], one.seconds))
        first = known[:ALONE]
        # The commands of ctest/ see much in their time, and cannot be grouped.
        first += [one for one in known if one not in first and not one.test.name]
        for tried, one in enumerate(first, 1):
            found = self.alone(worker, change, one)
            if found:
                return self.noticed_by(file, one, found, tried)
        tried = len(first)
        groups = collections.defaultdict(list)
        for one in known:
            if one not in first:
                groups[one.test.program].append(one)
        for tests in groups.values():
            for at in range(0, len(tests), GROUP):
                some = tests[at:at + GROUP]
                done = self.run(worker, change, some, 60 + 3 * sum(one.seconds for one in some))
                tried += len(some)
                for one in (self.failed(done, some) or some) if done["code"] else ():
                    found = self.alone(worker, change, one)
                    if found:
                        return self.noticed_by(file, one, found, tried)
        return Verdict(MISSED, tried=tried)

    def noticed_by(self, file, one, found, tried):
        with self.lock:
            self.noticed[file][one.test] += 1
        return Verdict(found, one.test.title, tried)

    def verdict(self, worker, change, file, everything=False):
        """What becomes of a change; of one that is built by itself (with no switch, so that nothing
        tells what reaches it) by `everything`."""
        reaching = [one for one in self.known if everything or change in one.reached]
        number = 0 if everything else change
        quick = [one for one in reaching if one.test.name and one.seconds < QUICK]
        found = self.quick(worker, number, quick)
        if found.verdict != MISSED:
            return found
        slow = [one for one in reaching if one not in quick]
        more = self.slow(worker, number, file, slow)
        more.tried += found.tried
        return more
