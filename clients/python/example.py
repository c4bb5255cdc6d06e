#!/usr/bin/python3
"""What is in this picture, within three budgets? Reads a binary PGM or PPM file.

    python3 example.py picture.pgm [TASK]
"""

import sys

import numpy as np

import virtualnet


def read_pnm(path: str) -> np.ndarray:
    with open(path, "rb") as f:
        kind = f.readline().strip()
        width, height = map(int, f.readline().split())
        maxval, pixels = f.readline().strip(), f.read()
    if kind not in (b"P5", b"P6") or maxval != b"255":
        raise SystemExit(f"{path}: not a binary PGM or PPM with 8 bits and no comments")
    shape = (height, width) + ((3,) if kind == b"P6" else ())
    return np.frombuffer(pixels, np.uint8, int(np.prod(shape))).reshape(shape)


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    image = read_pnm(sys.argv[1])
    with virtualnet.Client() as client:
        tasks = client.describe().tasks
        task = tasks[sys.argv[2]] if len(sys.argv) > 2 else next(iter(tasks.values()))
        smallest, largest = task.smallest.total, task.largest.total
        for budget in (smallest, (smallest + largest) // 2, largest):
            answer = client.infer(image, task.name, budget_bytes=budget)
            print(
                f"{budget:>9} bytes: {answer.label} ({answer.probability:.3f}), "
                f"path {answer.path}, promised {answer.bytes.total} bytes"
            )
        try:
            client.infer(image, task.name, budget_bytes=1)
        except virtualnet.BudgetTooSmall as e:
            print(f"        1 byte:  refused, the smallest path needs {e.needed_bytes}")


if __name__ == "__main__":
    main()
