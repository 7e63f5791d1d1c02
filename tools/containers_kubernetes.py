"""What a kubelet makes of the YAML in examples/containers, for tools/containers-check.

Volumes, environment, users and security contexts are taken from there, and nothing is added; what
is not understood is refused, so that nothing there goes unnoticed.
"""

import os
import re

import yaml

from containers_engine import CAPABILITIES, Container, Wrong

POD = {"automountServiceAccountToken", "securityContext", "initContainers", "containers", "volumes"}
CONTAINER = {"name", "image", "command", "args", "env", "ports", "securityContext", "volumeMounts",
             "restartPolicy", "resources"}
CONTEXT = {"runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "seccompProfile",
           "allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities"}
SIZES = {"Ki": "k", "Mi": "m", "Gi": "g"}


def load(path):
    with open(path) as text:
        return [one for one in yaml.safe_load_all(text) if one]


def the_one(documents, kind):
    [found] = [one for one in documents if one["kind"] == kind]
    return found


def known(what, having, allowed):
    strange = set(having) - allowed
    if strange:
        raise Wrong(f"{what}: {sorted(strange)}: the check does not know what a kubelet makes of it")


def restricted(spec):
    """What the Pod Security Standard `restricted` finds wrong with a pod."""
    wrong = []
    pod = spec.get("securityContext", {})
    kinds = {"emptyDir", "secret", "configMap", "persistentVolumeClaim", "projected", "csi",
             "ephemeral", "downwardAPI"}
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= kinds:
            wrong.append(f"volume {volume['name']}")
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            wrong.append(name)
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        own = container.get("securityContext", {})
        both = {**pod, **own}
        capabilities = own.get("capabilities", {})
        held = {
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": "ALL" in capabilities.get("drop", [])
                            and set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
            "runAsNonRoot": both.get("runAsNonRoot") is True and both.get("runAsUser") != 0,
            "seccompProfile": both.get("seccompProfile", {}).get("type") in
                              ("RuntimeDefault", "Localhost"),
            "privileged": not own.get("privileged"),
        }
        wrong += [f"{container['name']}: {name}" for name, holds in held.items() if not holds]
    return wrong


def expression(policy, spec):
    """What the policy's expression is for this pod. Of CEL it may have literals, and one map()
    over the containers."""
    [mutation] = policy["spec"]["mutations"]
    text = mutation["applyConfiguration"]["expression"]
    begin, each, end = re.split(r"object\.spec\.containers\.map\(container,(.*?)\n *\)(?=,\n)", text,
                                flags=re.S)
    mapped = [each.replace("container.name", f'"{one["name"]}"') for one in spec["containers"]]
    text = re.sub(r"\bObject(\.\w+)*\{", "{", f"{begin}[{','.join(mapped)}]{end}")
    left = re.findall(r"[\w.]+(?!\w*:)\b", re.sub(r'"[^"]*"|\w+:', "", text))
    if set(left) - {"true", "false"}:
        raise Wrong(f"the policy has more of CEL than is understood here: {left}")
    return yaml.safe_load(text)


def merged(old, new, key="name"):
    """As the API server merges what is applied: lists by the key of their items."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: merged(old.get(name), value,
                                       "mountPath" if name == "volumeMounts" else "name")
                          for name, value in new.items()}}
    if isinstance(old, list) and new and isinstance(new[0], dict):
        by_key = {one[key]: one for one in old}
        by_key |= {one[key]: merged(by_key.get(one[key]), one) for one in new}
        return list(by_key.values())
    return new


def without_staplegun(spec):
    """The pod as it was before anybody thought of stapling."""
    def others(many):
        return [one for one in many if not re.match("staplegun|STAPLEGUN_|LD_PRELOAD", one["name"])]
    plain = {key: value for key, value in spec.items() if key != "initContainers"}
    plain["volumes"] = others(spec["volumes"])
    plain["containers"] = [{**one, "env": others(one["env"]),
                            "volumeMounts": others(one["volumeMounts"])} for one in spec["containers"]]
    return plain


class Pod:
    """A pod, from its making to its end. `claims` and `secrets` are directories and files here."""

    def __init__(self, engine, images, spec, claims, secrets, users=None):
        known("pod", spec, POD)
        wrong = restricted(spec)
        if wrong:
            raise Wrong(f"not admitted by the standard `restricted`: {wrong}")
        self.engine, self.images, self.spec, self.users = engine, images, spec, users
        self.context = spec.get("securityContext", {})
        self.running, self.made = {}, []
        self.volumes = {name: self.grouped(path) for name, path in claims.items()}
        for volume in spec["volumes"]:
            self.volumes[volume["name"]] = self.volume(volume, secrets)

    def grouped(self, path, mode=0o2775):
        """What a kubelet does to a volume for fsGroup."""
        group = self.context.get("fsGroup")
        if group is not None:
            os.chown(path, 0, group)
            os.chmod(path, mode)
        return path

    def volume(self, volume, secrets):
        name, kind = volume["name"], (set(volume) - {"name"}).pop()
        about = volume[kind]
        if kind == "secret":
            return self.secret(name, secrets[about["secretName"]])
        if kind != "emptyDir":
            raise Wrong(f"volume {name}: a kubelet's {kind} is not known here")
        known(name, about, {"medium", "sizeLimit"})
        if about.get("medium") == "Memory":
            size = re.sub(r"[KMG]i$", lambda unit: SIZES[unit[0]], about["sizeLimit"])
            path = self.engine.volume(name, options=f"mode=0777,size={size}")
            self.made.append(path)
        else:
            path = self.engine.volume(name, kind="disk")
            os.chmod(path, 0o777)
        return self.grouped(path, 0o2777)

    def secret(self, name, files):
        """Links into a directory that is exchanged when the secret changes."""
        path = self.engine.volume(name)
        self.made.append(path)
        os.makedirs(f"{path}/..2026")
        os.symlink("..2026", f"{path}/..data")
        for file, text in files.items():
            with open(f"{path}/..2026/{file}", "w") as out:
                out.write(text)
            os.chmod(f"{path}/..2026/{file}", 0o644)
            os.symlink(f"..data/{file}", f"{path}/{file}")
        return path

    def container(self, about):
        known(about["name"], about, CONTAINER)
        context = {**self.context, **about.get("securityContext", {})}
        known(about["name"], context, CONTEXT)
        image = self.images[about["image"]]
        config = image["config"]
        user = context.get("runAsUser", (config.get("User") or "0").split(":")[0])
        if context.get("runAsNonRoot") and int(user) == 0:
            raise Wrong(f"{about['name']}: would run as root")
        env = dict(pair.split("=", 1) for pair in config.get("Env") or [])
        for one in about.get("env", []):
            if "$(" in one["value"]:
                raise Wrong(f"{one['name']}: a reference, which is not known here")
            env[one["name"]] = one["value"]
        command = about.get("command", config.get("Entrypoint") or [])
        args = about.get("args", [] if "command" in about else config.get("Cmd") or [])
        mounts = []
        for one in about.get("volumeMounts", []):
            known(one["name"], one, {"name", "mountPath", "readOnly"})
            mounts.append((self.volumes[one["name"]], one["mountPath"], one.get("readOnly", False)))
        capabilities = context.get("capabilities", {})
        kept = [] if "ALL" in capabilities.get("drop", []) else CAPABILITIES
        group = context.get("fsGroup")
        return Container(
            name=about["name"], image=image, args=[*command, *args], env=env,
            user=(int(user), context.get("runAsGroup", 0), [] if group is None else [group]),
            mounts=mounts, read_only=context.get("readOnlyRootFilesystem", False),
            no_new_privileges=context.get("allowPrivilegeEscalation") is False,
            capabilities=[*kept, *capabilities.get("add", [])],
            seccomp=context.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            users=self.users)

    def start(self):
        """Init containers one after the other; those that are to stay do, as the others."""
        for about in self.spec.get("initContainers", []):
            started = self.engine.start(self.container(about))
            if about.get("restartPolicy") == "Always":
                self.running[about["name"]] = started
            else:
                started.wait()
        for about in self.spec["containers"]:
            self.running[about["name"]] = self.engine.start(self.container(about))
        return self

    def crash(self, name):
        """One container is killed; it stays away until it is started again."""
        self.running.pop(name).stop("KILL")

    def restart(self, name):
        [about] = [one for one in [*self.spec["initContainers"], *self.spec["containers"]]
                   if one["name"] == name]
        self.running[name] = self.engine.start(self.container(about))

    def end(self):
        """It is deleted: its containers, sidecars last, and all its volumes but claims."""
        for name in reversed(list(self.running)):
            self.running.pop(name).stop()
        for path in self.made:
            self.engine.unmount(path)
