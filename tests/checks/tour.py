"""docs/TOUR.md is complete and true: each numbered line names files in back quotes, every file
named exists, every source file of the layers is named, and the numbers count up."""

import os
import re

import tree

TOUR = os.path.join("docs", "TOUR.md")
ITEM = re.compile(r"^(\d+)\. (`[^`]+`(?:, `[^`]+`)*) - (.+)$", re.M)
NUMBERED = re.compile(r"^\d+\..*$", re.M)


def named(items):
    for _, names, _ in items:
        for name in re.findall(r"`([^`]+)`", names):
            yield name


def check(root):
    text = tree.read(root, TOUR)
    items = ITEM.findall(text)
    complaints = [
        f"{TOUR}: not of the form 1. `file`, `file` - sentence: {line}"
        for line in NUMBERED.findall(text)
        if not ITEM.match(line)
    ]
    for expected, (number, _, _) in enumerate(items, 1):
        if int(number) != expected:
            complaints.append(f"{TOUR}: item {number} should be {expected}")
            break
    names = list(named(items))
    complaints += [
        f"{TOUR}: {n} does not exist" for n in names if not os.path.exists(os.path.join(root, n))
    ]
    twice = sorted({n for n in names if names.count(n) > 1})
    complaints += [f"{TOUR}: {n} is named twice" for n in twice]
    for layer in tree.LAYERS:
        for path in tree.files(os.path.join(root, layer), ".c", ".h", ".py"):
            path = os.path.join(layer, path)
            if path not in names and not path.endswith("_pb2.py"):
                complaints.append(f"{TOUR}: {path} is not named")
    return complaints, len(items)


if __name__ == "__main__":
    tree.main(check)
