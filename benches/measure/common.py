"""What all measurements share: running and building programs, counts, rows, statistics."""

import concurrent.futures
import math
import os
import re
import statistics
import subprocess
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHIPPED = ("libstaplegun.so", "staplegun")
COUNTS = {
    #                 full                smoke
    "handshakes":    ((3, 7),             (2, 4)),
    "open":          (200,                5),
    "timed":         (100,                3),
    "timed rounds":  (12,                 2),
    "calls":         ((1000, 11000),      (100, 200)),
    "loads":         (400,                10),
    "traced":        (10_000,             50),
    "threads":       (400,                16),
    "thread rounds": (6,                  2),
    "lookups":       ((1000, 11000),      (100, 200)),
    "map sizes":     ((1, 1000, 100_000), (1, 1000)),
    "server turns":  (5,                  1),
    "server rounds": (40,                 2),
    "certificates":  (10_000,             20),
    "openssl loop":  (100,                3),
    "revocations":   (1_000,              20),
    "certificates loaded": (300,          5),
    "certificates updated": (5_000,       20),
    "updater rounds": (8,                 2),
    "many certificates": (100_000,        20),
    #                 agents, certificates, seconds of a response's life
    "fleet":         ((20, 200, 100),     (3, 10, 6)),
    "fleet fetches": (2_000,              20),
    "fleet rounds":  (8,                  2),
}


class Unmeasured(Exception):
    """A measurement did not come off; the text says which and why."""


class Bench:
    """Programs, directories, counts and the results."""

    def __init__(self, directory, programs, work, smoke):
        self.directory = os.path.abspath(directory)
        self.programs = os.path.abspath(programs or directory)
        self.work, self.smoke = work, smoke
        self.library = self.built("libstaplegun.so")
        self.rows = []

    def built(self, name):
        """What is shipped, or a program that measures it."""
        directory = self.directory if name in SHIPPED else self.programs
        path = os.path.join(directory, name)
        if not os.path.exists(path):
            raise Unmeasured(f"{path} is not there: `make bench` builds it")
        return path

    def count(self, name):
        return COUNTS[name][1 if self.smoke else 0]

    def path(self, name):
        return os.path.join(self.work, name)

    def row(self, part, what, value, unit, goal=None, met=None, interval=None):
        """Notes a result and prints it at once."""
        digits = 3 if unit == "times" else 1
        value = round(value, digits) if isinstance(value, float) else value
        row = {"part": part, "what": what, "value": value, "unit": unit,
               "goal": goal, "met": met}
        between = ""
        if interval is not None:
            row["interval"] = [round(bound, digits) for bound in interval]
            between = "[{:.3f}, {:.3f}] ".format(*interval)
        self.rows.append(row)
        # Small counts say nothing about a goal.
        said = "" if goal is None or self.smoke else f"goal: {goal}: {'met' if met else 'MISSED'}"
        print(f"{part:12} {what:52} {value:>12,} {unit:14} {between}{said}", flush=True)

    def compile(self, name, *options, text=None):
        """A C program of benches/, or the text of a shared object. Built once."""
        target = self.path(name)
        if os.path.exists(target):
            return target
        source = os.path.join(ROOT, "benches", f"{name}.c")
        if text is not None:
            source = self.path(f"{name}.c")
            with open(source, "w") as out:
                out.write(text)
        run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", target, source, *options])
        return target

    def callgrind(self, command, *options, **environment):
        """The instructions of one run."""
        with open(self.profile(command, *options, **environment)) as text:
            total = re.search(r"^(?:totals|summary): (\d+)", text.read(), re.M)
        return int(total.group(1))

    def profile(self, command, *options, **environment):
        """Runs a program under callgrind; the path of its profile, until the next one of
        this thread."""
        profile = self.path(f"callgrind.{threading.get_ident()}")
        run(["valgrind", "--quiet", "--tool=callgrind",
             f"--callgrind-out-file={profile}", *options, *command], **environment)
        return profile

    def per_step(self, counts, command_of, *options, **environment):
        """Instructions for one more step, by the difference of two counts."""
        return per_step(counts, lambda count: self.callgrind(command_of(count), *options,
                                                             **environment))


def per_step(counts, spent):
    """What one more step adds to `spent`, which is called for both counts side by side:
    instructions do not depend on what else runs."""
    with concurrent.futures.ThreadPoolExecutor(len(counts)) as pool:
        first, second = pool.map(spent, counts)
    return (second - first) / (counts[1] - counts[0])


class Running:
    """A program that runs in the background, and is told to end with the block."""

    def __init__(self, command):
        self.command = command

    def __enter__(self):
        self.child = subprocess.Popen(self.command, env=clean_environment(),
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return self.child

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait()


class Responder:
    """Certificates in a store that is made here, and their responder: its two addresses, of
    which the second closes each connection."""

    def __init__(self, bench, store, count, *options):
        os.mkdir(store)
        self.command = [bench.built("responder"), store, str(count), *options]

    def __enter__(self):
        self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        addresses = self.child.stdout.readline().split()
        if len(addresses) != 2:
            self.__exit__()
            raise Unmeasured("the responder did not start")
        return addresses

    def __exit__(self, *_):
        self.child.stdin.close()
        said = self.child.stdout.read().split()
        self.child.wait()
        if len(said) == 2:
            # How many answers it signed, and the seconds from the first to the last.
            self.signed, self.span = int(said[0]), int(said[1]) / 1e6


def clean_environment(**more):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("STAPLEGUN_", "LD_", "OPENSSL_", "SSL_CERT_"))}
    return {**kept, **more}


def run(command, cwd=None, **environment):
    """Runs a command; its standard output."""
    done = subprocess.run(command, cwd=cwd, env=clean_environment(**environment), text=True,
                          stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode != 0:
        raise Unmeasured(f"`{' '.join(command)}` ended with {done.returncode}:\n"
                         f"{done.stdout.strip()}\n{done.stderr.strip()}")
    return done.stdout


# Quantiles of Student's t that leave 2.5 % above, by degrees of freedom.
STUDENT = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306,
           9: 2.262, 10: 2.228, 12: 2.179, 14: 2.145, 17: 2.110, 19: 2.093, 24: 2.064,
           29: 2.045, 39: 2.023, 59: 2.001}


def ratio(pairs):
    """The mean of the ratios of paired measurements, as (ratio, (low, high)) with the 95 %
    interval of Student's t, both on the scale of logarithms."""
    logs = [math.log(one / other) for one, other in pairs]
    freedom = len(logs) - 1
    quantile = STUDENT[max(known for known in STUDENT if known <= freedom)]
    mean = statistics.mean(logs)
    margin = quantile * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), (math.exp(mean - margin), math.exp(mean + margin))


def functions(profile):
    """What a callgrind profile says that each function executed itself:
    (object, function) -> instructions."""
    names, spent = {}, {}
    shared, function, called = "", "", False

    def name(kind, text):
        number, _, given = text.partition(") ")
        key = (kind, number.rstrip(")"))
        return names.setdefault(key, given)

    with open(profile) as lines:
        for line in lines:
            word, equals, rest = line.rstrip("\n").partition("=")
            if equals and word == "ob":
                shared = name("ob", rest)
            elif equals and word == "fn":
                function = name("fn", rest)
            elif equals and word in ("cob", "cfn"):
                name(word[1:], rest)
            elif equals and word == "calls":
                called = True
            elif re.match(r"[-+*\d]", line):
                # The line after "calls" has what the called function executed.
                if not called:
                    key = (os.path.basename(shared), function)
                    spent[key] = spent.get(key, 0) + int(line.split()[1])
                called = False
    return spent
