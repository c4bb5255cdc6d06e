"""Stores for the scripts beside this file: networks to try, and a reader that needs numpy alone."""
import json
import os
import subprocess
import tempfile

import numpy as np


def item(name, side, color, kernel, stride, crop="none"):
    n = 1 if color == "gray" else 3
    return {"name": name, "width": side, "height": side - 2, "color": color, "crop": crop,
            "resize": "bilinear", "mean": [0.5, 0.4, 0.3][:n], "std": [0.2, 0.25, 0.3][:n],
            "stem_kernel": kernel, "stem_stride": stride}


def network(inputs, groups, stages, agent, tasks, stem_width=8):
    keys = ("blocks", "width", "stride", "group_width")
    return {"name": "test", "stem_width": stem_width, "groups": groups, "inputs": inputs,
            "stages": [dict(zip(keys, s)) for s in stages], "agent": agent,
            "tasks": [{"name": "task %d" % t, "input": inputs[t % len(inputs)]["name"],
                       "labels": ["label %d" % i for i in range(2 + t)]} for t in range(tasks)]}


NETWORKS = [
    network([item("a", 16, "rgb", 3, 1)], 4, [(2, 8, 1, 3), (2, 16, 2, 5)], {"kind": "uniform"}, 2),
    network([item("a", 19, "bgr", 7, 2, "center"), item("b", 9, "gray", 1, 1)], 3,
            [(1, 9, 2, 4), (2, 17, 4, 1)], {"kind": "conv", "width": 5, "stem_stride": 2}, 5),
    network([item("a", 12, "rgb", 5, 3)], 1, [(3, 8, 1, 8)], {"kind": "task", "embedding": 3}, 3),
    network([item("a", 10, "gray", 3, 1), item("b", 11, "rgb", 3, 1)], 5, [(2, 16, 1, 7)],
            {"kind": "shared", "hidden": 9}, 4, 16),
    # slices of 300 KB and more, which start on windows
    network([item("a", 8, "rgb", 3, 1)], 2, [(2, 128, 1, 40)], {"kind": "uniform"}, 1, 128),
]


class Store:
    """A file as safetensors describes it, checked on the way: no holes, no overlaps, no rest."""

    def __init__(self, file):
        raw = open(file, "rb").read()
        n = int.from_bytes(raw[:8], "little")
        self.header = json.loads(raw[8:8 + n])
        self.start = 8 + n
        self.metadata = self.header.pop("__metadata__")
        self.network = json.loads(self.metadata["network"])
        self.tensors = {}
        end = 0
        for name, t in sorted(self.header.items(), key=lambda x: x[1]["data_offsets"]):
            first, last = t["data_offsets"]
            size = {"F32": 4, "U8": 1}[t["dtype"]]
            assert first == end, "%s: a hole or an overlap at %d" % (name, end)
            assert last - first == size * int(np.prod(t["shape"])), name
            end = last
            self.tensors[name] = np.frombuffer(raw, {"F32": "<f4", "U8": "u1"}[t["dtype"]],
                                               (last - first) // size, self.start + first
                                               ).reshape(t["shape"])
        assert self.start + end == len(raw), "the file ends elsewhere"

    def blocks(self):
        """(Ci, Co, h, stride) of every block."""
        ci = self.network["stem_width"]
        for s in self.network["stages"]:
            for b in range(s["blocks"]):
                yield ci, s["width"], s["group_width"], 1 if b else s["stride"]
                ci = s["width"]

    def input_of(self, task):
        name = self.network["tasks"][task]["input"]
        return [i["name"] for i in self.network["inputs"]].index(name)


def tool(*args, data=b""):
    """Runs the test tool (environment VN_TOOL); its standard output."""
    return subprocess.run([os.environ["VN_TOOL"], *map(str, args)], input=data, check=True,
                          stdout=subprocess.PIPE).stdout.decode()


def make(folder, spec, seed=1):
    """Writes the network's store; its path."""
    description = os.path.join(folder, "network.json")
    file = os.path.join(folder, "test.safetensors")
    json.dump(spec, open(description, "w"))
    tool("make", description, file, seed)
    return file


def each_store():
    with tempfile.TemporaryDirectory() as folder:
        for spec in NETWORKS:
            file = make(folder, spec)
            yield file, Store(file)


def some_paths(store, rng):
    """(task, levels): every uniform level of one task, and random ones."""
    m, g = len(list(store.blocks())), store.network["groups"]
    for level in range(g + 1):
        yield 0, [level] * m
    for _ in range(6):
        yield rng.randint(len(store.network["tasks"])), list(rng.randint(0, g + 1, m))


def run_engine(file, task, levels, image):
    h, w, c = image.shape
    text = tool("run", file, task, ",".join(map(str, levels)), "gray" if c == 1 else "rgb", w, h,
                data=image.tobytes())
    return np.array([float(x) for x in text.split()])
