"""A path larger than its memory: streamed, against the same path resident."""
import json
import subprocess

import numpy as np

from . import networks, start

BUDGET = 14 << 20    # of a run in a process of 16 MiB
TARGET = 1.10        # x the resident time, with a warm file cache
TARGET_SAVED = 0.90  # of the parameter memory


def measure(context, megabytes, threads, rounds):
    description = start.describe(megabytes)
    store = networks.make_store(context.program("bench-make_store"), context.cache, description)
    done = subprocess.run([context.program("bench-streaming"), store, str(BUDGET), str(rounds),
                           str(threads)], stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    row = {k: found[k] for k in ("params", "promised", "peak", "pieces")}
    row.update({k: float(np.median(found[k])) / 1e9 for k in ("resident", "streamed", "cold")})
    return dict(row, megabytes=megabytes, threads=threads, groups=description["groups"],
                ratio=float(np.median(np.array(found["streamed"]) / np.array(found["resident"]))),
                saved=1 - found["promised"] / found["params"])


def part(context):
    rounds = 9 if context.quick else 41
    context.title("streaming: the full path within %d MiB, ms" % (BUDGET >> 20))
    context.say("%-10s%8s%8s%10s%10s%8s%8s%10s" % ("store", "groups", "threads", "resident",
                                                  "streamed", "ratio", "cold", "saved"))
    rows = []
    for megabytes in (30,) if context.quick else (30, 120):
        for threads in context.threads:
            r = measure(context, megabytes, threads, rounds)
            rows.append(r)
            context.say("%7d MB%8d%8d%10.1f%10.1f%8.2f%8.1f%9.1f%%" % (
                megabytes, r["groups"], threads, r["resident"] * 1e3, r["streamed"] * 1e3,
                r["ratio"], r["cold"] * 1e3, 100 * r["saved"]))
    return {"rows": rows, "budget": BUDGET}
