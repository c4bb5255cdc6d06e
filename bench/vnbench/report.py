"""docs/speed.md: every number of one run, with the machine, the command and the targets."""
import os

from . import targets, workers

MIB = 1 << 20

HEAD = """# Speed

Every number here is from one run of `%(command)s`, which sets itself up and repeats the whole
on any Debian 12 machine; it wrote this page. Timings of different runtimes were taken in turns, in
interleaved rounds, one process working at a time while the others were stopped; a number is the
median over the rounds, and a ratio is the median of the rounds' ratios. What limits the figures,
and what was tried, is in [kernels.md](kernels.md).

| | |
|---|---|
| machine | %(machine)s |
| system | %(system)s, Linux %(kernel)s |
| commit | %(commit)s, %(date)s |
| compiler | %(compiler)s |
| beside it | %(others)s |
"""

HOW = """
## How the others were run

All runtimes compute the same path of the same store. The exporter (`bench/vnbench`) puts the
selected groups of a block side by side into one convolution, which is exact and the form that suits
general runtimes best; batch norm is folded into the weights; everything is 32-bit. Each runtime has
its default optimisations: ONNX Runtime all graph optimisations, ncnn packed layouts, Winograd and
sgemm, LiteRT with XNNPACK for the whole graph (held by a check), PyTorch the faster of a
frozen and an inference-optimised graph. Before anything is timed, each runtime's logits are held
against a forward pass in double precision. Weights are random: time does not depend on them.
"""


def machine_row(m):
    cpu = m["cpu"]
    caches = ["%s %s" % (k.split()[0], cpu[k])
              for k in ("L1d cache", "L2 cache", "L3 cache") if cpu.get(k)]
    return "%s (%s), %d cores, %s; %.0f GiB" % (
        cpu.get("Model name", ""), cpu.get("vectors", ""), m["cores"], ", ".join(caches),
        m["memory_gib"])


def head(m):
    v = m["versions"]
    return HEAD % {
        "command": m["command"], "machine": machine_row(m), "system": m["system"],
        "kernel": m["kernel"], "commit": m["commit"], "date": m["date"],
        "compiler": v["compiler"],
        "others": "ONNX Runtime %s, ncnn %s, LiteRT %s, PyTorch %s (Debian's)" % (
            v["onnxruntime"], v["ncnn"], v["ai-edge-litert"], v["torch"])}


def table(columns, rows):
    """Markdown; the first column is text, others are numbers."""
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    return lines + ["| " + " | ".join(str(c) for c in r) + " |" for r in rows]


def of_targets(found):
    rows = targets.judge(found)
    lines = ["", "## What was to be reached", ""]
    lines += ["| what | target | found | |", "|---|---|---|---|"]
    return lines + ["| %(what)s | %(target)s | %(found)s | %(mark)s |" % dict(
        r, mark="met" if r["met"] else "**short**") for r in rows]


def of_ceilings(c):
    peaks = ", ".join("%.0f GFLOP/s with %s thread%s" % (v / 1e9, n, "" if str(n) == "1" else "s")
                      for n, v in c["fma"].items())
    return ["", "## Ceilings", "",
            "Multiply-adds in registers (%s): %s. One thread copies %.1f GB a second between "
            "buffers of 64 MiB, and reads %.1f." % (c["isa"], peaks, c["copy"] / 1e9,
                                                    c["read"] / 1e9)]


def latency_row(r, runtimes):
    cells = ["%s, %g" % (r["network"], r["level"] / r["groups"]), "%.1f" % (r["flops"] / 1e6)]
    for k in runtimes:
        text = "%.3f ms" % (1e3 * r["seconds"][k]) if k in r["seconds"] else ""
        cells.append(text + (" (%.2f x)" % r["ratios"][k] if k in r.get("ratios", {}) else ""))
    return cells + ["%.0f %%" % (100 * r["shares"][k]) if k in r["shares"] else ""
                    for k in (workers.OURS, workers.DIRECT)]


def of_latency(found, plots):
    lines = ["", "## Latency", "",
             "Batch 1, a prepared 32 x 32 image to logits. In brackets: the time as a multiple of "
             "virtualnet's. Peak is virtualnet's share of the multiply-add peak measured in the "
             "same rounds, counting the operations of the direct method: Winograd's method needs "
             "fewer, so that a share may exceed 100 %. The last column is the share of the "
             "direct kernels alone, which do all of them."]
    if plots:
        lines += ["", "![Times of other runtimes as multiples of ours](speed-latency.svg)"]
    runtimes = [k for k in workers.RUNTIMES if any(k in r["seconds"] for r in found["rows"])]
    for n in sorted({r["threads"] for r in found["rows"]}):
        rows = [r for r in found["rows"] if r["threads"] == n]
        lines += ["", "### %d thread%s" % (n, "" if n == 1 else "s"), ""]
        lines += table(["network, level", "MFLOP", *(workers.TITLES[k] for k in runtimes), "peak",
                        "direct"], [latency_row(r, runtimes) for r in rows])
    if plots:
        lines += ["", "![Shares of the multiply-add peak](speed-peak.svg)"]
    return lines


def of_growth(found, plots):
    lines = ["", "## Growth", "",
             "Time against the density of the path, the number of blocks (three stages of width "
             "64, 128, 256) and the image's pixels (32, 64, 128), one thread. The dotted line is "
             "the target."]
    if plots:
        lines += ["", "![Time against density, blocks and pixels](speed-growth.svg)"]
    lines += ["", *table(["network, level", "density", "ms", "of the full path's time"], [
        ["%s, %d" % (t["network"], r["level"]), "%.3f" % r["density"],
         "%.3f" % (1e3 * r["seconds"]), "%.3f" % r["of_full"]]
        for t in found["levels"] for r in t["rows"]])]
    for label in ("blocks", "side"):
        lines += ["", *table([label, "MFLOP", "ms", "GFLOP/s"], [
            [r[label], "%.1f" % (r["flops"] / 1e6), "%.3f" % (1e3 * r["seconds"]),
             "%.1f" % (r["flops"] / r["seconds"] / 1e9)]
            for r in found["blocks" if label == "blocks" else "sides"]])]
    return lines


def of_memory(found, plots):
    lines = ["", "## Memory", "",
             "PSS of a process that loaded %s at level %g and ran it once, and the largest RSS on "
             "the way. Runtimes in Python are measured whole; \"beyond Python\" takes off what the "
             "bare interpreter with numpy needs. ONNX Runtime is also driven by a C program "
             "through its library. virtualnetd has the path as its default budget, and answered a "
             "few requests." % (found["network"], found["level"] / 4)]
    if plots:
        lines += ["", "![Memory of a process](speed-memory.svg)"]
    lines += ["", *table(["", "PSS", "beyond Python", "largest RSS"], [
        [workers.TITLES[r["runtime"]]] + ["%.1f MiB" % (r[k] / MIB)
                                          for k in ("pss", "own", "largest_rss")]
        for r in found["rows"]])]
    if "promised" in found:
        p = found["promised"]
        lines += ["", "The path has %.1f MiB of parameters and %.1f MiB of scratch." % (
            p["params"] / MIB, p["scratch"] / MIB)]
    return lines


def of_start(found, plots):
    lines = ["", "## Start", "",
             "From before the fork to the first answer, and the same request later (the "
             "inference); beyond is the difference. Cold: the store's file was taken out of the "
             "page cache before; programs and libraries were in it. The engine is a worker "
             "process of the bench that loads and runs on command."]
    if plots:
        lines += ["", "![Start against the size of the store](speed-start.svg)"]
    return lines + ["", *table(["store", "way", "level", "cache", "first", "inference", "beyond"], [
        ["%.0f MB" % (r["bytes"] / 1e6), r["way"], "%d of %d" % (r["level"], r["groups"]),
         "cold" if r["cold"] else "warm"] + ["%.1f ms" % (1e3 * r[k])
                                             for k in ("first", "inference", "beyond")]
        for r in found["rows"]])]


def of_streaming(found, _):
    return ["", "## A path larger than its memory", "",
            "The full path, resident and streamed within a budget of %d MiB, each on a map of its "
            "own, in turns; the file in the page cache, and taken out of it before each run (cold: "
            "what the disk gives). Parameter memory is what is resident at the same moment; the "
            "peak is by how much the process grew, scratch included." % (found["budget"] >> 20),
            "", *table(["store", "groups", "threads", "resident", "streamed", "ratio", "cold",
                        "parameters", "streamed", "saved", "peak"], [
                ["%d MB" % r["megabytes"], r["groups"], r["threads"],
                 *("%.1f ms" % (1e3 * r[k]) for k in ("resident", "streamed")),
                 "%.2f x" % r["ratio"], "%.1f ms" % (1e3 * r["cold"]),
                 *("%.1f MiB" % (r[k] / MIB) for k in ("params", "promised")),
                 "%.1f %%" % (100 * r["saved"]), "%.1f MiB" % (r["peak"] / MIB)]
                for r in found["rows"]])]


def of_daemon(found, _):
    o = found["overhead"]
    lines = ["", "## The daemon", "",
             "A request of %d bytes and an answer of %d, 0.08M at level 0.25, in microseconds; the "
             "call is the same request to the engine inside the asking process." % (
                 o["request_bytes"], o["answer_bytes"]), ""]
    lines += table(["", "p50", "p90", "p99"], [
        [title] + ["%.1f" % (o[key][p] / 1e3) for p in ("p50", "p90", "p99")]
        for key, title in (("local", "call"), ("daemon", "round trip"),
                           ("over", "round trip beyond the median call"),
                           ("compute", "the run alone, as the daemon's answer says"),
                           ("echo", "bare epoll echo of the same bytes"),
           ("floor", "an echo on another processor that is busy for as long as the call, beyond "
                     "that time: the least that a server costs there"))])
    lines += ["",
              "Throughput with as many workers as cores, every client with one request on its "
              "way; client and daemon share the cores. In brackets: of what the engine does with "
              "as many threads, each with a session of its own.", ""]
    clients = [r["clients"] for r in found["throughput"][0]["rows"]]
    return lines + table(["network, level", "engine", *("%d clients" % c for c in clients)], [
        ["%s, %g" % (t["network"], t["level"] / 4), "%.0f /s" % t["engine_per_s"]]
        + ["%.0f /s (%.0f %%)" % (r["per_s"], 100 * r["of_engine"]) for r in t["rows"]]
        for t in found["throughput"]])


def of_training(found, _):
    return ["", "## Training", "", "Images a second of `virtualnet train` on the full path, and of "
            "the same network, batch and optimiser in PyTorch eager (groups as one grouped "
            "convolution or as a loop, whichever is faster).", "",
            *table(["network", "batch", "threads", "virtualnet", "PyTorch eager", "ratio"], [
                [r["network"], r["batch"], r["threads"], "%.1f" % r["ours"], "%.1f" % r["torch"],
                 "%.2f x" % r["ratio"]] for r in found["rows"]])]


PARTS = {"latency": of_latency, "growth": of_growth, "memory": of_memory, "start": of_start,
         "streaming": of_streaming, "daemon": of_daemon, "training": of_training}


def text(machine, found, plots):
    lines = head(machine).splitlines() + of_targets(found)
    if "ceilings" in found:
        lines += of_ceilings(found["ceilings"])
    lines += HOW.rstrip().splitlines()
    for part, section in PARTS.items():
        if part in found:
            lines += section(found[part], plots)
    return "\n".join(lines) + "\n"


def write(machine, found, folder, plots):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "speed.md"), "w") as f:
        f.write(text(machine, found, plots))
    if plots:
        from . import plots as pictures
        pictures.draw(found, folder)


def print_targets(found, say):
    for r in targets.judge(found):
        say("%-7s%s: %s (%s)" % ("met" if r["met"] else "short", r["what"], r["found"],
                                 r["target"]))
