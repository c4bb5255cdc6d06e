"""Training: images a second of `virtualnet train` and of the same network in PyTorch eager, the
same batch and threads, in turns. Only the full path is trained (mixed_paths 0), so that both do the
same work; ours also shifts and mirrors every image."""
import json
import os
import shutil
import subprocess

import numpy as np

from . import networks, workers

TARGET = 3.0
IMAGE_BYTES = 1 + 3 * 32 * 32  # of CIFAR-10's binary format: label, planes


def write_images(folder, n):
    """n noisy images in CIFAR-10's format."""
    rng = np.random.default_rng(1)
    records = rng.integers(0, 256, (n, IMAGE_BYTES), dtype=np.uint8)
    records[:, 0] = np.arange(n) % 10
    with open(os.path.join(folder, "train.bin"), "wb") as f:
        f.write(records.tobytes())


def configuration(description, batch, epochs):
    n = {k: description[k] for k in ("stem_width", "groups", "inputs", "stages")}
    return {
        "name": description["name"], "seed": 1, "validation_share": 0, "network": n,
        "data": [{"name": "noise", "format": "cifar10", "train": {"images": "train.bin"}}],
        "tasks": [{"name": "task", "input": "rgb", "data": "noise"}],
        "training": {"epochs": epochs, "batch": batch, "mixed_paths": 0, "rate": 0.01,
                     "warmup_epochs": 0, "reestimate_images": 1},
    }


def ours(context, folder, config, threads):
    """Images a second: the median over the epochs of one run."""
    out = os.path.join(folder, "run")
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(
        [context.program("clients/cli/virtualnet"), "train", config, "--data", folder, "--out", out,
         "--threads", str(threads), "--quiet"], capture_output=True, text=True,
        env=workers.environment())
    if done.returncode:
        raise workers.WorkerError("virtualnet train: %s" % done.stderr.strip())
    with open(os.path.join(out, "log.jsonl")) as f:
        rates = [json.loads(line)["images_per_s"] for line in f]
    return float(np.median(rates))


def measure(context, name, batch, threads):
    folder = os.path.join(context.scratch, "training")
    os.makedirs(folder, exist_ok=True)
    description = networks.network(name)
    texts = {"network.json": description, "config.json": None}
    steps = 2 if context.quick else 3
    texts["config.json"] = configuration(description, batch, 2)
    for file, content in texts.items():
        with open(os.path.join(folder, file), "w") as f:
            json.dump(content, f)
    write_images(folder, steps * batch)
    image = os.path.join(folder, "image")
    workers.write_image(image, np.zeros((1, 1, 1)))
    mine, theirs = [], []
    with workers.Worker("train", threads) as w:
        w.load([os.path.join(folder, "network.json"), batch], image)
        for _ in context.some_rounds(most=5):
            mine.append(ours(context, folder, os.path.join(folder, "config.json"), threads))
            theirs.append(batch / float(np.median(w.run(1, steps))))
    shutil.rmtree(folder)
    return {"network": name, "batch": batch, "threads": threads,
            "ours": float(np.median(mine)), "torch": float(np.median(theirs)),
            "ratio": float(np.median(np.array(mine) / np.array(theirs)))}


def part(context):
    chosen = [("0.08M", 128)] if context.quick else [("0.08M", 128), ("0.7M", 128), ("7.4M", 16)]
    context.title("training, full path: images a second")
    context.say("%-10s%7s%9s%14s%16s%8s" % ("network", "batch", "threads", "virtualnet",
                                            "PyTorch eager", "ratio"))
    rows = []
    for threads in context.threads[:1] if context.quick else context.threads:
        for name, batch in chosen:
            if context.networks and name not in context.networks:
                continue
            r = measure(context, name, batch, threads)
            rows.append(r)
            context.say("%-10s%7d%9d%14.1f%16.1f%8.2f" % (name, batch, threads, r["ours"],
                                                          r["torch"], r["ratio"]))
    return {"rows": rows}
