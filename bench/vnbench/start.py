"""From exec to the first answer: stores of 1 MB to 1 GB, files in the page cache or not."""
import os
import tempfile

import numpy as np

from . import networks, served, workers

TARGET_NS = 60e6  # beyond the inference itself: the 120 MB store, warm

# megabytes: (widths, blocks, groups, widths of a group)
STORES = {
    1: ((32, 64), 2, 4, (16, 24)),
    30: ((64, 128, 256), 5, 4, None),
    120: ((128, 256, 512), 5, 4, None),
    1000: ((128, 256, 512), 5, 16, (64, 128, 256)),
}


def describe(megabytes):
    widths, blocks, groups, group_widths = STORES[megabytes]
    return networks.describe("start-%d" % megabytes, widths, blocks, groups=groups,
                             group_widths=group_widths)


def forget(file):
    """Takes a file out of the page cache, as far as nobody maps it."""
    with open(file, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_through(file):
    with open(file, "rb", buffering=0) as f:
        while f.read(1 << 22):
            pass


def once(context, store, levels, way, cold):
    """(first, again) in seconds."""
    (forget if cold else read_through)(store)
    program = context.program("bench-start")
    if way == "daemon":
        words, socket = served.command(context, store, 1, "start")
        found = served.ask(program, "daemon", levels, socket, *words)
    else:
        found = served.ask(program, "worker", store, 0, levels, context.image, "--",
                           context.program("bench-engine"))
    return found["first"] / 1e9, found["again"] / 1e9


def measure(context, megabytes, rounds):
    description = describe(megabytes)
    store = networks.make_store(context.program("bench-make_store"), context.cache, description)
    rows = []
    for way in ("daemon", "engine"):
        for level in (1, description["groups"] // 2):
            levels = ",".join([str(level)] * networks.n_blocks(description))
            for cold in (False, True):
                runs = np.array([once(context, store, levels, way, cold) for _ in range(rounds)])
                first, again = np.median(runs, 0)
                rows.append({"megabytes": megabytes, "bytes": os.path.getsize(store), "way": way,
                             "level": level, "groups": description["groups"], "cold": cold,
                             "first": float(first), "inference": float(again),
                             "beyond": float(np.median(runs[:, 0] - runs[:, 1]))})
    return rows


def part(context):
    sizes = (1, 30) if context.quick else tuple(STORES)
    rounds = 3 if context.quick else 9
    handle, context.image = tempfile.mkstemp(dir=context.scratch)
    os.close(handle)
    workers.write_image(context.image, np.random.default_rng(1).standard_normal((32, 32, 3)))
    context.title("start: from exec to the first answer, ms")
    context.say("%-10s%8s%10s%8s%10s%12s%10s" % ("store", "way", "level", "cache", "first",
                                                 "inference", "beyond"))
    rows = []
    for megabytes in sizes:
        for r in measure(context, megabytes, rounds):
            rows.append(r)
            context.say("%7d MB%8s%7d/%-2d%8s%10.1f%12.1f%10.1f" % (
                r["megabytes"], r["way"], r["level"], r["groups"], "cold" if r["cold"] else "warm",
                r["first"] * 1e3, r["inference"] * 1e3, r["beyond"] * 1e3))
    return {"rows": rows}
