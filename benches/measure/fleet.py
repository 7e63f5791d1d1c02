"""A fleet that shares through a real Redis: what it asks, and how soon all have what one has; and
what the agent costs where the fleet's store is gone."""

import os
import shutil
import socket
import time

from .agent import measured
from .common import Responder, Running, Unmeasured, ratio, run

PART = "fleet"
SETTINGS = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"]


def measure(bench, _sites):
    shared(bench)
    gone(bench)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def shared(bench):
    agents, count, life = bench.count("fleet")
    port, stores = free_port(), bench.path("fleet")
    os.mkdir(stores)
    with Running(["redis-server", "--port", str(port), *SETTINGS, "--dir", stores]):
        wait_for(port)
        said = run([bench.built("shared"), bench.built("staplegun"), str(port), stores,
                    str(agents), str(count), str(life)])
    phases = [[int(word) for word in line.split()] for line in said.splitlines()]
    whole = f"{agents} agents, {count} certificates"
    for what, (asked, keys, *_) in zip(("fill", "cycle"), phases):
        each = asked / count
        bench.row(PART, f"{whole}, {what}, requests for each", each, "times",
                  "at most 1.02", each <= 1.02)
        touched = keys / count / agents
        bench.row(PART, f"{whole}, {what}, keys touched for each and agent", touched, "keys",
                  "at most 6", touched <= 6)
    for what, times, goal, part in (("signed to in all maps", phases[1][2:], 1_000, 1),
                                    ("revoked to withdrawn by all", phases[2][2:], 2_000, 2)):
        times = [time / 1000 for time in times]
        names = ("median", "99 %", "longest")
        for at, (name, value) in enumerate(zip(names, times)):
            limit = (f"at most {goal:,}", value <= goal) if at == part else ()
            bench.row(PART, f"{what}, {name}", value, "ms", *limit)


def wait_for(port):
    for _ in range(500):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise Unmeasured("redis-server did not start")


def gone(bench):
    """The first fetch of all, side by side with and without a store that refuses connections."""
    count, rounds = bench.count("fleet fetches"), bench.count("fleet rounds")
    fleet = ["--fleet", f"redis://127.0.0.1:{free_port()}"]
    first = bench.path("fleet-gone")
    with Responder(bench, first, count):
        pairs = {"wall": [], "cpu": []}
        for number in range(rounds):
            used = {}
            for words in ((fleet, []) if number % 2 else ([], fleet)):
                store = bench.path("fleet-gone-one")
                shutil.copytree(first, store)
                used[bool(words)] = measured([[bench.built("staplegun"), "agent", "--once",
                                               "--quiet", "--dir", store, *words]], store)
                there = len(os.listdir(os.path.join(store, "staples")))
                shutil.rmtree(store)
                if there != count:
                    raise Unmeasured(f"the agent has {there} of {count} responses")
            for name, all_pairs in pairs.items():
                all_pairs.append((used[True][name], used[False][name]))
    for name, what in (("wall", "time"), ("cpu", "CPU")):
        mean, interval = ratio(pairs[name])
        bench.row(PART, f"{count:,} first fetches, store gone over no fleet, {what}", mean, "times",
                  "at most 1", interval[0] <= 1, interval)
