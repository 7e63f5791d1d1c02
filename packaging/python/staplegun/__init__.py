"""Where the program staplegun is, which this package brings. It has no other interface."""

import os
import sys
import sysconfig


def find_program():
    """The path of the program: where this environment, or the user, has its scripts, or
    beside this package if that was installed with --target."""
    user = sysconfig.get_preferred_scheme("user") if sys.version_info >= (3, 10) else "posix_user"
    directories = [
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", scheme=user),
        os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin"),
    ]
    for directory in directories:
        path = os.path.join(directory, "staplegun")
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(
        "the program staplegun is in none of " + ", ".join(directories)
        + "; install the package again")
