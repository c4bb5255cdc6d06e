"""The driver's end of a worker (worker.py has the protocol). Only one works at a time: all others
are stopped by signal, so that no pool of threads spins beside the one that is measured."""
import glob
import os
import signal
import subprocess
import sys

import numpy as np

OURS = "virtualnet"
OTHERS = ("onnxruntime", "ncnn", "litert", "torch")
RUNTIMES = (OURS, *OTHERS)
DIRECT = "virtualnet-direct"  # ours with the kernels that do every multiplication
CEILINGS = "ceilings"  # not a runtime: what the machine can do at most
# What the runtimes are called in tables.
TITLES = {OURS: "virtualnet", DIRECT: "direct kernels", "virtualnetd": "virtualnetd",
          "onnxruntime": "ONNX Runtime", "onnxruntime-c": "ONNX Runtime, C", "ncnn": "ncnn",
          "litert": "LiteRT (XNNPACK)", "torch": "PyTorch (frozen)", "train": "PyTorch eager",
          "bare": "bare Python", CEILINGS: "ceilings"}
DEBIAN_PYTHON = "/usr/bin/python3"


class WorkerError(Exception):
    """A worker said no, or died."""


def ort_library():
    """The library inside ONNX Runtime's package."""
    import onnxruntime
    return glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__),
                                  "capi", "libonnxruntime.so*"))[0]


def command(runtime, threads, program):
    """program: of those that are ours, in C."""
    if runtime == CEILINGS:
        return [program]
    if runtime == OURS:
        return [program, "--threads", str(threads)]
    if runtime == DIRECT:
        return [program, "--threads", str(threads), "--kernels", "direct"]
    if runtime == "onnxruntime-c":
        return [program, ort_library(), str(threads)]
    python = DEBIAN_PYTHON if runtime in ("torch", "train") else sys.executable
    return [python, "-m", "vnbench.worker_" + runtime, str(threads)]


def environment(**more):
    """Pools of threads have the size that they are told, and nothing else's."""
    e = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "PYTHON", "VIRTUAL_ENV"))}
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    e.update(PYTHONPATH=here, PYTHONDONTWRITEBYTECODE="1", OPENBLAS_NUM_THREADS="1",
             TF_CPP_MIN_LOG_LEVEL="3", **more)
    return e


class Worker:
    def __init__(self, runtime, threads, program=None):
        self.runtime = runtime
        self.process = subprocess.Popen(
            command(runtime, threads, program), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment(OMP_NUM_THREADS=str(threads)))
        self.stopped = False

    def ask(self, *words):
        """Wakes the worker, asks, stops it again: the words of its answer."""
        self.go(signal.SIGCONT)
        try:
            print(*words, file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        kind, _, rest = line.strip().partition(" ")
        if kind != "ok":
            raise WorkerError("%s: %s: %s" % (TITLES[self.runtime], words[0],
                                              rest or "the worker died"))
        self.go(signal.SIGSTOP)
        return rest.split()

    def go(self, which):
        self.process.send_signal(which)

    def load(self, files, image):
        self.ask("load", *files, image)

    def run(self, warm, n):
        """Durations in seconds."""
        return np.array([int(x) for x in self.ask("run", warm, n)]) / 1e9

    def logits(self):
        return np.array([float(x) for x in self.ask("logits")])

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Ceilings(Worker):
    def __init__(self, program):
        super().__init__(CEILINGS, 1, program)

    def peak(self, threads):
        """Floating-point operations per second of that many threads."""
        return float(self.ask("fma", threads)[1]) * 1e9

    def rate(self, what):
        """Bytes per second: copy or read."""
        return float(self.ask(what)[0]) * 1e9


def write_image(file, image):
    with open(file, "wb") as f:
        f.write(np.array(image.shape, np.int32).tobytes() + image.astype(np.float32).tobytes())
