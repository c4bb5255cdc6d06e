"""The pictures of docs/speed.md, as SVG by matplotlib. Each function draws one part's numbers."""
import os

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

from . import workers  # noqa: E402

# Colours that people with any colour vision tell apart; ours is the dark one.
COLORS = {workers.OURS: "#1b1b3a", "virtualnetd": "#4b4b7a", "onnxruntime": "#e69f00",
          "onnxruntime-c": "#e69f00", "ncnn": "#009e73", "litert": "#56b4e9", "torch": "#d55e00"}
RATIO_MAX = 8  # larger ones are drawn at the edge
MARKERS = {"onnxruntime": "o", "ncnn": "s", "litert": "^", "torch": "D"}
matplotlib.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "virtualnet", "font.family": "sans-serif",
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.color": "#e4e4e4", "axes.axisbelow": True, "figure.constrained_layout.use": True})


def save(figure, folder, name):
    file = os.path.join(folder, "speed-%s.svg" % name)
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    with open(file) as f:  # house rule: no blank at the end of a line
        text = "\n".join(line.rstrip() for line in f.read().splitlines())
    with open(file, "w") as f:
        f.write(text + "\n")


def case_name(r):
    return "%s  %g" % (r["network"], r["level"] / r["groups"])


def latency(found, folder):
    """How many times our time each runtime needs, a panel for each number of threads."""
    threads = sorted({r["threads"] for r in found["rows"]})
    figure, axes = pyplot.subplots(1, len(threads), figsize=(4.2 * len(threads), 4.4),
                                   squeeze=False, sharey=True)
    for axis, n in zip(axes[0], threads):
        rows = [r for r in found["rows"] if r["threads"] == n]
        for runtime, marker in MARKERS.items():
            points = [(min(r["ratios"][runtime], RATIO_MAX), i) for i, r in enumerate(rows)
                      if runtime in r.get("ratios", {})]
            if points:
                axis.scatter(*zip(*points), marker=marker, s=26, color=COLORS[runtime],
                             label=workers.TITLES[runtime], zorder=3)
        axis.axvline(1, color=COLORS[workers.OURS], linewidth=1.5)
        axis.set_xscale("log", base=2)
        axis.set_xlim(0.45, 1.1 * RATIO_MAX)
        axis.set_xticks([0.5, 1, 2, 4, RATIO_MAX], ["0.5", "1", "2", "4", "%d+" % RATIO_MAX])
        axis.set_yticks(range(len(rows)), [case_name(r) for r in rows])
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_title("%d thread%s" % (n, "" if n == 1 else "s"))
    figure.supxlabel("time / virtualnet's time (right of 1: slower than virtualnet)", fontsize=9)
    axes[0][0].set_ylabel("network, level")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=4,
                  frameon=False, fontsize=8)
    save(figure, folder, "latency")


def peak(found, folder):
    """Share of the multiply-add peak, one thread."""
    rows = [r for r in found["rows"] if r["threads"] == 1]
    runtimes = [k for k in workers.RUNTIMES if any(k in r["shares"] for r in rows)]
    figure, axis = pyplot.subplots(figsize=(8.4, 3.4))
    for k, runtime in enumerate(runtimes):
        axis.bar([i + (k - len(runtimes) / 2 + 0.5) * 0.16 for i in range(len(rows))],
                 [100 * r["shares"].get(runtime, 0) for r in rows], 0.15,
                 color=COLORS[runtime], label=workers.TITLES[runtime])
    axis.axhline(100, color="#888888", linewidth=1)
    axis.set_xticks(range(len(rows)), [case_name(r) for r in rows], rotation=45, ha="right")
    axis.set_ylabel("% of the core's FMA peak")
    axis.set_title("operations of the direct method a second, 1 thread "
                   "(Winograd's saves multiplications)", fontsize=9)
    axis.grid(axis="x", visible=False)
    axis.legend(frameon=False, fontsize=8, ncols=5, loc="upper left")
    axis.set_ylim(0, 1.25 * max(100, *(100 * v for r in rows for v in r["shares"].values())))
    save(figure, folder, "peak")


def memory(found, folder):
    rows = [r for r in found["rows"] if r["runtime"] != "bare"]
    figure, axis = pyplot.subplots(figsize=(6.4, 2.6))
    axis.barh([workers.TITLES[r["runtime"]] for r in rows], [r["own"] / 2**20 for r in rows],
              color=[COLORS[r["runtime"]] for r in rows])
    if "promised" in found:
        axis.axvline(found["promised"]["params"] / 2**20, color="#888888", linestyle="--",
                     label="the path's parameters")
        axis.legend(frameon=False, fontsize=8)
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("MiB (PSS, without what bare Python needs)")
    axis.set_title("one run of %s at level %g" % (found["network"], found["level"] / 4), fontsize=9)
    save(figure, folder, "memory")


def growth(found, folder):
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(9.4, 3))
    for t in found["levels"]:
        left.plot([r["density"] for r in t["rows"]], [r["of_full"] for r in t["rows"]],
                  marker="o", markersize=4, label=t["network"])
    left.plot([0, 1], [0, 1], color="#888888", linewidth=1)
    left.plot([0, 1], [0.08, 1.08], color="#888888", linewidth=1, linestyle=":")
    left.set_xlabel("density of the path")
    left.set_ylabel("time / full path's time")
    left.legend(frameon=False, fontsize=8)
    middle.plot([r["blocks"] for r in found["blocks"]],
                [1e3 * r["seconds"] for r in found["blocks"]], marker="o",
                color=COLORS[workers.OURS])
    middle.set_xlabel("blocks")
    middle.set_ylabel("ms")
    right.plot([r["side"] ** 2 for r in found["sides"]],
               [1e3 * r["seconds"] for r in found["sides"]], marker="o",
               color=COLORS[workers.OURS])
    right.set_xlabel("pixels of the image")
    for axis in (middle, right):
        axis.set_xlim(0)
        axis.set_ylim(0)
    save(figure, folder, "growth")


def start(found, folder):
    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3), sharey=True, squeeze=False)
    styles = {("daemon", False): ("o-", "daemon, warm"), ("daemon", True): ("o:", "daemon, cold"),
              ("engine", False): ("s-", "engine, warm"), ("engine", True): ("s:", "engine, cold")}
    for axis, smallest in zip(axes[0], (True, False)):
        for (way, cold), (style, label) in styles.items():
            rows = [r for r in found["rows"] if r["way"] == way and r["cold"] == cold
                    and (r["level"] == 1) == smallest]
            color = "#1b1b3a" if way == "daemon" else "#e69f00"
            axis.plot([r["bytes"] / 1e6 for r in rows], [1e3 * r["beyond"] for r in rows], style,
                      color=color, label=label, markersize=4)
        axis.axhline(60, color="#888888", linewidth=1)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
        ticks = [1, 3, 10, 30, 100, 300, 1000]
        axis.set_yticks(ticks, map(str, ticks))
        axis.set_xlabel("store, MB")
        axis.set_title("smallest path" if smallest else "half of the groups", fontsize=9)
        axis.minorticks_off()
    axes[0][0].set_ylabel("ms beyond the inference")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside right center",
                  frameon=False, fontsize=8)
    save(figure, folder, "start")


PLOTS = {"latency": (latency, peak), "memory": (memory,), "growth": (growth,), "start": (start,)}


def draw(found, folder):
    for part, functions in PLOTS.items():
        for f in functions if part in found else ():
            f(found[part], folder)
