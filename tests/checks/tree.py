"""What the checks of the source tree share: which files there are."""

import os
import sys

# In the order of the layers.
LAYERS = ("base", "proto", "engine", "train", "daemon", "clients")


def files(root, *suffixes):
    """Paths below root, relative to it, without build folders and hidden ones (except .ci)."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            f
            for f in folders
            if f == ".ci" or not (f.startswith((".", "build")) or f == "__pycache__")
        )
        for name in sorted(names):
            if not suffixes or name.endswith(suffixes):
                yield os.path.relpath(os.path.join(folder, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", newline="") as f:
        return f.read()


def finish(complaints, looked_at):
    """Prints what is wrong and gives the exit status; having looked at nothing is wrong too."""
    for line in complaints:
        print(line)
    print(f"{looked_at} looked at, {len(complaints)} wrong")
    return 1 if complaints or not looked_at else 0


def main(check):
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} ROOT")
    sys.exit(finish(*check(sys.argv[1])))
