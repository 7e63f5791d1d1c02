"""What Docker makes of examples/containers/compose.yaml, for tools/containers-check.

As containers_kubernetes.py: what stands there counts, and what is not understood is refused.
"""

import os
import shutil

import yaml

from containers_engine import CAPABILITIES, SOMEBODY, Container, Wrong

SERVICE = {"image", "command", "user", "read_only", "cap_drop", "security_opt", "volumes",
           "environment", "depends_on", "restart"}
DONE = {"condition": "service_completed_successfully"}


def user(image):
    uid, _, gid = (image["config"].get("User") or "0:0").partition(":")
    return int(uid), int(gid or 0)


class Project:
    """What `docker compose up` starts in a directory; `users` are those of Container, by service."""

    def __init__(self, engine, images, path, users):
        with open(path) as text:
            project = yaml.safe_load(text)
        strange = {key for key in project if not key.startswith("x-")} - {"services", "volumes"}
        if strange:
            raise Wrong(f"{path}: {strange} is not known here")
        self.engine, self.images, self.users = engine, images, users
        self.directory = os.path.dirname(path)
        self.services, self.running = project["services"], {}
        self.disk, self.memory = {}, {}
        for name, about in project["volumes"].items():
            if not about:
                self.disk[name] = None
            elif set(about) == {"driver_opts"} and about["driver_opts"]["type"] == "tmpfs":
                self.memory[name] = about["driver_opts"]["o"]
            else:
                raise Wrong(f"volume {name}: {about} is not known here")
        self.volumes = {}

    def volume(self, name, image, there, users):
        """A volume is made when it is first used; a new one on the disk is as the image's."""
        if name in self.memory:
            if name not in self.volumes:
                self.volumes[name] = self.engine.volume(name, options=self.memory[name])
            return self.volumes[name]
        if self.disk[name] is None:
            self.disk[name] = path = self.engine.volume(name, kind="disk")
            source = image["root"] + there
            about = os.stat(source)
            shutil.copystat(source, path)
            # Whom the user of the image is here.
            owner = {None: about.st_uid, "rootless": SOMEBODY}.get(users)
            owner = users + about.st_uid if owner is None else owner
            os.chown(path, owner, owner)
        return self.disk[name]

    def container(self, name):
        about, users = self.services[name], self.users.get(name)
        strange = set(about) - SERVICE
        if strange:
            raise Wrong(f"{name}: {strange} is not known here")
        image = self.images[about["image"]]
        config = image["config"]
        env = dict(pair.split("=", 1) for pair in config.get("Env") or [])
        env |= about.get("environment", {})
        mounts = []
        for line in about["volumes"]:
            source, there, *options = line.split(":")
            if source.startswith("./"):
                here = os.path.join(self.directory, source)
            else:
                here = self.volume(source, image, there, users)
            mounts.append((here, there, "ro" in options))
        if "$" in "".join([*about["command"], *about.get("environment", {}).values()]):
            raise Wrong(f"{name}: a variable, which is not known here")
        uid, gid = map(int, about["user"].split(":")) if "user" in about else user(image)
        return Container(
            name=name, image=image, env=env, user=(uid, gid, []), mounts=mounts,
            args=[*(config.get("Entrypoint") or []), *about["command"]],
            read_only=about.get("read_only", False),
            no_new_privileges="no-new-privileges:true" in about.get("security_opt", []),
            capabilities=[] if "ALL" in about.get("cap_drop", []) else CAPABILITIES, users=users)

    def up(self):
        """Each service once those that it waits for have done their work."""
        done = set()
        for name, about in self.services.items():
            for other, condition in about.get("depends_on", {}).items():
                if condition != DONE:
                    raise Wrong(f"{name}: {condition} is not known here")
                if other not in done:
                    self.running.pop(other).wait()
                    done.add(other)
            self.restart(name)
        return self

    def crash(self, name):
        self.running.pop(name).stop("KILL")

    def restart(self, name):
        self.running[name] = self.engine.start(self.container(name))

    def end(self):
        """`docker compose down`, which leaves the volumes on the disk."""
        for name in list(self.running):
            self.running.pop(name).stop()
        for path in self.volumes.values():
            self.engine.unmount(path)
        self.volumes = {}
