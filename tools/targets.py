"""What a release is made for. tools/dist, tools/linked and what makes packages of them take one of
these by its name, which the tarball's has in it."""

import dataclasses
import os
import sys

# Debian's compiler builds what rustup's may lack the standard library for.
DEBIAN = "/usr/bin"


@dataclasses.dataclass(frozen=True)
class Target:
    """A kind of machine, and a C library on it."""

    name: str
    # Rust's name for it.
    triple: str
    # The platform tags of its wheel.
    wheel: str
    # Where cargo and rustc are; None: the first in PATH.
    rust: str | None = None
    # Debian's name for the machine, if it has .deb packages.
    debian: str | None = None

    @property
    def machine(self):
        return self.triple.partition("-")[0]

    @property
    def is_musl(self):
        return self.triple.endswith("-musl")

    @property
    def is_foreign(self):
        """For another kind of machine than this one."""
        return self.machine != os.uname().machine

    @property
    def cc(self):
        """gcc for this kind of machine, with glibc."""
        return f"{self.machine}-linux-gnu-gcc" if self.is_foreign else "cc"

    @property
    def rustc(self):
        return os.path.join(self.rust, "rustc") if self.rust else "rustc"


# This machine, with glibc.
HERE = f"{os.uname().machine}-linux"
TARGETS = {target.name: target for target in (
    Target("x86_64-linux", "x86_64-unknown-linux-gnu",
           "manylinux_2_17_x86_64.manylinux2014_x86_64", debian="amd64"),
    Target("aarch64-linux", "aarch64-unknown-linux-gnu",
           "manylinux_2_17_aarch64.manylinux2014_aarch64",
           # Elsewhere that of tools/arm64.
           rust=None if HERE == "aarch64-linux" else DEBIAN, debian="arm64"),
    Target("x86_64-linux-musl", "x86_64-unknown-linux-musl", "musllinux_1_2_x86_64", rust=DEBIAN),
)}


def taken_from(words):
    """The target that `--for NAME` among the words names, else this machine's; and the other
    words."""
    words = list(words)
    name = HERE
    if "--for" in words:
        at = words.index("--for")
        name = "".join(words[at + 1:at + 2])
        del words[at:at + 2]
    if name not in TARGETS:
        sys.exit(f"{os.path.basename(sys.argv[0])}: nothing is made for {name!r}; known are "
                 + ", ".join(TARGETS))
    return TARGETS[name], words
