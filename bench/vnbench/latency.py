"""Latency of batch 1: every runtime on the same path of the same store, in interleaved rounds."""
import contextlib

import numpy as np

from . import cases, networks, sliced, workers

LEVELS = (1, 2, 4)  # of 4 groups
QUICK, QUICK_LEVELS = ("0.08M", "7.4M", "ResNet-42"), (1, 4)


def calibrate(worker, seconds):
    """(warm, n): runs of a round that take about so many seconds."""
    worker.run(2, 1)
    once = float(np.median(worker.run(0, 3)))
    n = int(min(max(seconds / once, 3), 2000))
    return 1 + n // 4, n


def rounds(ready, context, threads):
    """ready: workers with the case loaded. {runtime: seconds} with one median per round, and the
    peak of the processor, measured in the same rounds."""
    runs = {w.runtime: calibrate(w, context.seconds) for w in ready}
    medians, peaks = {w.runtime: [] for w in ready}, []
    for r in context.some_rounds():
        for w in ready[r % len(ready):] + ready[:r % len(ready)]:
            medians[w.runtime].append(float(np.median(w.run(*runs[w.runtime]))))
        peaks.append(context.ceilings.peak(threads))
    return medians, float(np.median(peaks))


def measure(case, pool, context, threads=1):
    """One row: medians over the rounds in seconds, ratios to ours, and errors of the logits."""
    errors = {}
    for w in pool:
        w.load(case.files(w.runtime), case.image)
        w.run(0, 1)
        errors[w.runtime] = case.check(w)
    times, peak = rounds(pool, context, threads)
    row = {
        "network": case.name, "level": case.level, "groups": case.groups,
        "flops": sliced.flops(case.net), "params": sliced.params(case.net),
        "threads": threads, "peak": peak,
        "errors": errors, "rounds": times,
        "seconds": {k: float(np.median(v)) for k, v in times.items()},
    }
    row["shares"] = {k: row["flops"] / v / peak for k, v in row["seconds"].items()}
    if workers.OURS in times:
        ours = np.array(times[workers.OURS])
        row["ratios"] = {k: float(np.median(np.array(v) / ours)) for k, v in times.items()
                         if k in workers.OTHERS}
    return row


def open_pool(context, threads, stack):
    pool = []
    more = [workers.DIRECT] if threads == 1 and workers.OURS in context.runtimes else []
    for runtime in context.runtimes + more:
        w = stack.enter_context(workers.Worker(runtime, threads, context.program("bench-engine")))
        try:
            w.ask("memory")
        except workers.WorkerError as e:
            context.say("%s is left out: %s" % (workers.TITLES[runtime], e))
            continue
        pool.append(w)
    return pool


def headings(pool):
    titles = [workers.TITLES[w.runtime] for w in pool]
    return "%-10s %5s %8s %6s" % ("network", "level", "MFLOP", "peak") + "".join(
        "%20s" % t for t in titles)


def line(row, pool):
    text = "%-10s %5g %8.1f %4.0f G" % (row["network"], row["level"] / row["groups"],
                                        row["flops"] / 1e6, row["peak"] / 1e9)
    for w in pool:
        ratio = row.get("ratios", {}).get(w.runtime)
        text += "%10.3f ms %s" % (row["seconds"][w.runtime] * 1e3, "%4.2f x" % ratio if ratio else
                                  "%4.0f %%" % (100 * row["shares"][w.runtime]))
    return text


def fastest(row):
    """The least ratio of any other runtime: above 1, we are faster than all of them."""
    return min(row["ratios"].values()) if row.get("ratios") else None


def measure_threads(context, threads):
    rows = []
    with contextlib.ExitStack() as stack:
        pool = open_pool(context, threads, stack)
        context.title("latency, batch 1, threads: %d" % threads)
        context.say(headings(pool))
        for name in context.networks or (QUICK if context.quick else networks.NETWORKS):
            for level in context.levels or (QUICK_LEVELS if context.quick else LEVELS):
                with cases.Case(context, name, level) as case:
                    row = measure(case, pool, context, threads)
                rows.append(row)
                context.say(line(row, pool))
    return rows


def summary(rows):
    """{threads: (geometric mean, least, number of cases)} of the ratio to the fastest other."""
    found = {}
    for threads in sorted({r["threads"] for r in rows}):
        best = [fastest(r) for r in rows if r["threads"] == threads and fastest(r)]
        if best:
            found[threads] = (float(np.exp(np.mean(np.log(best)))), min(best), len(best))
    return found


def part(context):
    rows = []
    for threads in context.threads:
        rows += measure_threads(context, threads)
    for threads, (mean, least, n) in summary(rows).items():
        context.say("threads %d: against the fastest other, geometric mean %.2f x, worst %.2f x, "
                    "%d cases" % (threads, mean, least, n))
    return {"rows": rows, "summary": summary(rows)}
