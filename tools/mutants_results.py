"""What became of each change: TARGET/mutants/results.jsonl, a line for each as it comes, so that a run
that is cut off goes on where it was; and the table at the end."""

import json
import re
import threading

from mutants_tree import json_lines
from mutants_try import CAUGHT, MISSED
from mutants_worker import HUNG

NOT_BUILT = "not built"


def without_place(name):
    """A change's name without line and column, which other changes of its file move."""
    return re.sub(r":\d+:\d+:", ":", name, count=1)


class Results:
    """The last line of a change counts. One of another state of the tree is only for --again."""

    def __init__(self, path, key):
        self.path, self.key = path, key
        self.lines = {one["name"]: one for one in json_lines(path)}
        self.missed = {without_place(one["name"]) for one in self.lines.values()
                       if one["verdict"] == MISSED}
        self.lock = threading.Lock()

    def is_done(self, name):
        return self.lines.get(name, {}).get("key") == self.key

    def was_missed(self, name):
        return without_place(name) in self.missed

    def note(self, name, verdict, **more):
        one = dict(key=self.key, name=name, verdict=verdict, **more)
        with self.lock:
            self.lines[name] = one
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(one) + "\n")

    def table(self, parts, changes):
        """Prints a row for each of `parts` (name -> how much of a hundred it may miss), whose changes
        are those of `changes[name]`; whether one missed more."""
        print(f"\n{'part':10} {'tried':>6} {'caught':>6} {'hung':>6} {'missed':>6} {'not built':>9} "
              f"{'apart':>6}")
        failed, told = False, []
        for part, may_miss in parts.items():
            ours = [self.lines[change["name"]] for change in changes[part]]
            count = {verdict: sum(one["verdict"] == verdict for one in ours)
                     for verdict in (CAUGHT, HUNG, MISSED, NOT_BUILT)}
            tried = len(ours) - count[NOT_BUILT]
            apart = sum(bool(one.get("apart")) for one in ours)
            print(f"{part:10} {tried:6} {count[CAUGHT]:6} {count[HUNG]:6} {count[MISSED]:6} "
                  f"{count[NOT_BUILT]:9} {apart:6}")
            failed |= 100 * count[MISSED] > may_miss * tried
            told += [one for one in ours if one["verdict"] in (MISSED, HUNG)]
        for verdict in (MISSED, HUNG):
            for one in told:
                if one["verdict"] == verdict:
                    print(f"{verdict}: {one['name']}" + (f" ({one['by']})" if one.get("by") else ""))
        return failed
