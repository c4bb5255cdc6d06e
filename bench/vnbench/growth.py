"""How time grows: with the level, the number of blocks, and the size of the image. The paths of one
table are run in turns, each in a process of its own."""
import contextlib

import numpy as np

from . import cases, latency, networks, sliced, workers

ALLOWANCE = 0.08  # time(level) / time(full) is at most density + this


def series(context, made, label):
    """made: (value, Case) pairs. A row each, times measured in interleaved rounds."""
    rows, pool = [], []
    with contextlib.ExitStack() as stack:
        for value, case in made:
            stack.enter_context(case)
            w = stack.enter_context(workers.Worker(workers.OURS, 1,
                                                   context.program("bench-engine")))
            w.load(case.files(workers.OURS), case.image)
            w.run(0, 1)
            case.check(w)
            params, _, scratch, _, density = (float(x) for x in w.ask("plan"))
            pool.append((w, latency.calibrate(w, context.seconds)))
            rows.append({label: value, "network": case.name, "flops": sliced.flops(case.net),
                         "params": params, "scratch": scratch, "density": density, "rounds": []})
        for _ in context.some_rounds():
            for (w, runs), row in zip(pool, rows):
                row["rounds"].append(float(np.median(w.run(*runs))))
    for row in rows:
        row["seconds"] = float(np.median(row["rounds"]))
    return rows


def levels(context, name):
    g = networks.GROUPS
    rows = series(context, [(n, cases.Case(context, name, n)) for n in range(g + 1)], "level")
    full = rows[-1]["seconds"]
    context.title("growth with the level: %s" % name)
    context.say("%6s%10s%12s%14s%12s" % ("level", "density", "ms", "of full time", "allowed"))
    for r in rows:
        r["of_full"] = float(np.median(np.array(r["rounds"]) / np.array(rows[-1]["rounds"])))
        r["allowed"] = r["density"] + ALLOWANCE
        context.say("%6d%10.3f%12.3f%14.3f%12.3f%s" % (
            r["level"], r["density"], r["seconds"] * 1e3, r["of_full"], r["allowed"],
            "" if r["of_full"] <= r["allowed"] else "  short"))
    return {"network": name, "full": full, "rows": rows}


def blocks(context, counts):
    made = [(3 * n, cases.Case(context, None, 2, networks.describe(
        "blocks-%d" % n, (64, 128, 256), n))) for n in counts]
    rows = series(context, made, "blocks")
    context.title("growth with the blocks: three stages of width 64, 128, 256, level 0.5")
    report(context, rows, "blocks")
    return rows


def sides(context, values):
    made = [(s, cases.Case(context, None, 2, networks.describe(
        "side-%d" % s, (32, 64, 128), 2, side=s))) for s in values]
    rows = series(context, made, "side")
    context.title("growth with the image's side: three stages of width 32, 64, 128, level 0.5")
    report(context, rows, "side")
    return rows


def report(context, rows, label):
    context.say("%6s%12s%12s%10s" % (label, "MFLOP", "ms", "GFLOP/s"))
    for r in rows:
        context.say("%6d%12.1f%12.3f%10.1f" % (r[label], r["flops"] / 1e6, r["seconds"] * 1e3,
                                               r["flops"] / r["seconds"] / 1e9))


def part(context):
    names = context.networks or (["7.4M"] if context.quick else ["0.7M", "7.4M", "29.6M",
                                                                 "ResNet-42"])
    return {
        "levels": [levels(context, name) for name in names],
        "blocks": blocks(context, (1, 3) if context.quick else (1, 2, 3, 4, 6, 8)),
        "sides": sides(context, (16, 32) if context.quick else (8, 16, 24, 32, 48, 64, 96)),
    }
