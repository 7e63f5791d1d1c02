"""What arm64 programs need that this machine lacks, of Debian's packages for arm64: Rust's
standard library, OpenSSL, servers, and the libraries of all of them.

They are unpacked, not installed, so that nothing of the machine's own changes: into
CACHE/arm64-VERSION, where CACHE is $STAPLEGUN_CACHE, else $XDG_CACHE_HOME/staplegun, else
~/.cache/staplegun, and VERSION is that of the machine's own Rust of Debian, for which the
standard library must be. In it are

    rust/      a sysroot for rustc, whose standard library is for arm64
    include/   OpenSSL's headers
    lib/       what is to be found in /usr/lib: see tools/arm64-run
    bin/       the programs
    dpkg/      what dpkg keeps of the packages in lib/, for dpkg-shlibdeps: see tools/deb

It is made once; remove it, and it is made anew.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

import cache

TRIPLE = "aarch64-unknown-linux-gnu"
MULTIARCH = "aarch64-linux-gnu"
# Raised when a root comes to hold other things, so that older ones are not taken.
REVISION = 3
# Rust's, which needs none of the packages that it depends on: they are the compiler's.
STD = "libstd-rust-web-dev"
HEADERS = "libssl-dev"
# With all that they depend on. The agent needs no more than they do.
PROGRAMS = ["openssl", "python3", "redis-server", "redis-tools"]
# Name in bin/ -> where the packages have it.
BIN = {"openssl": "usr/bin/openssl", "python3": "usr/bin/python3.11",
       # redis-server is this one, too.
       "redis-server": "usr/bin/redis-check-rdb", "redis-cli": "usr/bin/redis-cli"}
# What of usr/lib is for arm64 alone, and stands beside this machine's own there.
LIB = [MULTIARCH, "ld-linux-aarch64.so.1", "python3.11/lib-dynload",
       # How Python was built, which pip asks it.
       f"python3.11/_sysconfigdata__{MULTIARCH}.py"]


def fail(message):
    sys.exit(f"arm64: {message}")


def run(command, **more):
    """Runs it quietly; its standard output. What it says is shown if it fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace", **more)
    except FileNotFoundError:
        fail(f"{command[0]} is not installed; see tools/debian-packages")
    if done.returncode:
        sys.stderr.write((done.stdout + done.stderr)[-4000:])
        fail(f"`{' '.join(command[:1] + command[-2:])}` ended with {done.returncode} (see above)")
    return done.stdout


def rust_version():
    """The version of this machine's own standard library of Debian's Rust."""
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", STD],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if shown.returncode or not shown.stdout:
        fail("rustc-web is not installed; see tools/debian-packages")
    return shown.stdout


def apt(work):
    """apt-get's words for a machine of its own, with nothing on it, whose packages come from
    wherever this one has Debian's from."""
    targets = run(["apt-get", "indextargets", "--format",
                   "$(ORIGIN)\t$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)\t$(SIGNED_BY)",
                   "Created-By: Packages"])
    lines = set()
    for line in targets.splitlines():
        origin, site, release, component, keys = line.split("\t")
        if origin == "Debian":
            signed = keys if keys.startswith("/") else "/usr/share/keyrings/debian-archive-keyring.gpg"
            lines.add(f"deb [signed-by={signed}] {site} {release} {component}\n")
    if not lines:
        fail("apt knows no archive of Debian; run: apt-get update")
    with open(os.path.join(work, "sources.list"), "w") as out:
        out.writelines(sorted(lines))
    for directory in ("state/lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(work, directory))
    with open(os.path.join(work, "state", "status"), "w"):
        pass
    options = ["APT::Architecture=arm64", "APT::Architectures::=arm64",
               f"Dir::State={work}/state", f"Dir::State::status={work}/state/status",
               f"Dir::Cache={work}/cache", f"Dir::Etc::SourceList={work}/sources.list",
               "Dir::Etc::SourceParts=/dev/null", "APT::Install-Recommends=false",
               "Acquire::Retries=3", "Acquire::Languages=none",
               # As who asks: the directory is his alone.
               "APT::Sandbox::User="]
    return ["apt-get", *(word for option in options for word in ("-o", option))]


def unpack(archives, tree):
    """All of them in one tree, in which bin, sbin and lib are those of usr, as in Debian."""
    for name in ("bin", "sbin", "lib"):
        os.makedirs(os.path.join(tree, "usr", name))
        os.symlink(f"usr/{name}", os.path.join(tree, name))
    for archive in archives:
        packed = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE)
        run_tar = subprocess.run(["tar", "--extract", "--keep-directory-symlink",
                                  "--no-same-owner", "--directory", tree], stdin=packed.stdout)
        packed.stdout.close()
        if packed.wait() or run_tar.returncode:
            fail(f"{os.path.basename(archive)} cannot be unpacked (see above)")


def remember(archives, out):
    """What dpkg keeps of a package that is installed, as it lies in a package: its control file,
    what its libraries are called, and the list of its files."""
    os.mkdir(os.path.join(out, "dpkg"))
    for archive in archives:
        package = os.path.join(out, "dpkg", os.path.basename(archive).partition("_")[0])
        run(["dpkg-deb", "--control", archive, package])
        names = run(["dpkg-deb", "--contents", archive]).splitlines()
        with open(os.path.join(package, "list"), "w") as out_list:
            out_list.writelines(f"{name.split()[5][1:]}\n" for name in names
                                if not name.startswith("d"))


def database(directory):
    """A database of dpkg's, in which the packages are installed whose libraries are in lib/ of
    the root, where they lie there."""
    here = root()
    os.makedirs(os.path.join(directory, "info"))
    os.mkdir(os.path.join(directory, "updates"))
    paragraphs = []
    for package in sorted(glob.glob(os.path.join(here, "dpkg", "*"))):
        with open(os.path.join(package, "control")) as control:
            text = control.read().strip()
        paragraphs.append(f"{text}\nStatus: install ok installed\n")
        name = os.path.basename(package)
        is_shared = re.search("^Multi-Arch: same$", text, re.MULTILINE)
        target = os.path.join(directory, "info", f"{name}:arm64" if is_shared else name)
        for kind in ("symbols", "shlibs"):
            if os.path.exists(os.path.join(package, kind)):
                shutil.copy(os.path.join(package, kind), f"{target}.{kind}")
        with open(os.path.join(package, "list")) as names:
            moved = re.sub(rf"^(?:/usr)?/lib/{MULTIARCH}(?=/)", f"{here}/lib/{MULTIARCH}",
                           names.read(), flags=re.MULTILINE)
        with open(f"{target}.list", "w") as out:
            out.write(moved)
    for name, text in (("status", "\n".join(paragraphs)), ("arch", "amd64\narm64\n"),
                       ("info/format", "1\n")):
        with open(os.path.join(directory, name), "w") as out:
            out.write(text)


def make(version, out, work):
    """Fills `out` with what the packages have."""
    os.mkdir(out)
    get = apt(work)
    run([*get, "update"])
    try:
        run([*get, "download", f"{STD}={version}", HEADERS], cwd=work)
    except SystemExit:
        sys.stderr.write(f"arm64: if there is no {STD} {version} for arm64, this machine's own is "
                         "not the newest: apt-get update && apt-get install rustc-web cargo-web "
                         "rust-web-src\n")
        raise
    run([*get, "install", "--yes", "--download-only", *PROGRAMS])
    remember(glob.glob(f"{work}/cache/archives/*.deb"), out)
    tree = os.path.join(work, "tree")
    unpack([*glob.glob(f"{work}/*.deb"), *glob.glob(f"{work}/cache/archives/*.deb")], tree)

    def take(source, *target):
        target = os.path.join(out, *target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(os.path.join(tree, source), target)

    take(f"usr/lib/rustlib/{TRIPLE}", "rust/lib/rustlib", TRIPLE)
    take("usr/include/openssl", "include/openssl")
    # Debian keeps what depends on the machine apart.
    for header in os.listdir(f"{tree}/usr/include/{MULTIARCH}/openssl"):
        take(f"usr/include/{MULTIARCH}/openssl/{header}", "include/openssl", header)
    for name, path in BIN.items():
        take(path, "bin", name)
    for path in LIB:
        take(f"usr/lib/{path}", "lib", path)


def root():
    """The directory, made first if need be."""
    version = rust_version()
    final = cache.directory(f"arm64-{REVISION}-" + re.sub(r"[^\w.]+", "-", version))
    if os.path.isdir(final):
        return final
    print("arm64: getting Debian's packages for arm64", file=sys.stderr)
    os.makedirs(cache.directory(), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".arm64.", dir=cache.directory()) as work:
        out = os.path.join(work, "out")
        make(version, out, work)
        # Its programs are run by any user.
        for directory, _, _ in os.walk(out):
            os.chmod(directory, 0o755)
        try:
            os.rename(out, final)
        except OSError:
            if not os.path.isdir(final):  # if it is, another run was faster
                raise
    return final
