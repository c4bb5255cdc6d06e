"""A case: a path of a network as every runtime gets it, and the proof that all compute the same."""
import os
import shutil
import subprocess
import tempfile

import numpy as np

from . import ncnn_file, networks, onnx_file, sliced, store, tflite_file, workers

# Largest difference of logits to a forward pass in double precision, relative to the largest logit:
# single precision, sums of up to 9,216 products, up to 41 layers, Winograd among the methods.
TOLERANCE = 1e-4
SUFFIXES = {"onnxruntime": "onnx", "ncnn": "param", "litert": "tflite", "torch": "pt"}


class Different(Exception):
    """Two runtimes did not compute the same network."""


class Case:
    """Files of one path in a folder of its own, removed at the end."""

    def __init__(self, context, name, level, description=None):
        """name: of networks.NETWORKS, or of the description given."""
        self.description = description or networks.network(name)
        self.name, self.level = self.description["name"], level
        self.groups = self.description["groups"]
        self.store = networks.make_store(context.program("bench-make_store"), context.cache,
                                         self.description)
        self.levels = [level] * networks.n_blocks(self.description)
        self.net = sliced.sliced(store.Store(self.store), 0, self.levels)
        self.folder = tempfile.mkdtemp(prefix="vnbench-", dir=context.scratch)
        self.image = os.path.join(self.folder, "image")
        self.pixels = np.random.default_rng(1).standard_normal(
            (self.net.h, self.net.w, self.net.c)).astype(np.float32)
        workers.write_image(self.image, self.pixels)
        self._logits = None

    @property
    def share(self):
        return "%g" % (self.level / self.groups)

    def files(self, runtime, from_file=False):
        """What the worker of a runtime is told to load; written the first time. PyTorch can build
        the network from the store, unless it is to load it from a file as others do."""
        if runtime in (workers.OURS, workers.DIRECT) or runtime == "torch" and not from_file:
            return [self.store, 0, ",".join(map(str, self.levels))]
        path = os.path.join(self.folder, "path.")
        if not os.path.exists(path + SUFFIXES[runtime]):
            self.write(runtime, path)
        return [path + SUFFIXES[runtime]]

    def write(self, runtime, path):
        if runtime == "onnxruntime":
            onnx_file.write(self.net, path + "onnx")
        elif runtime == "ncnn":
            ncnn_file.write(self.net, path + "param", path + "bin")
        elif runtime == "litert":
            tflite_file.write(self.net, path + "tflite")
        else:
            subprocess.run([workers.DEBIAN_PYTHON, "-m", "vnbench.worker_torch", "export",
                            self.store, "0", ",".join(map(str, self.levels)), path + "pt"],
                           check=True, env=workers.environment(OMP_NUM_THREADS="1"))

    def expected(self):
        if self._logits is None:
            self._logits = sliced.forward(self.net, self.pixels)
        return self._logits

    def check(self, worker):
        """The relative error of the worker's last run; too large a one ends the bench."""
        found, expected = worker.logits(), self.expected()
        error = np.abs(found - expected).max() / np.abs(expected).max()
        if not error <= TOLERANCE:
            raise Different("%s at level %s: %s gives %s, not %s (relative error %.1e)" % (
                self.name, self.share, workers.TITLES[worker.runtime], found, expected, error))
        return float(error)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
