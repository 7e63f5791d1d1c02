"""Runs tests with a change on. A worker is a process in a mount namespace of its own, in which its own
map lies over the one whose path is compiled in; each test runs among processes of its own, so that
nothing which it started outlives it, and on a loopback of its own, so that no two want one port."""

import contextlib
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time

# The length of the map and what its bytes tell, as in mutants/switch.
LENGTH = 1 << 16
ON, ASKED = 2, 1
# What is kept of a test's output.
TAIL = 30000
HUNG = "hung"
# For how many connections the namespaces made in this one have room.
ROOM = "/proc/sys/net/ipv4/tcp_child_ehash_entries"


class Worker:
    """The parent's end."""

    def __init__(self, number, tree):
        own = os.path.join(tree.shared, str(number))
        os.makedirs(own, exist_ok=True)
        with open(os.path.join(own, "map"), "wb") as file:
            file.write(bytes(LENGTH))
        os.chmod(os.path.join(own, "map"), 0o666)
        self.process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, "-B",
             os.path.abspath(__file__), own, tree.map],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, changes, command, directory, environment, limit):
        """What became of a command with some changes on: its exit code or HUNG, how long it took,
        what it reached, and the end of what it said."""
        words = dict(changes=list(changes), command=command, directory=directory, environment=environment,
                     limit=limit)
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("mutants: a worker has ended")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def run_once(own, shared, words):
    """In the worker: one command."""
    shared[:] = bytes(LENGTH)
    for change in words["changes"]:
        shared[change] = ON
    # What a test that is killed leaves goes with this.
    temporary = os.path.join(own, "tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    os.mkdir(temporary)
    os.chmod(temporary, 0o1777)
    path = os.path.join(own, "output")
    command = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child",
               "sh", "-c", 'ip link set lo up && "$@"; exit $?', "sh", *words["command"]]
    began = time.monotonic()
    with open(path, "wb") as output:
        process = subprocess.Popen(
            command, cwd=words["directory"], env=dict(words["environment"], TMPDIR=temporary),
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(words["limit"])
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = HUNG
    seconds = time.monotonic() - began
    reached = [change for change, told in enumerate(shared[:]) if told & ASKED]
    with open(path, "rb") as output:
        output.seek(max(0, os.path.getsize(path) - TAIL))
        said = output.read().decode(errors="replace")
    return dict(code=code, seconds=round(seconds, 3), output=said,
                reached=reached if not words["changes"] else [])


def main():
    own, path = sys.argv[1:]
    subprocess.run(["mount", "--bind", os.path.join(own, "map"), path], check=True)
    # Who waits for a server reads /proc/net/tcp, for which the kernel walks through all that a namespace
    # has room for: this is what those of the tests get. Before Linux 6.1 they share the machine's.
    with contextlib.suppress(FileNotFoundError), open(ROOM, "w", encoding="ascii") as file:
        file.write("1024")
    # What killed tests leave in memory goes with the worker.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"], check=True)
    with open(path, "r+b") as file:
        shared = mmap.mmap(file.fileno(), LENGTH)
    for line in sys.stdin:
        print(json.dumps(run_once(own, shared, json.loads(line))), flush=True)


if __name__ == "__main__":
    # What ends the parent by a key ends this by the end of its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
