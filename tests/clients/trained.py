"""A small store that was really trained, for tests of what is said about one: two tasks on
Fashion-MNIST, names full of markup."""

import json
import os
import subprocess

FASHION = "/usr/share/datasets/fashion-mnist"
TASK = "<script>alert('task')</script>&\"‮"
LABEL = "<img src=x onerror=alert(1)>"
BLOCKS, GROUPS, TASKS = 2, 2, 2
CONFIG = {
    "name": "</title><script>alert(1)</script>",
    "network": {
        "stem_width": 8,
        "groups": GROUPS,
        "inputs": [{"name": "fashion", "width": 28, "height": 28, "color": "gray",
                    "mean": [0.286], "std": [0.353], "stem_kernel": 3, "stem_stride": 4}],
        "stages": [{"blocks": 1, "width": 8, "stride": 1, "group_width": 8},
                   {"blocks": 1, "width": 16, "stride": 2, "group_width": 8}],
        "agent": {"kind": "shared", "embedding": 4, "hidden": 8},
    },
    "data": [{"name": "fashion-mnist", "format": "idx",
              "train": {"images": "fashion-mnist/train-images-idx3-ubyte.gz",
                        "labels": "fashion-mnist/train-labels-idx1-ubyte.gz"},
              "test": {"images": "fashion-mnist/t10k-images-idx3-ubyte.gz",
                       "labels": "fashion-mnist/t10k-labels-idx1-ubyte.gz"}}],
    "tasks": [
        {"name": TASK, "input": "fashion", "data": "fashion-mnist",
         "labels": [f"{LABEL}{i}" for i in range(10)]},
        {"name": "shoe", "input": "fashion", "data": "fashion-mnist",
         "labels": ["no", "yes"],
         "map": ["no", "no", "no", "no", "no", "yes", "no", "yes", "no", "yes"]}],
    "training": {"epochs": 2, "batch": 32, "rate": 0.05, "warmup_epochs": 0.5,
                 "reestimate_images": 256, "agreement_every": 4},
    "agent_training": {"rounds": 1, "epochs": 2, "batch": 32},
}


def train(cli, folder, images=300):
    """Fills the folder with what a run writes; returns the store's path."""
    os.makedirs(folder, exist_ok=True)
    config = os.path.join(folder, "asked.json")
    with open(config, "w") as f:
        json.dump(CONFIG, f)
    subprocess.run([cli, "train", config, "--out", folder, "--threads", "1", "--quiet",
                    "--limit-images", str(images)], check=True, timeout=600)
    return os.path.join(folder, "store.safetensors")
