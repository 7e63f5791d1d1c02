"""A server's handshake: instructions in the status callback, and time."""

import re

from .common import Unmeasured, functions, per_step, ratio, run
from .site import KEYS

CALLBACK = "staplegun::status::callback::status_callback"
# glibc's, whose paths depend on addresses.
ALLOCATOR = re.compile(r"(malloc|calloc|realloc|free|_int_|unlink_chunk|tcache)")
VERSIONS = ("tls1.3", "tls1.2")


def pairs_of(bench):
    """The smoke run sees each kind of key and each version once."""
    return ([(kind, version) for kind in KEYS for version in VERSIONS] if not bench.smoke
            else list(zip(KEYS, VERSIONS)))


def command_for(bench, site, version, options):
    """The command line for a count of handshakes."""
    program = bench.compile("handshake", "-rdynamic", "-lssl", "-lcrypto", "-ldl")
    return lambda count: [program, site.chain, site.key, str(count), version, *options]


def toggle(manner):
    """The option with which callgrind counts in the server's status callback only."""
    return f"--toggle-collect={'staple' if manner == 'native' else CALLBACK}"


def times(bench, sites):
    for kind, version in pairs_of(bench):
        time(bench, sites[kind], kind, version)


def instructions(bench, sites):
    for kind, version in pairs_of(bench):
        in_callback(bench, sites[kind], kind, version)
    for version in VERSIONS[:1] if bench.smoke else VERSIONS:
        nothing_asked(bench, sites["P-256"], version)


def in_callback(bench, site, kind, version):
    spent = {}
    for name, (options, environment) in site.manners(bench).items():
        command = command_for(bench, site, version, ["--ask", "--still", *options])
        stapled = int(run(command(2), **environment).split()[0])
        if stapled != 2:
            raise Unmeasured(f"{name}, {version}: {stapled} of 2 handshakes were stapled")
        spent[name] = bench.per_step(bench.count("handshakes"), command, toggle(name),
                                     **environment)
        if spent[name] <= 0:
            raise Unmeasured(f"{name}, {version}: nothing was counted in the callback")
        bench.row("handshake", f"{kind}, {version}, in the callback, {name}", spent[name],
                  "instructions")
    over = spent["map"] - spent["native"]
    bench.row("handshake", f"{kind}, {version}, live map over native", over, "instructions",
              "at most 1,000", over <= 1000)


def nothing_asked(bench, site, version):
    """All that the shim does, and all that libcrypto does more for its ex_data. The count
    of whole handshakes cannot show so little: with a second library in the address space,
    strcmp and malloc meet other addresses, and the sum moves by thousands."""
    command = command_for(bench, site, version, [])
    shim = {"LD_PRELOAD": bench.library, "STAPLEGUN_DIR": site.store}

    def per_handshake(part, *options, **environment):
        return per_step(bench.count("handshakes"), lambda count: sum(
            spent for (shared, function), spent
            in functions(bench.profile(command(count), *options, **environment)).items()
            if part(shared, function)))

    ours = per_handshake(lambda shared, _: shared == "libstaplegun.so", **shim)
    ex_data = ["--toggle-collect=CRYPTO_new_ex_data", "--toggle-collect=CRYPTO_free_ex_data"]
    theirs = [per_handshake(is_not_allocator, *ex_data, **environment)
              for environment in (shim, {})]
    over = ours + theirs[0] - theirs[1]
    bench.row("handshake", f"{version}, nothing asked, both ends, over none", over,
              "instructions", "at most 50", over <= 50)


def is_not_allocator(shared, function):
    return shared != "libstaplegun.so" and not ALLOCATOR.match(function)


def time(bench, site, kind, version):
    """Processor time of whole handshakes, both ends, in pairs of runs."""
    count = bench.count("timed")
    manners = {"none": ([], {}), **site.manners(bench)}

    def spent(name):
        options, environment = manners[name]
        command = command_for(bench, site, version, ["--ask", *options])(count)
        return int(run(command, **environment).split()[1])

    rounds = [{name: spent(name) for name in manners}
              for _ in range(bench.count("timed rounds"))]
    for one, other in (("native", "none"), ("file", "native"), ("map", "native")):
        times, interval = ratio([(each[one], each[other]) for each in rounds])
        bench.row("handshake", f"{kind}, {version}, time, {one} over {other}", times, "times",
                  interval=interval)
