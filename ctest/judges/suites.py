"""The judges: test-suites of others who use Debian's libssl, how each is run, and what
became of each of its tests.

A suite has a name, files() that gives its directory, quick() and full() that give the
part to be run, and outcomes(directory, environment, part) that runs it and gives
{test: "passed", "failed" or "skipped"}. A suite that ends early has fewer tests, which
is a difference as well. One that mints its certificates when it runs has none that a
response could be made for beforehand.
"""

import glob
import os
import re
import subprocess
import xml.etree.ElementTree

import sources

PYTHON = "/usr/bin/python3"
# Seconds for one command of a suite.
LIMIT = 600


def run(command, directory, environment):
    """Runs a command; its output, standard error included. What it ends with says less
    than the outcomes of its tests."""
    try:
        done = subprocess.run(command, cwd=directory, env=environment, timeout=LIMIT,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace")
    except subprocess.TimeoutExpired as late:
        tail = (late.stdout or b"").decode(errors="replace")[-2000:]
        raise sources.Unavailable(f"`{' '.join(command[:6])}` had not ended after {LIMIT} s:\n"
                                  f"{tail}") from late
    return done.stdout


def junit(path, output):
    """{test: outcome} of a JUnit report."""
    found = {}
    try:
        cases = list(xml.etree.ElementTree.parse(path).iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError) as error:
        raise sources.Unavailable(f"{path}: {error}\n{output[-2000:]}") from error
    for case in cases:
        name = ".".join(filter(None, [case.get("classname"), case.get("name")]))
        kinds = {child.tag for child in case}
        outcome = ("failed" if kinds & {"failure", "error"} else
                   "skipped" if "skipped" in kinds else "passed")
        # A test may be reported for its body and for what it leaves behind.
        found[name] = "failed" if found.get(name) == "failed" else outcome
    return found


class CPython:
    """A module of CPython's own tests: Python's ssl module, and who builds upon it."""

    mints = False

    def __init__(self, module, quick=()):
        self.name = f"CPython {module}"
        self.module, self.patterns = module, quick

    def files(self):
        # The tests bring certificates, also for the staples that are made for them.
        found = sources.must([PYTHON, "-c", "import test; print(test.__path__[0])"]).strip()
        if not os.path.exists(os.path.join(found, "test_ssl.py")):
            raise sources.Unavailable("python3 has no test_ssl; run: tools/debian-packages")
        return found

    def quick(self):
        return [argument for pattern in self.patterns for argument in ("-m", pattern)]

    def full(self):
        return []

    def outcomes(self, directory, environment, part):
        # Network, and whatever else leaves the machine, is off unless asked for.
        output = run([PYTHON, "-m", "test", "--junit-xml", "report.xml", *part, self.module],
                     directory, environment)
        return junit(os.path.join(directory, "report.xml"), output)


class PyOpenSSL:
    """pyOpenSSL, by cryptography's binding: callbacks of the status_request family."""

    name = "pyOpenSSL test_ssl"
    mints = False
    # Asks a host of the Internet whether its certificate is trusted.
    without = ["--deselect", "tests/test_ssl.py::TestContext::test_set_default_verify_paths"]

    def files(self):
        return sources.pypi(
            "pyOpenSSL", "python3-openssl", "23.0.0",
            "c1cc5f86bcacefc84dada7d31175cae1b1518d5f60d3d0bb595a67822a868a6f", ["tests"])

    def quick(self):
        return ["-k", "TestOCSP or session or TestServerNameCallback or TestContextConnection"]

    def full(self):
        return []

    def outcomes(self, directory, environment, part):
        output = run([PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml",
                      "report.xml", *self.without, *part, "tests/test_ssl.py"],
                     directory, environment)
        return junit(os.path.join(directory, "report.xml"), output)


class Perl:
    """A module of Perl that uses libssl. Its tests are programs that write TAP."""

    mints = False
    # Whether it failed, its description, and whether it was skipped or known to fail.
    LINE = re.compile(r"^\s*(not )?ok\b[\s\d-]*([^#]*)(?:#\s*(skip|todo)\b)?", re.IGNORECASE)

    def __init__(self, name, source, programs, options, quick):
        self.name, self.source, self.programs = name, source, programs
        self.options, self.few = options, quick

    def files(self):
        return sources.debian(self.source, ["t", "inc"] if "-Iinc" in self.options else ["t"])

    def quick(self):
        return self.few

    def full(self):
        return []

    def outcomes(self, directory, environment, part):
        found = {}
        programs = part or sorted(
            os.path.relpath(path, directory)
            for path in glob.glob(os.path.join(directory, self.programs)))
        for program in programs:
            output = run(["perl", "-I.", *self.options, program], directory, environment)
            if re.search(r"^1\.\.0\b", output, re.MULTILINE):
                found[program] = "skipped"
                continue
            lines = [match for line in output.splitlines() if (match := self.LINE.match(line))]
            seen = {}
            for bad, description, directive in (match.groups() for match in lines):
                # By its words, and which of these it is: a parent and its child write as
                # they come. Numbers differ from run to run, as processes and times do.
                words = re.sub(r"\d+", "N", description).strip()
                outcome = "skipped" if directive else "failed" if bad else "passed"
                seen.setdefault(words, []).append(outcome)
            for words, outcomes in seen.items():
                for place, outcome in enumerate(sorted(outcomes), 1):
                    found[f"{program}: {words} {place}".strip()] = outcome
            found[program] = "passed" if lines else "failed"
        return found


class Ruby:
    """The tests of Ruby's openssl extension that make connections. Those of Net::HTTP have a
    certificate that expired."""

    name = "Ruby openssl"
    mints = True
    PROGRAMS = ["test/openssl/test_ssl.rb", "test/openssl/test_ssl_session.rb",
                "test/openssl/test_pair.rb"]

    def files(self):
        return sources.debian("ruby3.1", ["test/openssl", "tool/lib"])

    def quick(self):
        return self.PROGRAMS[1:2]

    def full(self):
        return self.PROGRAMS

    def outcomes(self, directory, environment, part):
        found = {}
        for program in part:
            output = run(["ruby", "-I", "tool/lib", "-I", "test/openssl", program,
                          "-v", "--seed=1"], directory, environment)
            for name in re.findall(r"^\[\s*\d+/\d+\] (\S+) = ", output, re.MULTILINE):
                found[name] = "passed"
            kinds = r"^\s*\d+\) (Failure|Error|Skipped):\n(\S+?):? ?(?:\[.*)?$"
            for kind, name in re.findall(kinds, output, re.MULTILINE):
                found[name] = "skipped" if kind == "Skipped" else "failed"
            if not found:
                raise sources.Unavailable(f"{program} ran no test:\n{output[-2000:]}")
        return found


class Php:
    """The tests of PHP's streams over TLS."""

    name = "PHP openssl streams"
    mints = True
    STREAMS = re.compile(rb"ServerClientTestCase|stream_socket_|(ssl|tls|https)://")

    def files(self):
        return sources.debian("php8.2", ["ext/openssl/tests", "run-tests.php"])

    def quick(self):
        return ["ext/openssl/tests/session_meta_capture.phpt", "ext/openssl/tests/sni_server.phpt"]

    def full(self):
        return []

    def outcomes(self, directory, environment, part):
        if not part:
            for path in sorted(glob.glob(os.path.join(directory, "ext/openssl/tests/*.phpt"))):
                with open(path, "rb") as text:
                    if self.STREAMS.search(text.read()):
                        part = [*part, os.path.relpath(path, directory)]
        report = os.path.join(directory, "report.tsv")
        output = run(["php", "run-tests.php", "-q", "--offline", "-W", report, *part], directory,
                     {**environment, "TEST_PHP_EXECUTABLE": "/usr/bin/php"})
        words = {"PASSED": "passed", "SKIPPED": "skipped"}
        try:
            with open(report) as lines:
                rows = [line.rstrip("\n").split("\t") for line in lines]
        except OSError as error:
            raise sources.Unavailable(f"{error}\n{output[-2000:]}") from error
        return {os.path.basename(path): words.get(word, "failed") for word, path in rows}


ALL = [
    CPython("test_ssl", ["*ContextTests*", "*test_sni_callback*", "*test_session_handling",
                         "*SSLObjectTests*", "*test_dual_rsa_ecc"]),
    CPython("test_asyncio.test_ssl"),
    CPython("test_asyncio.test_sslproto"),
    CPython("test_httplib"),
    CPython("test_ftplib"),
    CPython("test_urllib2_localnet"),
    CPython("test_poplib"),
    CPython("test_imaplib"),
    PyOpenSSL(),
    Perl("Perl Net::SSLeay", "libnet-ssleay-perl", "t/local/*.t", ["-Iinc"],
         ["t/local/07_sslecho.t", "t/local/09_ctx_new.t", "t/local/44_sess.t"]),
    Perl("Perl IO::Socket::SSL", "libio-socket-ssl-perl", "t/*.t", [],
         ["t/sessions.t", "t/sni.t", "t/multiple-cert-rsa-ecc.t"]),
    Ruby(),
    Php(),
]
