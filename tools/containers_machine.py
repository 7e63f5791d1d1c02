"""The machine's agent, and a container that `docker run` starts beside it with the options that
docs/operators/containers.md prints, for tools/containers-check."""

import os
import re
import shlex

from containers_engine import Container, Wrong

# Where the container's users begin here: its root is nobody that the agent knows.
USERS = 300000
AGENT = ["staplegun", "agent", "--user", "staplegun"]


def options(page):
    """(environment, mounts) of the command that the page prints."""
    with open(page) as text:
        [command] = re.findall(r"^docker run (?:.*\\\n)*.*", text.read(), re.M)
    words = shlex.split(command.replace("\\\n", " "))[2:]
    env, mounts = {}, []
    while words[0].startswith("-"):
        name, value, *words = words
        if name == "-e":
            env |= [value.split("=", 1)]
        elif name == "-v":
            here, there, *more = value.split(":")
            mounts.append((here, there, more == ["ro"]))
        else:
            raise Wrong(f"{page}: {name} is not known here")
    return env, mounts


class Machine:
    """Both, as Project and Pod have theirs. `directory` has agent.toml and a directory tls."""

    def __init__(self, engine, image, server, page, directory):
        self.engine, self.image, self.server = engine, image, server
        self.env, self.mounts = options(page)
        self.directory, self.running = directory, {}
        self.lasting, self.run = engine.volume("lasting", kind="disk"), None

    def agent(self):
        """Not in a container, but for its files: the machine's root, with all that it may."""
        mounts = [(self.run, "/run/staplegun", False), (self.lasting, "/var/lib/staplegun", False),
                  (self.directory, "/etc/staplegun", True)]
        config = ["--config", "/etc/staplegun/agent.toml"]
        return Container(name="staplegun", image=self.image, args=[*AGENT, *config], env={},
                         user=(0, 0, []), mounts=mounts, seccomp=False)

    def redis(self):
        mounts = [(here.replace("/run/staplegun", self.run), there, read_only)
                  for here, there, read_only in self.mounts]
        image = self.server
        env = dict(pair.split("=", 1) for pair in image["config"].get("Env") or [])
        args = ["redis-server", "--port", "0", "--tls-port", "6379", "--tls-cert-file",
                "/tls/chain.pem", "--tls-key-file", "/tls/key.pem", "--tls-ca-cert-file",
                "/tls/ca.pem", "--tls-auth-clients", "no", "--save", ""]
        return Container(name="redis", image=image, args=args,
                         env={**env, **self.env, "STAPLEGUN_WAIT": "10s"}, user=(0, 0, []),
                         mounts=[*mounts, (f"{self.directory}/tls", "/tls", True)], users=USERS)

    def up(self):
        self.run = self.engine.volume("run", options="mode=0755")
        fill = self.agent()
        fill.args = [*fill.args, "--fill"]
        self.engine.start(fill).wait()
        # systemd-tmpfiles has made it before any container is started.
        if not os.path.isdir(f"{self.run}/spool"):
            raise Wrong("there is no spool")
        self.restart("staplegun")
        self.running["redis"] = self.engine.start(self.redis())
        return self

    def crash(self, name):
        self.running.pop(name).stop("KILL")

    def restart(self, name):
        self.running[name] = self.engine.start(self.agent())

    def end(self):
        """The machine is shut down."""
        for name in list(self.running):
            self.running.pop(name).stop()
        self.engine.unmount(self.run)
