"""PyTorch eager trains the full path of a network: a worker whose run is one step of a batch.

    load DESCRIPTION.json BATCH IMAGE      (the image is not used)

The groups of a block are one grouped convolution with a batch norm for each group, or a loop over
the groups, whichever is faster here; the optimiser is SGD with Nesterov's momentum, fused over all
parameters where this PyTorch can."""
import json
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

from . import worker


class Loop(nn.Module):
    """Every group a branch of its own."""

    def __init__(self, ci, co, h, groups, stride):
        super().__init__()
        self.branches = nn.ModuleList([nn.Sequential(
            nn.Conv2d(ci, h, 3, stride, 1, bias=False), nn.BatchNorm2d(h), nn.ReLU(),
            nn.Conv2d(h, co, 3, 1, 1, bias=False), nn.BatchNorm2d(co)) for _ in range(groups)])

    def forward(self, x):
        return sum(branch(x) for branch in self.branches)


class Grouped(nn.Module):
    """All groups at once."""

    def __init__(self, ci, co, h, groups, stride):
        super().__init__()
        self.groups = groups
        self.conv1 = nn.Conv2d(ci, groups * h, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(groups * h)
        self.conv2 = nn.Conv2d(groups * h, groups * co, 3, 1, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(groups * co)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return y.unflatten(1, (self.groups, -1)).sum(1)


class Net(nn.Module):
    def __init__(self, n, branch):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, n["stem_width"], 3, 1, 1, bias=False),
                                  nn.BatchNorm2d(n["stem_width"]), nn.ReLU())
        ci, self.blocks, self.strides = n["stem_width"], nn.ModuleList(), []
        for s in n["stages"]:
            for b in range(s["blocks"]):
                stride = 1 if b else s["stride"]
                self.blocks.append(branch(ci, s["width"], s["group_width"], n["groups"], stride))
                self.strides.append((stride, s["width"] - ci))
                ci = s["width"]
        self.head = nn.Linear(ci, len(n["tasks"][0]["labels"]))

    def forward(self, x):
        x = self.stem(x)
        for block, (stride, more) in zip(self.blocks, self.strides):
            y = F.avg_pool2d(x, stride) if stride > 1 else x
            y = F.pad(y, (0, 0, 0, 0, 0, more)) if more else y
            x = F.relu(y + block(x))
        return self.head(x.mean((2, 3)))


class Trainer:
    def __init__(self, n, branch, batch):
        torch.manual_seed(1)
        side = n["inputs"][0]["width"]
        self.model = Net(n, branch).train()
        self.optimiser = torch.optim.SGD(self.model.parameters(), 0.1, momentum=0.9,
                                         nesterov=True, weight_decay=5e-4)
        self.x = torch.randn(batch, 3, side, side)
        self.y = torch.randint(0, self.model.head.out_features, (batch,))

    def step(self):
        self.optimiser.zero_grad()
        self.loss = F.cross_entropy(self.model(self.x), self.y)
        self.loss.backward()
        self.optimiser.step()


def took(trainer):
    trainer.step()
    start = time.perf_counter()
    trainer.step()
    return time.perf_counter() - start


class Training(worker.Runtime):
    def __init__(self, threads):
        torch.set_num_threads(threads)

    def load(self, description, batch, _):
        with open(description) as f:
            n = json.load(f)
        self.trainer = min((Trainer(n, b, int(batch)) for b in (Loop, Grouped)), key=took)

    def run(self):
        self.trainer.step()

    def logits(self):
        return [self.trainer.loss.item()]


if __name__ == "__main__":
    worker.serve(Training(int(sys.argv[1])))
