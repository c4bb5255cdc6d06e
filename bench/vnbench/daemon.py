"""The daemon beside the engine in the asking process: what the socket adds to a call, and how many
requests a second are answered."""
import os

import numpy as np

from . import networks, served

CLIENTS = (1, 4, 16, 64)
TARGET_P50, TARGET_P99 = 35e3, 150e3  # ns
TARGET_SHARE = 0.92                   # of the engine's own throughput, 16 clients


def path(description, level):
    return ",".join([str(level)] * networks.n_blocks(description))


def overhead(context):
    """On the smallest network: the socket costs the same whatever is computed."""
    description = networks.network("0.08M")
    store = networks.make_store(context.program("bench-make_store"), context.cache, description)
    rounds, calls = (5, 200) if context.quick else (25, 1000)
    with served.Daemon(context, store, 1) as d:
        found = served.ask(context.program("bench-overhead"), d.socket, store,
                           path(description, 1), rounds, calls)
    context.title("socket: 0.08M at level 0.25, 32 x 32 image, %d requests" % (rounds * calls))
    context.say("%-28s%10s%10s%10s" % ("us", "p50", "p90", "p99"))
    for key, title in (("local", "call in the same process"), ("daemon", "round trip"),
                       ("over", "round trip beyond a call"),
                       ("compute", "the run, says the daemon"), ("echo", "bare epoll echo"),
                       ("floor", "busy epoll echo beyond its time")):
        context.say("%-28s" % title + "".join("%10.1f" % (found[key][p] / 1e3)
                                              for p in ("p50", "p90", "p99")))
    return found


def cores():
    return len(os.sched_getaffinity(0))


def throughput(context, name, level):
    description, threads = networks.network(name), cores()
    store = networks.make_store(context.program("bench-make_store"), context.cache, description)
    levels, load = path(description, level), context.program("bench-load")
    ms, n_rounds = (400, 2) if context.quick else (1500, 7)
    rates = {"engine": [], **{n: [] for n in CLIENTS}}
    with served.Daemon(context, store, threads) as d:
        for _ in range(n_rounds):
            r = served.ask(load, "engine", store, levels, threads, ms)
            rates["engine"].append(r["requests"] / r["seconds"])
            for n in CLIENTS:
                r = served.ask(load, "daemon", d.socket, levels, n, ms)
                rates[n].append(r["requests"] / r["seconds"])
    engine = np.array(rates["engine"])
    rows = [{"clients": n, "per_s": float(np.median(rates[n])),
             "of_engine": float(np.median(np.array(rates[n]) / engine))} for n in CLIENTS]
    context.title("throughput: %s at level %g, %d workers" % (name, level / 4, threads))
    context.say("%-28s%10.1f /s" % ("engine, %d threads" % threads, np.median(engine)))
    for r in rows:
        context.say("%-28s%10.1f /s%8.1f %%" % ("daemon, %d clients" % r["clients"], r["per_s"],
                                                100 * r["of_engine"]))
    return {"network": name, "level": level, "workers": threads,
            "engine_per_s": float(np.median(engine)), "rows": rows}


def part(context):
    chosen = [("0.7M", 2)] if context.quick else [("0.08M", 4), ("0.7M", 2), ("7.4M", 2)]
    return {"overhead": overhead(context),
            "throughput": [throughput(context, *c) for c in chosen]}
