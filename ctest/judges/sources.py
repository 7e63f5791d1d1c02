"""Where the judges' test-suites come from: Debian's source packages and PyPI. Each is
fetched once and unpacked into CACHE/judges/; CACHE is $STAPLEGUN_CACHE, else
$XDG_CACHE_HOME/staplegun, else ~/.cache/staplegun.

Which of a package's files are kept is part of what is asked for, since a suite is a small
part of an interpreter's source.
"""

import glob
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "..", "tools"))
sys.dont_write_bytecode = True

import cache as caches  # noqa: E402

# The suites are those of the release as it was published: a security update mends the
# package and moves its source away, and a suite is compared with itself only.
RELEASE = "bookworm"
# Those of the package debian-archive-keyring.
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Unavailable(Exception):
    """A suite cannot be had; the text says why and what to do."""


def must(command, **more):
    """Runs a command and gives its standard output; Unavailable if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", **more)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
        raise Unavailable(f"`{' '.join(command[:6])}` ended with {done.returncode}:\n{tail}")
    return done.stdout


def cache():
    return caches.directory("judges")


def unpack(archive, wanted, into):
    """The files of an archive that lie under one of `wanted`, without its first
    directory. One that has none of them is an error."""
    with tarfile.open(archive) as tar:
        found = set()
        for member in tar:
            member.name = member.name.partition("/")[2]
            under = [path for path in wanted
                     if member.name == path or member.name.startswith(path + "/")]
            if under and ".." not in member.name.split("/") and (
                    member.isfile() or member.isdir()):
                found.update(under)
                tar.extract(member, into)
    if missing := set(wanted) - found:
        raise Unavailable(f"{os.path.basename(archive)} has no {', '.join(sorted(missing))}")


def kept(name, wanted, download):
    """The directory of a suite, from the cache, else by `download(directory)`, which
    gives an archive."""
    final = os.path.join(cache(), name)
    if os.path.isdir(final):
        return final
    print(f"{name}: getting its tests", file=sys.stderr)
    os.makedirs(cache(), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=cache()) as work:
        unpack(download(work), wanted, os.path.join(work, "out"))
        try:
            os.rename(os.path.join(work, "out"), final)
        except OSError:
            if not os.path.isdir(final):  # if it is, another run was faster
                raise
    return final


def version_of(package):
    """The upstream version of an installed package's source."""
    found = must(["dpkg-query", "-W", "-f", "${source:Upstream-Version}", package])
    return found.strip()


def source_lists(directory):
    """apt's options for reading sources from wherever it has packages of Debian from."""
    targets = must(["apt-get", "indextargets", "--format",
                    "$(ORIGIN)\t$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)",
                    "Created-By: Packages"])
    lines = set()
    for line in targets.splitlines():
        origin, site, release, component = line.split("\t")
        if (origin, release) == ("Debian", RELEASE):
            lines.add(f"deb-src [signed-by={KEYS}] {site} {release} {component}\n")
    if not lines:
        raise Unavailable(f"apt knows no packages of Debian {RELEASE}; run: apt-get update")
    with open(os.path.join(directory, "sources.list"), "w") as out:
        out.writelines(sorted(lines))
    os.makedirs(os.path.join(directory, "lists/partial"))
    return ["-o", f"Dir::Etc::SourceList={directory}/sources.list",
            "-o", "Dir::Etc::SourceParts=/dev/null", "-o", f"Dir::State::Lists={directory}/lists",
            # As who asks: the directory is his alone.
            "-o", "APT::Sandbox::User="]


def debian(source, wanted):
    """The upstream tests of a package, from Debian's source package."""

    def download(directory):
        options = source_lists(directory)
        must(["apt-get", *options, "update"])
        must(["apt-get", *options, "source", "--download-only", "--tar-only", source],
             cwd=directory)
        archives = glob.glob(os.path.join(directory, "*.orig.tar.*"))
        archives = [path for path in archives if not path.endswith(".asc")]
        if len(archives) != 1:
            raise Unavailable(f"apt-get source {source} brought {archives}, not one archive")
        return archives[0]

    return kept(f"{source}-{RELEASE}", wanted, download)


def pypi(name, package, version, sha256, wanted):
    """The tests of an installed package, of this version, from PyPI's source archive."""
    if (installed := version_of(package)) != version:
        raise Unavailable(f"{package} is {installed}, and the tests are those of {version}: "
                          "name its archive in ctest/judges/suites.py")

    def download(directory):
        pinned = os.path.join(directory, "pinned")
        with open(pinned, "w") as out:
            out.write(f"{name}=={version} --hash=sha256:{sha256}\n")
        must(["/usr/bin/python3", "-m", "pip", "download", "--quiet", "--no-deps",
              "--no-binary=:all:", "--no-build-isolation", "--require-hashes",
              "--dest", directory, "-r", pinned])
        return glob.glob(os.path.join(directory, "*.tar.gz"))[0]

    return kept(f"{name}-{version}", wanted, download)


def copy(directory, into):
    """A copy that a suite may write into."""
    return shutil.copytree(directory, into, symlinks=True)
