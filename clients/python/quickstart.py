"""What ./quickstart shows: test images of Fashion-MNIST, two tasks, three budgets each.

Talks to the daemon at $VIRTUALNET_SOCKET; see example.py for the shortest use of the package."""

import gzip

import numpy as np

import virtualnet

FOLDER = "/usr/share/datasets/fashion-mnist/"  # of Debian's package dataset-fashion-mnist
IMAGES = 6
GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip
KINDS = ("top", "trousers", "top", "dress", "top", "shoes", "top", "shoes", "bag", "shoes")
TRUTHS = {"garment": GARMENTS, "kind": KINDS}


def read_idx(name: str) -> np.ndarray:
    """An array of bytes in the IDX format: two zeros, type 8, rank, sides (big-endian), data."""
    with gzip.open(FOLDER + name) as f:
        data = f.read()
    rank = data[3]
    shape = np.frombuffer(data, ">u4", rank, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def first_of_classes(labels: np.ndarray, n: int) -> list[int]:
    """Indices of the first image of each class, in the order in which they appear."""
    _, first = np.unique(labels, return_index=True)
    return sorted(int(i) for i in first)[:n]


SHARES = (0.45, 0.65, 1)  # of what the full path needs


def budgets(task: virtualnet.Task) -> list[int]:
    """Two budgets that leave room for a part of the network, and one for all of it."""
    smallest, largest = task.smallest.total, task.largest.total
    return [max(smallest, int(share * largest)) for share in SHARES]


def show(client: virtualnet.Client, task: virtualnet.Task, budget: int, images, classes) -> None:
    truths = TRUTHS.get(task.name)
    print(f"task {task.name}, budget {budget / 1024:.0f} KiB")
    for answer, c in zip(client.infer_many(images, task.name, budget_bytes=budget), classes):
        truth = truths[c] if truths else "?"
        wrong = " " if truth in ("?", answer.label) else "*"
        path = ",".join(map(str, answer.path))
        milliseconds = 1e3 * (answer.agent_s + answer.compute_s)
        print(
            f"  {truth:<12}{wrong}{answer.label:<12} {answer.probability:.3f}  {path:<14}"
            f"{answer.bytes.total / 1024:8.0f} KiB {milliseconds:7.2f} ms"
        )


def main() -> None:
    labels = read_idx("t10k-labels-idx1-ubyte.gz")
    chosen = first_of_classes(labels, IMAGES)
    images = read_idx("t10k-images-idx3-ubyte.gz")[chosen]
    print("  TRUTH        ANSWER        PROB  PATH            PROMISED       TIME")
    with virtualnet.Client() as client:
        for task in list(client.describe().tasks.values())[:2]:
            for budget in budgets(task):
                show(client, task, budget, images, labels[chosen])
    print("\n* = wrong. PROMISED: memory the run may need; TIME: in the daemon, choosing included.")


if __name__ == "__main__":
    main()
