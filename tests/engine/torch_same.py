#!/usr/bin/python3
"""The same network in PyTorch, from the same file, on the same images: the same logits. Images are
of other sizes than the input, so that resizing is compared too (crop aside, which is exact).
Exits 77 where torch is missing."""
import sys

import numpy as np

import stores

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("skipped: python3-torch is not installed")
    sys.exit(77)


def conv_bn(x, weight, bn, stride):
    w = torch.from_numpy(weight.transpose(3, 2, 0, 1).copy())  # HWIO to OIHW
    scale, bias = torch.from_numpy(bn.copy())
    x = F.conv2d(x, w, stride=stride, padding=(w.shape[2] - 1) // 2)
    return x * scale[:, None, None] + bias[:, None, None]


def shortcut(x, stride, co):
    if stride > 1:
        x = F.avg_pool2d(x, stride, ceil_mode=True, count_include_pad=False)
    return F.pad(x, (0, 0, 0, 0, 0, co - x.shape[1]))


def preprocess(spec, image):
    x = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    if spec["crop"] == "center":
        h, w = image.shape[:2]
        if w * spec["height"] > h * spec["width"]:
            part = max(1, h * spec["width"] // spec["height"])
            x = x[:, :, :, (w - part) // 2:][:, :, :, :part]
        else:
            part = max(1, w * spec["height"] // spec["width"])
            x = x[:, :, (h - part) // 2:][:, :, :part]
    x = F.interpolate(x, (spec["height"], spec["width"]), mode="bilinear", align_corners=False)
    if spec["color"] == "gray":
        x = (x * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    if spec["color"] == "bgr":
        x = x.flip(1)
    mean, std = torch.tensor(spec["mean"]), torch.tensor(spec["std"])
    return (x / 255 - mean[:, None, None]) / std[:, None, None]


def forward(store, task, levels, image):
    t, i = store.tensors, store.input_of(task)
    spec = store.network["inputs"][i]
    order = store.network["tasks"][task]["order"]
    x = preprocess(spec, image)
    x = F.relu(conv_bn(x, t["input.%d.stem.conv" % i], t["input.%d.stem.bn" % i],
                       spec["stem_stride"]))
    for b, (ci, co, h, stride) in enumerate(store.blocks()):
        y = shortcut(x, stride, co)
        for g in order[:levels[b]]:
            name = "block.%d.group.%d." % (b, g)
            hidden = F.relu(conv_bn(x, t[name + "conv1"], t[name + "bn1"][i], stride))
            y = y + conv_bn(hidden, t[name + "conv2"], t[name + "bn2"][i], 1)
        x = F.relu(y)
    head = torch.from_numpy(t["task.%d.head.weight" % task].copy())
    return (x.mean((2, 3)) @ head)[0].numpy() + t["task.%d.head.bias" % task]


def main():
    rng = np.random.RandomState(2)
    torch.set_num_threads(1)
    runs, worst = 0, 0
    for file, store in stores.each_store():
        for task, levels in stores.some_paths(store, rng):
            image = rng.randint(0, 256, (rng.randint(5, 40), rng.randint(5, 40), 3), dtype=np.uint8)
            with torch.no_grad():
                expected = forward(store, task, levels, image)
            found = stores.run_engine(file, task, levels, image)
            # both in single precision, with their own order of sums of up to 1,152 terms
            error = np.abs(found - expected).max() / (1 + np.abs(expected).max())
            assert error < 1e-4, "task %d levels %s: %s is not %s" % (task, levels, found, expected)
            runs, worst = runs + 1, max(worst, error)
    print("torch %s and the engine agree in %d runs, worst relative error %.1e" % (
        torch.__version__, runs, worst))


main()
