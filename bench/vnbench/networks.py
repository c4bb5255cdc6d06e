"""The networks that are measured: descriptions of stores (docs/VIRTUALNET.md), and their stores,
written once with random numbers and kept in the cache folder."""
import json
import os
import subprocess

GROUPS = 4

# name: (widths of the stages, blocks of each); a group is a quarter of its stage's width
NETWORKS = {
    "0.08M": ((16, 32, 64), 1),
    "0.7M": ((32, 64, 128), 2),
    "7.4M": ((64, 128, 256), 5),
    "29.6M": ((128, 256, 512), 5),
    "ResNet-42": ((64, 128, 256, 512), 5),
}


def describe(name, widths, blocks, side=32, groups=GROUPS, labels=10, group_widths=None):
    """A residual network of one task; the first stage keeps the size, the others halve it."""
    widths_of_groups = group_widths or [w // groups for w in widths]
    return {
        "name": name, "stem_width": widths[0], "groups": groups,
        "inputs": [{"name": "rgb", "width": side, "height": side, "color": "rgb", "crop": "none",
                    "resize": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
                    "stem_kernel": 3, "stem_stride": 1}],
        "stages": [{"blocks": blocks, "width": w, "stride": 2 if i else 1, "group_width": h}
                   for i, (w, h) in enumerate(zip(widths, widths_of_groups))],
        "tasks": [{"name": "task", "input": "rgb", "labels": ["label %d" % i
                                                              for i in range(labels)]}],
        "agent": {"kind": "uniform"},
    }


def network(name, side=32):
    """The description of one of NETWORKS."""
    widths, blocks = NETWORKS[name]
    return describe(name, widths, blocks, side)


def make_store(tool, folder, description):
    """The store of a description, from the folder if it is there: its path. Written beside and
    renamed, so that an interrupted run leaves nothing half."""
    text = json.dumps(description, sort_keys=True)
    kept = os.path.join(folder, "%s.json" % description["name"])
    file = os.path.join(folder, "%s.safetensors" % description["name"])
    if os.path.exists(file) and os.path.exists(kept) and open(kept).read() == text:
        return file
    os.makedirs(folder, exist_ok=True)
    draft = kept + ".new"
    with open(draft, "w") as f:
        f.write(text)
    subprocess.run([tool, draft, file, "1"], check=True)
    os.rename(draft, kept)
    return file


def n_blocks(description):
    return sum(s["blocks"] for s in description["stages"])
