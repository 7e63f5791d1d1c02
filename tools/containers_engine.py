"""A small container engine for tools/containers-check: images by buildah, containers by crun.

It does what an engine does, and nothing of what the examples say: those are read by
containers_kubernetes.py and containers_compose.py. Images are built before, outside; containers
run in the namespaces that `inside()` made, in which all share one network, as in a pod.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
import time

TOOLS = os.path.dirname(os.path.abspath(__file__))
# Seconds that anything may take; far more than a busy machine needs.
LIMIT = 60
SECCOMP = "/usr/share/containers/seccomp.json"
# What containers may do that are not told otherwise (OCI, as Docker and CRI-O have it).
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETPCAP",
                "NET_BIND_SERVICE", "KILL"]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# An unprivileged user of this machine, as whom crun itself runs in rootless containers.
SOMEBODY = 12345


class Wrong(Exception):
    """What is not as it should be."""


def run(*words, statuses=(0,), **more):
    """Runs it to its end; what it wrote."""
    more.setdefault("stdin", subprocess.DEVNULL)
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=600, **more)
    except FileNotFoundError:
        raise Wrong(f"{words[0]} is not installed; see tools/debian-packages")
    if done.returncode not in statuses:
        raise Wrong(f"`{' '.join(words)}` ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


def until(what, holds):
    """Waits until it holds; what it gave."""
    end = time.monotonic() + LIMIT
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise Wrong(f"{what}: not after {LIMIT} seconds")
        time.sleep(0.02)


class Images:
    """The images of buildah, kept in a storage of our own."""

    def __init__(self, storage):
        os.makedirs(storage, exist_ok=True)
        self.runroot = tempfile.mkdtemp(prefix="staplegun-buildah.")
        self.words = ["buildah", "--root", os.path.join(storage, "images"), "--runroot",
                      self.runroot, "--storage-driver", "overlay"]
        self.working = []

    def buildah(self, *words, **more):
        # It has no use for namespaces of its own: the steps of a build are run in a chroot.
        return run(*self.words, *words, env={**os.environ, "BUILDAH_ISOLATION": "chroot"}, **more)

    def pulled(self, name, make):
        """An image by a name of somebody else's, made once: make(DIRECTORY) gives its files, in a
        directory or a tar file there."""
        found = json.loads(self.buildah("images", "--json"))
        if any(name in one["names"] for one in found if one["names"]):
            return
        with tempfile.TemporaryDirectory(prefix="staplegun-image.") as work:
            files = make(work)
            container = self.buildah("from", "scratch").strip()
            self.buildah("add", "-q", container, files, "/")
            self.buildah("commit", "-q", "--rm", container, name)

    def debian(self, name, packages):
        """A Debian 12 with these packages."""
        def make(work):
            run(os.path.join(TOOLS, "debian-root"), "bookworm", "--packages", packages,
                "--share", work, "--", "tar", "--one-file-system", "-cf", f"{work}/root.tar",
                "-C", "/", ".")
            return f"{work}/root.tar"
        self.pulled(name, make)

    def musl(self, name, servers):
        """What Alpine has, of Debian's: musl and busybox, and servers of tools/musl-servers. There
        is no file of glibc's in it."""
        def make(work):
            root = os.path.join(work, "root")
            for directory in ("bin", "lib", "usr/bin", "proc", "dev", "sys", "tmp"):
                os.makedirs(os.path.join(root, directory))
            loader = f"lib/ld-musl-{os.uname().machine}.so.1"
            shutil.copy(f"/{loader}", os.path.join(root, loader))
            shutil.copy("/bin/busybox", os.path.join(root, "bin"))
            for applet in ("sh", "cat"):
                os.symlink("busybox", os.path.join(root, "bin", applet))
            run(os.path.join(TOOLS, "musl-servers"), os.path.join(work, "servers"), *servers)
            for file in os.listdir(os.path.join(work, "servers")):
                shutil.move(os.path.join(work, "servers", file),
                            os.path.join(root, "lib" if file.startswith("lib") else "usr/bin"))
            return root
        self.pulled(name, make)

    def build(self, name, containerfile, context, **arguments):
        """As `docker build` does; steps that are as before are taken from before."""
        words = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        self.buildah("bud", "--layers", "--pull-never", "-q", "-t", name, "-f", containerfile,
                     *words, context)

    def mount(self, name):
        """The directory with the image's files, and its configuration."""
        container = self.buildah("from", "--pull-never", name).strip()
        self.working.append(container)
        config = json.loads(self.buildah("inspect", "--type", "image", name))["OCIv1"]["config"]
        return {"root": self.buildah("mount", container).strip(), "config": config}

    def close(self):
        if self.working:
            self.buildah("rm", *self.working)
        shutil.rmtree(self.runroot)


def inside(python, script, *words):
    """Runs the script with these words in namespaces in which nothing outlives it."""
    return subprocess.run(["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork",
                           "--kill-child=SIGKILL", "--mount-proc", "--propagation", "private",
                           python, script, "--inside", *words]).returncode


@dataclasses.dataclass
class Container:
    """What an engine is told of a container."""
    name: str
    image: dict
    args: list
    env: dict
    user: tuple                       # uid, gid, further gids
    mounts: list                      # (here, there, read-only)
    read_only: bool = False
    no_new_privileges: bool = False
    capabilities: list = dataclasses.field(default_factory=lambda: list(CAPABILITIES))
    seccomp: bool = True              # the engine's own profile
    # The first uid and gid here of those that the container has as 0 and so on, in a user
    # namespace of its own; "rootless": all by SOMEBODY, as whom it has one user.
    users: object = None


def profile(capabilities):
    """The engines' seccomp profile, as an OCI runtime takes it."""
    with open(SECCOMP) as text:
        whole = json.load(text)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    names = {f"CAP_{name}" for name in capabilities}
    rules = []
    for rule in whole["syscalls"]:
        wanted, unwanted = rule.get("includes", {}), rule.get("excludes", {})
        if (wanted.get("arches") and machine not in wanted["arches"]
                or not set(wanted.get("caps", [])) <= names
                or machine in unwanted.get("arches", [])
                or set(unwanted.get("caps", [])) & names):
            continue
        rules.append({key: rule[key] for key in ("names", "action", "args", "errnoRet")
                      if rule.get(key) is not None})
    return {"defaultAction": whole["defaultAction"], "defaultErrnoRet": whole["defaultErrnoRet"],
            "architectures": [f"SCMP_ARCH_{os.uname().machine.upper()}"], "syscalls": rules}


def mount(kind, target, options, source=None):
    run("mount", "-t", kind, "-o", options, source or kind, target)


class Running:
    """A container that was started."""

    def __init__(self, engine, container):
        self.engine, self.container = engine, container
        self.id = f"{container.name}.{engine.number()}"
        self.bundle = os.path.join(engine.work, self.id)
        os.makedirs(os.path.join(self.bundle, "layer"))
        os.makedirs(os.path.join(self.bundle, "work"))
        self.root = os.path.join(self.bundle, "root")
        os.mkdir(self.root)
        mount("overlay", self.root, f"lowerdir={container.image['root']},"
              f"upperdir={self.bundle}/layer,workdir={self.bundle}/work", "staplegun")
        for _, there, _ in container.mounts:
            self.make_place(there)
            if isinstance(container.users, int):
                self.shift(os.path.dirname(there))
        with open(os.path.join(self.bundle, "config.json"), "w") as out:
            json.dump(self.config(), out)
        self.log = open(os.path.join(self.bundle, "log"), "w+")
        rootless = container.users == "rootless"
        self.words = [*(["setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups"]
                        if rootless else []),
                      "crun", "--root", engine.state(rootless), "--cgroup-manager=disabled"]
        self.child = subprocess.Popen(
            [*self.words, "run", "--bundle", self.bundle, self.id], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=subprocess.STDOUT)

    def make_place(self, there):
        """An engine makes a place for each mount in the image, if there is none."""
        at = self.root + there
        # Below another mount it has to be there.
        above = [one for _, one, _ in self.container.mounts if there.startswith(one + "/")]
        if not above and not os.path.lexists(at):
            here = next(here for here, one, _ in self.container.mounts if one == there)
            os.makedirs(os.path.dirname(at) if os.path.isfile(here) else at, exist_ok=True)
            if os.path.isfile(here):
                open(at, "w").close()

    def shift(self, there):
        """An engine makes the image the users' of the container; what leads to the mounts does."""
        users = self.container.users
        os.chown(self.root + there, users, users)
        if there != "/":
            self.shift(os.path.dirname(there))

    def config(self):
        of = self.container
        uid, gid, more = of.user
        capabilities = [f"CAP_{name}" for name in of.capabilities]
        # Who is not root has none, except where it may gain them.
        sets = {"bounding": capabilities, "permitted": capabilities if uid == 0 else [],
                "effective": capabilities if uid == 0 else []}
        linux = {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
                 "maskedPaths": ["/proc/kcore", "/proc/keys"], "readonlyPaths": ["/proc/sys"]}
        if of.seccomp:
            linux["seccomp"] = profile(of.capabilities)
        if of.users is not None:
            linux["namespaces"].append({"type": "user"})
            for kind, inner in (("uid", uid), ("gid", gid)):
                linux[f"{kind}Mappings"] = [
                    {"containerID": inner, "hostID": SOMEBODY, "size": 1}
                    if of.users == "rootless" else
                    {"containerID": 0, "hostID": of.users, "size": 65536}]
        mounts = [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777"]}]
        # As the engines do it: what lies in another after that.
        for here, there, read_only in sorted(of.mounts, key=lambda one: one[1].count("/")):
            mounts.append({"destination": there, "type": "bind", "source": here,
                           "options": ["rbind", "rprivate", "ro" if read_only else "rw"]})
        process = {
            "terminal": False, "cwd": "/", "args": of.args,
            "env": [f"{name}={value}" for name, value in {"PATH": PATH, **of.env}.items()],
            "user": {"uid": uid, "gid": gid,
                     **({"additionalGids": more} if more and of.users != "rootless" else {})},
            "capabilities": sets, "noNewPrivileges": of.no_new_privileges}
        return {"ociVersion": "1.0.2", "hostname": of.name, "process": process, "linux": linux,
                "root": {"path": self.root, "readonly": of.read_only}, "mounts": mounts}

    def said(self):
        with open(self.log.name, errors="replace") as text:
            return text.read()

    def is_running(self):
        return self.child.poll() is None

    def wait(self):
        """Until it has ended by itself, as an init container has to."""
        try:
            status = self.child.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise Wrong(f"{self.id} has not ended after {LIMIT} seconds:\n{self.said()[-3000:]}")
        if status:
            raise Wrong(f"{self.id} ended with {status}:\n{self.said()[-3000:]}")
        self.forget()

    def run(self, *args, statuses=(0,)):
        """Another program in it, as `kubectl exec` and `docker exec` do it."""
        if not self.is_running():
            raise Wrong(f"{self.id} has ended:\n{self.said()[-3000:]}")
        process = {**self.config()["process"], "args": list(args)}
        path = os.path.join(self.bundle, "process.json")
        with open(path, "w") as out:
            json.dump(process, out)
        return run(*self.words, "exec", "--process", path, self.id, statuses=statuses)

    def stop(self, signal="TERM"):
        """Ends it, whatever it does meanwhile."""
        if self.is_running():
            run(*self.words, "kill", self.id, signal, statuses=(0, 1))
            try:
                self.child.wait(LIMIT)
            except subprocess.TimeoutExpired:
                raise Wrong(f"{self.id} does not end by SIG{signal}:\n{self.said()[-3000:]}")
        self.forget()

    def forget(self):
        run(*self.words, "delete", "--force", self.id, statuses=(0, 1))
        run("umount", self.root)


class Engine:
    """Starts containers in a directory that goes away."""

    def __init__(self, work):
        self.work, self.count, self.started = work, 0, []
        os.chmod(work, 0o755)
        run("ip", "link", "set", "lo", "up")
        # crun looks at what is mounted there, although it is to have nothing to do with it.
        mount("cgroup2", "/sys/fs/cgroup", "ro")

    def number(self):
        self.count += 1
        return self.count

    def state(self, rootless):
        """Where crun notes what runs."""
        path = os.path.join(self.work, "crun.rootless" if rootless else "crun")
        if not os.path.isdir(path):
            os.mkdir(path)
            if rootless:
                os.chown(path, SOMEBODY, SOMEBODY)
        return path

    def start(self, container):
        self.started.append(Running(self, container))
        return self.started[-1]

    def said(self):
        """What the containers said, the last ones last."""
        return "\n".join(f"--- {one.id}\n{one.said()[-2000:]}" for one in self.started[-4:])

    def volume(self, name, kind="tmpfs", options=""):
        """A new directory to be mounted into containers: of memory, or of the disk."""
        path = os.path.join(self.work, "volumes", f"{name}.{self.number()}")
        os.makedirs(path)
        if kind == "tmpfs":
            mount("tmpfs", path, options or "mode=0777")
        return path

    def unmount(self, path):
        """The end of a volume of memory, and of what was in it."""
        run("umount", path)
