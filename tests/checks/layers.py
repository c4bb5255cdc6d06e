"""A layer includes itself and earlier layers only, by full path: #include "engine/plan.h"."""

import os
import re

import tree

ALLOWED = {
    "base": {"base"},
    "proto": {"base", "proto"},
    "engine": {"base", "engine"},
    "train": {"base", "engine", "train"},
    "daemon": {"base", "proto", "engine", "daemon"},
    "clients": {"base", "proto", "clients"},
    "clients/cli": {"base", "proto", "engine", "train", "clients"},
}
GENERATED = {"proto/virtualnet.pb-c.h"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)


def layer(path):
    """The most exact entry of ALLOWED for a file, or None for folders that may use everything."""
    parts = path.split(os.sep)
    for depth in (2, 1):
        if "/".join(parts[:depth]) in ALLOWED and len(parts) > depth:
            return "/".join(parts[:depth])
    return None


def judge(root, path, where, quote, name):
    folder = name.split("/")[0]
    if quote == "<":
        return f"{name} is ours: include it with quotes" if folder in ALLOWED else None
    if folder not in ALLOWED or "/" not in name:
        return f'"{name}" has no layer: write it from the root ("base/...")'
    if folder not in ALLOWED[where]:
        return f'"{name}": {where} may include only {", ".join(sorted(ALLOWED[where]))}'
    if name not in GENERATED and not os.path.exists(os.path.join(root, name)):
        return f'"{name}" does not exist'
    return None


def check(root):
    complaints, looked_at = [], 0
    for path in tree.files(root, ".c", ".h"):
        where = layer(path)
        if not where:
            continue
        looked_at += 1
        text = tree.read(root, path)
        for m in INCLUDE.finditer(text):
            wrong = judge(root, path, where, *m.groups())
            if wrong:
                complaints.append(f"{path}:{text.count(chr(10), 0, m.start()) + 1}: {wrong}")
    return complaints, looked_at


if __name__ == "__main__":
    tree.main(check)
