"""What was to be reached, and what one run of everything found. A row: what, target, found, met."""
import math

from . import daemon, growth, memory, start, streaming, training, workers

MIB = 1 << 20
# threads: (geometric mean, worst case) of the fastest other runtime's time over ours
LATENCY = {1: (1.5, 1 / 1.05), 2: (1.3, None)}
SHARE, SHARE_NETWORKS = 0.65, ("7.4M", "29.6M")
TWO_THREADS, TWO_THREADS_NETWORK = 1.7, "7.4M"


def row(what, target, found, met):
    return {"what": what, "target": target, "found": found, "met": bool(met)}


def best_others(rows, threads):
    return [min(r["ratios"].values()) for r in rows if r["threads"] == threads and r.get("ratios")]


def mean_of(ratios):
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def of_latency(found):
    for threads, (mean, worst) in LATENCY.items():
        best = best_others(found["rows"], threads)
        if not best:
            continue
        names = "%d thread%s" % (threads, "" if threads == 1 else "s")
        yield row("latency against the fastest other, %s: geometric mean" % names,
                  "at least %.1f x" % mean, "%.2f x" % mean_of(best), mean_of(best) >= mean)
        if worst:
            yield row("the same, slowest case", "no case slower than 1.05 x",
                      "%.2f x as fast" % min(best), min(best) >= worst)


def of_peak(found):
    for runtime, how in ((workers.OURS, "counted as the direct method's operations"),
                         (workers.DIRECT, "the direct kernels alone, every operation done")):
        shares = [r["shares"][runtime] for r in found["rows"]
                  if r["threads"] == 1 and r["network"] in SHARE_NETWORKS
                  and runtime in r["shares"]]
        if shares:
            yield row("share of the core's multiply-add peak, %s, 1 thread, %s" % (
                " and ".join(SHARE_NETWORKS), how), "at least %.0f %%" % (100 * SHARE),
                "%.0f to %.0f %%" % (100 * min(shares), 100 * max(shares)), min(shares) >= SHARE)


def of_threads(found):
    times = {(r["threads"], r["level"]): r["seconds"].get(workers.OURS) for r in found["rows"]
             if r["network"] == TWO_THREADS_NETWORK}
    gains = [times[1, level] / t for (threads, level), t in times.items()
             if threads == 2 and t and times.get((1, level))]
    if gains:
        yield row("two threads against one, %s" % TWO_THREADS_NETWORK,
                  "at least %.1f x" % TWO_THREADS, "%.2f to %.2f x" % (min(gains), max(gains)),
                  min(gains) >= TWO_THREADS)


def of_growth(found):
    over = [(r["of_full"] - r["density"], t["network"], r["level"])
            for t in found["levels"] for r in t["rows"]]
    if over:
        worst = max(over)
        yield row("time at a level as a share of the full path's, beyond its density",
                  "at most %.2f" % growth.ALLOWANCE,
                  "%.2f (%s, level %d)" % worst, worst[0] <= growth.ALLOWANCE)


def of_memory(found):
    if "ratio" in found:
        yield row("PSS, %s at half density, of the leanest other (%s)" % (
            found["network"], workers.TITLES[found["leanest"]]),
            "at most %g" % memory.TARGET, "%.2f" % found["ratio"],
            found["ratio"] <= memory.TARGET)
    if "beyond" in found:
        yield row("PSS beyond parameters and scratch", "at most %d MiB" % (memory.ALLOWANCE / MIB),
                  "%.1f MiB" % (found["beyond"] / MIB), found["beyond"] <= memory.ALLOWANCE)


def of_start(found):
    beyond = {(r["megabytes"], r["level"] == 1): r["beyond"] for r in found["rows"]
              if r["way"] == "daemon" and not r["cold"]}
    middle = [v for (megabytes, _), v in beyond.items() if megabytes == 120]
    if middle:
        yield row("exec to first answer of the daemon, 120 MB, warm, beyond the inference",
                  "at most %.0f ms" % (start.TARGET_NS / 1e6), "%.0f ms" % (1e3 * max(middle)),
                  max(middle) * 1e9 <= start.TARGET_NS)
    sizes = sorted({megabytes for megabytes, _ in beyond})
    if len(sizes) > 1:
        yield row("the same for %s MB, smallest path" % ", ".join(map(str, sizes)),
                  "flat, apart from the touched bytes",
                  " / ".join("%.0f" % (1e3 * beyond[s, True]) for s in sizes) + " ms",
                  beyond[sizes[-1], True] * 1e9 <= start.TARGET_NS)


def of_streaming(found):
    for r in found["rows"]:
        name = "%d MB store streamed, %d thread%s" % (r["megabytes"], r["threads"],
                                                      "s" if r["threads"] > 1 else "")
        yield row(name + ": time, warm", "at most %.2f x resident" % streaming.TARGET,
                  "%.2f x" % r["ratio"], r["ratio"] <= streaming.TARGET)
        yield row(name + ": parameter memory", "at least %.0f %% less" % (
            100 * streaming.TARGET_SAVED), "%.1f %%" % (100 * r["saved"]),
            r["saved"] >= streaming.TARGET_SAVED)


def of_daemon(found):
    over = found["overhead"]["over"]
    for p, limit in (("p50", daemon.TARGET_P50), ("p99", daemon.TARGET_P99)):
        yield row("socket overhead, 32 x 32 image, %s" % p, "at most %.0f us" % (limit / 1e3),
                  "%.1f us" % (over[p] / 1e3), over[p] <= limit)
    for t in found["throughput"]:
        r = next(r for r in t["rows"] if r["clients"] == 16)
        yield row("throughput of 16 clients, %s at level %g, of the engine's own" % (
            t["network"], t["level"] / 4), "at least %.0f %%" % (100 * daemon.TARGET_SHARE),
            "%.0f %%" % (100 * r["of_engine"]), r["of_engine"] >= daemon.TARGET_SHARE)


def of_training(found):
    ratios = [r["ratio"] for r in found["rows"]]
    if ratios:
        yield row("training, images a second against PyTorch eager",
                  "at least %g x" % training.TARGET, "%.1f to %.1f x" % (min(ratios), max(ratios)),
                  min(ratios) >= training.TARGET)


JUDGES = {"latency": (of_latency, of_peak, of_threads), "growth": (of_growth,),
          "memory": (of_memory,), "start": (of_start,), "streaming": (of_streaming,),
          "daemon": (of_daemon,), "training": (of_training,)}


def judge(found):
    """The rows of all parts that were measured."""
    return [r for part, judges in JUDGES.items() if part in found
            for j in judges for r in j(found[part])]
