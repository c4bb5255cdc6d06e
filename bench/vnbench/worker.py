"""A worker: one runtime in a process of its own, asked line by line on standard input. What it
answers is one line: "ok ..." or "error ...".

    load FILE... IMAGE  prepares the model; IMAGE is a file of floats (h, w, c)
    run WARM N          runs WARM times, then N times: the N durations in nanoseconds
    logits              of the last run
    memory              PSS and largest RSS so far of the process in bytes, as the kernel says
    quit

bench/engine.c answers in the same way."""
import ctypes
import os
import signal
import sys
import time

import numpy as np

PR_SET_PDEATHSIG = 1


def memory(pid="self"):
    def field(file, name):
        with open(file) as f:
            return 1024 * next(int(line.split()[1]) for line in f if line.startswith(name))
    return [field("/proc/%s/smaps_rollup" % pid, "Pss:"), field("/proc/%s/status" % pid, "VmHWM:")]


def read_image(file):
    """(h, w, c) floats: three 32-bit sides before them."""
    raw = np.fromfile(file, np.float32)
    h, w, c = raw[:3].view(np.int32)
    return raw[3:].reshape(h, w, c)


class Runtime:
    """What a worker wraps: load, run (the part that is timed), logits."""

    def load(self, file, image):
        raise NotImplementedError

    def run(self):
        raise NotImplementedError

    def logits(self):
        raise NotImplementedError


def timed(run, warm, n):
    clock, times = time.perf_counter_ns, []
    for _ in range(warm):
        run()
    for _ in range(n):
        start = clock()
        run()
        times.append(clock() - start)
    return times


def answer(runtime, words):
    if words[0] == "load":
        runtime.load(*words[1:-1], read_image(words[-1]))
        return []
    if words[0] == "run":
        return timed(runtime.run, int(words[1]), int(words[2]))
    if words[0] == "logits":
        return ["%.9g" % x for x in runtime.logits()]
    if words[0] == "memory":
        return memory()
    raise ValueError("no such command: %s" % words[0])


def serve(runtime):
    # a worker that is stopped does not see its driver die: the kernel ends it
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # libraries write to standard output as they like; answers have a descriptor of their own
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            break
        try:
            said = " ".join(["ok", *map(str, answer(runtime, words))])
        except Exception as e:  # whatever a runtime throws is its answer
            said = "error %s: %s" % (type(e).__name__, " ".join(str(e).split()))
        print(said, file=out, flush=True)
