"""Where what is fetched or built once is kept, outside the tree."""

import os


def directory(*names):
    """The path of CACHE/NAMES, which need not be there: CACHE is $STAPLEGUN_CACHE, else
    $XDG_CACHE_HOME/staplegun, else ~/.cache/staplegun."""
    base = os.environ.get("STAPLEGUN_CACHE")
    if not base:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        base = os.path.join(home, "staplegun")
    return os.path.join(os.path.abspath(base), *names)
