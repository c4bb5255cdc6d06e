"""Every row of docs/security.md that promises something names what holds it: a file of the tests,
with the names of tests (or steps) in it."""

import os
import re

import tree

PAGE = os.path.join("docs", "security.md")
TABLE = re.compile(r"^\| promise \| held by \|\n\|---\|---\|\n((?:\|.*\|\n)+)", re.M)
HOLDER = re.compile(r"`(tests/[^`]+)`(?: \(((?:`[^`]+`(?:, )?)+)\))?")


def judge(root, row):
    cells = row.strip("|").split(" | ")
    holders = HOLDER.findall(cells[-1])
    if len(cells) != 2 or not holders:
        yield f"names no test: {row}"
    for file, names in holders:
        if not os.path.exists(os.path.join(root, file)):
            yield f"{file} does not exist"
            continue
        text = tree.read(root, file)
        for name in re.findall(r"`([^`]+)`", names):
            if not re.search(rf"(\b|\btest_){re.escape(name)}\b", text):
                yield f"{file} has no {name}"


def check(root):
    if not os.path.exists(os.path.join(root, PAGE)):
        return [f"{PAGE} does not exist"], 0
    rows = [row for t in TABLE.findall(tree.read(root, PAGE)) for row in t.splitlines()]
    return [f"{PAGE}: {wrong}" for row in rows for wrong in judge(root, row)], len(rows)


if __name__ == "__main__":
    tree.main(check)
