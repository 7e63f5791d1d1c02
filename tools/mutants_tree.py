"""The changed tree: a copy of the tree as it is, and one in which every change stands behind a switch
(the crate `mutants` weaves it), built with what its tests need. Nothing here writes to the tree itself.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

import mutants_weed

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGES = {"staplegun": ".", "staplegun-ocsp": "ocsp", "staplegun-store": "store",
            "staplegun-cli": "cli"}
# The length of the map, as in mutants/switch.
MAP_LENGTH = 1 << 16
# What is denied in this tree is no matter in a changed one.
RUSTFLAGS = "--cap-lints=warn -Awarnings"

# Others' crates are compiled once, and the switch is asked in every loop.
FAST = ("--config", 'profile.dev.package."*".opt-level=2',
        "--config", "profile.dev.package.staplegun-switch.opt-level=3")


def private_directory(target):
    """Where the map, the library and the files of tests lie: every user can enter it, as some tests
    are those of others, and its path is short."""
    name = hashlib.sha256(target.encode()).hexdigest()[:8]
    path = os.path.join(tempfile.gettempdir(), f"staplegun-mutants-{name}")
    try:
        os.mkdir(path)
    except FileExistsError:
        about = os.lstat(path)
        if about.st_uid != os.geteuid() or os.path.islink(path):
            sys.exit(f"mutants: {path} is another's")
    os.chmod(path, 0o755)
    return path


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, IsADirectoryError):
        return None


def write(path, content, mode=0o644):
    """Writes a file, if it is not there as it should be: what is the same is not built anew."""
    if read(path) != content:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    if os.stat(path).st_mode & 0o777 != mode:
        os.chmod(path, mode)


def json_lines(path):
    """What stands in a file, a value in each line. A last one that was cut off goes."""
    text = read(path) or b""
    whole = text[:text.rfind(b"\n") + 1]
    if whole != text:
        os.truncate(path, len(whole))
    return [json.loads(line) for line in whole.splitlines()]


def with_dependency(manifest, path):
    """A package's Cargo.toml that depends on the switch."""
    line = f'[dependencies]\nstaplegun-switch = {{ path = "{path}" }}\n'
    return manifest.replace("[dependencies]\n", line, 1)


class Tree:
    """TARGET/mutants, and what is built there."""

    def __init__(self, target):
        self.target = target
        self.source, self.tree = os.path.join(target, "source"), os.path.join(target, "tree")
        self.shared = private_directory(target)
        self.map = os.path.join(self.shared, "map")
        self.library = os.path.join(self.shared, "lib", "libstaplegun.so")
        self.test_build = os.path.join(self.shared, "lib", "test-build.so")
        self.hosts = os.path.join(self.shared, "hosts")
        self.build_directory = os.path.join(target, "build")
        self.environment = {name: value for name, value in os.environ.items()
                            if name == "STAPLEGUN_CACHE"
                            or not name.startswith(("CARGO_PROFILE_", "STAPLEGUN_"))
                            and name not in ("MAKEFLAGS", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS")}
        self.environment.update(
            CARGO_TARGET_DIR=self.build_directory, CARGO_TERM_COLOR="never",
            # Where nobody looks at a backtrace, nothing is compiled for it.
            CARGO_PROFILE_DEV_DEBUG="false", RUST_BACKTRACE="0")
        self.state = os.path.join(target, "state.json")
        self.changes, self.apart, self.not_built = {}, {}, set()

    def snapshot(self):
        """Copies what git knows or would take, and notes what it is, but for the documents."""
        listed = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "-z", "-c", "-o", "--exclude-standard"],
            cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        self.names = sorted({os.fsdecode(name) for name in listed.split(b"\0") if name})
        self.names = [name for name in self.names if os.path.isfile(os.path.join(ROOT, name))]
        key = hashlib.sha256()
        for name in self.names:
            path = os.path.join(ROOT, name)
            content, mode = read(path), os.stat(path).st_mode & 0o777
            write(os.path.join(self.source, name), content, mode)
            if not name.endswith(".md"):
                key.update(f"{name}\0{mode:o}\0{len(content)}\0".encode() + content)
        self.remove_others(self.source, set(self.names))
        self.key = key.hexdigest()

    def remove_others(self, directory, names):
        for where, _, files in os.walk(directory):
            for file in files:
                path = os.path.join(where, file)
                if os.path.relpath(path, directory) not in names:
                    os.remove(path)

    def weaver(self):
        """The program of the crate `mutants`, built."""
        subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], check=True,
                       cwd=os.path.join(self.source, "mutants"),
                       env=dict(self.environment, CARGO_TARGET_DIR=os.path.join(self.target, "weaver")))
        return os.path.join(self.target, "weaver", "release", "staplegun-mutants")

    def prepare(self, changes):
        """Lays out the tree for these changes, and weaves it; with what is known not to build left
        out."""
        self.changes = {change["id"]: change for change in changes}
        self.list = os.path.join(self.target, "list.json")
        text = json.dumps(changes).encode()
        self.list_key = hashlib.sha256(self.key.encode() + text).hexdigest()
        write(self.list, text)
        # What a run that was cut off has left is of another tree, perhaps.
        shutil.rmtree(self.hosts, ignore_errors=True)
        self.program = self.weaver()
        woven = {change["file"] for change in changes}
        for name in self.names:
            if name in woven:
                continue
            content = read(os.path.join(self.source, name))
            if name == "Cargo.toml":
                content = content.replace(b"members = [", b'members = ["switch", ', 1)
            for package in PACKAGES.values():
                if os.path.normpath(name) == os.path.normpath(os.path.join(package, "Cargo.toml")):
                    content = with_dependency(
                        content.decode(), os.path.relpath("switch", package)).encode()
            write(os.path.join(self.tree, name), content,
                  os.stat(os.path.join(self.source, name)).st_mode & 0o777)
        switch = [name for name in self.names if name.startswith("mutants/switch/")]
        for name in switch:
            write(os.path.join(self.tree, name.removeprefix("mutants/")),
                  read(os.path.join(self.source, name)))
        self.remove_others(self.tree, {
            *self.names, *(name.removeprefix("mutants/") for name in switch)})
        os.makedirs(os.path.dirname(self.library), exist_ok=True)
        write(self.map, bytes(MAP_LENGTH), 0o666)
        known = json.loads(read(self.state) or b"{}")
        if known.get("key") == self.key:
            names = set(known["not built"])
            self.not_built = {change["id"] for change in changes if change["name"] in names}
        self.weave()

    def weave(self):
        """Every change that is not known not to build, each behind its switch."""
        left_out, report = (os.path.join(self.target, name) for name in ("left-out.json", "report.json"))
        write(left_out, json.dumps(sorted(self.not_built)).encode())
        subprocess.run([self.program, "weave", self.source, self.tree, self.list, left_out, report],
                       check=True)
        report = json.loads(read(report))
        self.places = report["places"]
        self.apart = {int(change): why for change, why in report["apart"].items()}
        self.not_built |= set(report["refused"])

    def cargo(self, *words, check=True, target=None):
        """Runs cargo in the changed tree; what it says of packages, as JSON."""
        environment = dict(self.environment, RUSTFLAGS=RUSTFLAGS, STAPLEGUN_MUTANTS_MAP=self.map)
        if target:
            environment["CARGO_TARGET_DIR"] = os.path.join(self.target, target)
        done = subprocess.run(["cargo", *words, *FAST, "--message-format", "json"], cwd=self.tree,
                              env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if check and done.returncode:
            errors = [one["message"]["rendered"] for one in told
                      if one.get("reason") == "compiler-message"
                      and one["message"]["level"] == "error"]
            sys.exit(f"mutants: cargo {' '.join(words)} failed\n{''.join(errors[:5])}"
                     f"{done.stderr[-2000:]}")
        return done.returncode, told

    def weed(self, package):
        """Leaves out what does not compile."""
        checks = [("check", "-p", package, "--all-features", "--all-targets", "--keep-going")]
        if self.needs_library(package):
            checks.append(("check", "-p", "staplegun", "--lib", "--keep-going"))
        for words in checks:
            for _ in range(60):
                code, told = self.cargo(*words, check=False)
                if not code:
                    break
                new = mutants_weed.guilty(told, self.places, self.changes)
                if not new:
                    self.cargo(*words)
                    sys.exit("mutants: what does not compile is no change's fault")
                self.not_built |= new
                print(f"mutants: {len(new)} of the changes do not compile", flush=True)
                self.weave()
        names = sorted(self.changes[change]["name"] for change in self.not_built)
        write(self.state, json.dumps({"key": self.key, "not built": names}).encode())

    @staticmethod
    def needs_library(package):
        return package in ("staplegun", "staplegun-cli")

    def build(self, package, check=True):
        """Builds a package with its tests, and the library that they use; the test programs as
        (name, path, directory of the package), or None if it does not compile."""
        code, told = self.cargo("test", "--no-run", "-p", package, "--all-features", check=check)
        if code:
            return None
        programs = []
        for one in told:
            if one.get("reason") == "compiler-artifact" and one["executable"] and one["profile"]["test"]:
                kind = one["target"]["kind"][0]
                name = one["target"]["name"] if kind == "test" else "unit"
                programs.append((name, one["executable"], os.path.dirname(one["manifest_path"])))
        if self.needs_library(package):
            code, _ = self.cargo("build", "-p", "staplegun", "--lib", target="library", check=check)
            if code:
                return None
            self.copy(os.path.join(self.target, "library", "debug", "libstaplegun.so"), self.library)
        return programs

    def build_for_commands(self, check=True):
        """What ctest/ needs beside the library: the test build, and the example that publishes."""
        for words in (("-p", "staplegun", "--lib"),
                      ("-p", "staplegun-store", "--example", "publish")):
            code, _ = self.cargo("build", "--all-features", *words, check=check)
            if code:
                return False
        self.copy(os.path.join(self.build_directory, "debug", "libstaplegun.so"), self.test_build)
        return True

    def close(self):
        """Removes what lies outside of the target directory."""
        shutil.rmtree(self.shared)

    def copy(self, path, to):
        shutil.copy(path, to + ".new")
        os.replace(to + ".new", to)

    def make_plain(self, change):
        """The tree with one change in it, and no switch."""
        subprocess.run([self.program, "plain", self.source, self.tree, self.list, str(change)],
                       check=True)
