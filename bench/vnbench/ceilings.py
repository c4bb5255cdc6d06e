"""What the machine can do at most: multiply-adds of one core and of two, copying and reading."""
import numpy as np


def part(context):
    rounds = 3 if context.quick else 9
    c = context.ceilings
    isa = c.ask("fma", 1)[0]
    fma = {n: float(np.median([c.peak(n) for _ in range(rounds)])) for n in context.threads}
    rates = {what: float(np.median([c.rate(what) for _ in range(rounds)]))
             for what in ("copy", "read")}
    context.title("ceilings")
    for n, peak in fma.items():
        context.say("multiply-add, %-7s %d thread%s %7.1f GFLOP/s" % (
            isa + ",", n, " " if n == 1 else "s", peak / 1e9))
    context.say("memory copy, one thread         %7.1f GB/s" % (rates["copy"] / 1e9))
    context.say("memory read, one thread         %7.1f GB/s" % (rates["read"] / 1e9))
    return {"isa": isa, "fma": fma, **rates}
