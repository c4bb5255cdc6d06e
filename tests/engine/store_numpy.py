#!/usr/bin/python3
"""A store opens with numpy alone, and the network that docs/VIRTUALNET.md describes, computed here
with numpy in double precision from those words, gives the engine's logits. Images have the input's
size, so that preprocessing is the normalisation alone (make_golden.py looks at the rest)."""
import sys

import numpy as np

import stores


def conv_bn(x, weight, bn, stride):
    k, _, _, co = weight.shape
    h, w, _ = x.shape
    pad = (k - 1) // 2
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    ho, wo = -(-h // stride), -(-w // stride)
    y = np.zeros((ho, wo, co))
    for ky in range(k):
        for kx in range(k):
            part = x[ky:ky + (ho - 1) * stride + 1:stride, kx:kx + (wo - 1) * stride + 1:stride]
            y += part @ weight[ky, kx].astype(np.float64)
    return y * bn[0] + bn[1]


def shortcut(x, stride, co):
    h, w, ci = x.shape
    y = np.zeros((-(-h // stride), -(-w // stride), co))
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j, :ci] = x[i * stride:(i + 1) * stride, j * stride:(j + 1) * stride].mean((0, 1))
    return y


def relu(x):
    return np.maximum(x, 0)


def forward(store, task, levels, image):
    t, i = store.tensors, store.input_of(task)
    spec = store.network["inputs"][i]
    order = store.network["tasks"][task]["order"]
    x = image.astype(np.float64)
    if spec["color"] == "bgr":
        x = x[:, :, ::-1]
    x = (x / 255 - np.array(spec["mean"])) / np.array(spec["std"])
    x = relu(conv_bn(x, t["input.%d.stem.conv" % i], t["input.%d.stem.bn" % i],
                     spec["stem_stride"]))
    for b, (ci, co, h, stride) in enumerate(store.blocks()):
        y = shortcut(x, stride, co)
        for g in order[:levels[b]]:
            name = "block.%d.group.%d." % (b, g)
            hidden = relu(conv_bn(x, t[name + "conv1"], t[name + "bn1"][i], stride))
            y += conv_bn(hidden, t[name + "conv2"], t[name + "bn2"][i], 1)
        x = relu(y)
    return (x.mean((0, 1)) @ t["task.%d.head.weight" % task].astype(np.float64)
            + t["task.%d.head.bias" % task])


def path_params(store, task, levels):
    """Parameters of a path, counted in the tensors: stem, agent, head, and of each slice the two
    convolutions and this input's vectors."""
    i, t = store.input_of(task), store.tensors
    n = t["input.%d.stem.conv" % i].size + t["input.%d.stem.bn" % i].size
    n += t["task.%d.head.weight" % task].size + t["task.%d.head.bias" % task].size
    for name, x in t.items():
        if name == "agent.embedding":
            n += x[task].size
        elif name.startswith("agent.input."):
            n += x.size if name.startswith("agent.input.%d." % i) else 0
        elif name.startswith("agent.block.") and ".bn" in name:
            n += x[i].size
        elif name.startswith("agent."):
            n += x.size
    for b, level in enumerate(levels):
        for g in store.network["tasks"][task]["order"][:level]:
            name = "block.%d.group.%d." % (b, g)
            n += t[name + "conv1"].size + t[name + "conv2"].size
            n += t[name + "bn1"][i].size + t[name + "bn2"][i].size
    return n


def main():
    rng = np.random.RandomState(1)
    for file, store in stores.each_store():
        assert store.start % 65536 == 0 and store.metadata["format"] == "virtualnet/1"
        for task, levels in stores.some_paths(store, rng):
            spec = store.network["inputs"][store.input_of(task)]
            c = 1 if spec["color"] == "gray" else 3
            image = rng.randint(0, 256, (spec["height"], spec["width"], c), dtype=np.uint8)
            expected = forward(store, task, levels, image)
            found = stores.run_engine(file, task, levels, image)
            # single precision: up to ten layers of sums of up to 1,152 terms
            error = np.abs(found - expected).max() / (1 + np.abs(expected).max())
            assert error < 1e-4, "task %d levels %s: %s is not %s" % (task, levels, found, expected)
            params = int(stores.tool("plan", file, task, ",".join(map(str, levels))))
            assert params == path_params(store, task, levels), (task, levels, params)
    print("numpy and the engine agree")


sys.exit(main())
