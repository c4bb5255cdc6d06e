#!/usr/bin/python3
"""The bench measures other runtimes on our network: what it exports gives the engine's logits.

Of many stores, tasks and paths: the merged and folded network computed with numpy, and the ONNX and
ncnn files, read back and computed with numpy (readers.py). Environment: VN_TOOL, and PYTHONPATH
with bench/ and tests/engine/."""
import os
import sys
import tempfile

import numpy as np

import readers
import stores
from vnbench import ncnn_file, onnx_file, sliced
from vnbench.store import Store

# single precision in the engine: up to ten layers of sums of up to 1,152 terms; folding a scale
# into the weights rounds each of them once more
TOLERANCE = 1e-4


def prepared(spec, image):
    """An image of the input's own size: channel order and normalisation."""
    x = image[:, :, ::-1] if spec["color"] == "bgr" else image
    return ((x / 255 - np.array(spec["mean"])) / np.array(spec["std"])).astype(np.float32)


def ncnn_logits(net, image):
    with tempfile.TemporaryDirectory() as folder:
        param, numbers = os.path.join(folder, "a.param"), os.path.join(folder, "a.bin")
        ncnn_file.write(net, param, numbers)
        with open(param) as p, open(numbers, "rb") as n:
            return readers.run_ncnn(p.read(), n.read(), image)


def check(file, task, levels, rng):
    store = Store(file)
    net = sliced.sliced(store, task, levels)
    spec = store.network["inputs"][store.input_of(task)]
    pixels = rng.randint(0, 256, (spec["height"], spec["width"], net.c), dtype=np.uint8)
    image = prepared(spec, pixels)
    expected = stores.run_engine(file, task, levels, pixels)
    found = {"numpy": sliced.forward(net, image),
             "onnx": readers.run_onnx(onnx_file.encode(net), image),
             "ncnn": ncnn_logits(net, image)}
    for name, logits in found.items():
        error = np.abs(logits - expected).max() / (1 + np.abs(expected).max())
        assert error < TOLERANCE, "%s, task %d, levels %s: %s is not %s" % (
            name, task, levels, logits, expected)


def check_refusals(file):
    """Paths that are none."""
    store = Store(file)
    blocks = len(list(store.blocks()))
    for levels in ([1] * (blocks - 1), [1] * blocks + [1], [store.network["groups"] + 1] * blocks,
                   [-1] * blocks):
        try:
            sliced.sliced(store, 0, levels)
        except ValueError:
            continue
        raise AssertionError("%s was taken for a path" % levels)


def check_counts(file):
    """Parameters of the full path: the tool counts vectors of two numbers a channel, of which
    folding leaves one, and adds up the second biases of a block."""
    store = Store(file)
    groups = store.network["groups"]
    levels = [groups] * len(list(store.blocks()))
    net = sliced.sliced(store, 0, levels)
    folded = net.stem.bias.size
    for b in net.blocks:
        folded += b.conv1.bias.size + (2 * groups - 1) * b.co
    if store.network["agent"]["kind"] == "uniform":
        counted = int(stores.tool("plan", file, 0, ",".join(map(str, levels))))
        assert counted == sliced.params(net) + folded, (counted, sliced.params(net), folded)


def main():
    rng, runs = np.random.RandomState(3), 0
    for file, reader in stores.each_store():
        check_refusals(file)
        check_counts(file)
        for task, levels in stores.some_paths(reader, rng):
            check(file, task, levels, rng)
            runs += 1
    print("%d paths: numpy, ONNX and ncnn agree with the engine" % runs)


sys.exit(main())
