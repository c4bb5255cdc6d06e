"""Every relative link in the documents leads somewhere: to a file, and to a heading in it."""

import os
import re

import tree

LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
HEADING = re.compile(r"^#+ +(.*)$", re.M)


def slug(heading):
    """The anchor that a heading gets: lower case, punctuation dropped, blanks to dashes."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(root, path):
    return {slug(h) for h in HEADING.findall(FENCE.sub("", tree.read(root, path)))}


def judge(root, path, target):
    if re.match(r"[a-z]+:", target):
        return None
    name, _, anchor = target.partition("#")
    file = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
    if file.startswith("..") or name.startswith("/"):
        return f"{target} leads out of the tree"
    if not os.path.exists(os.path.join(root, file)):
        return f"{target} does not exist"
    if anchor and file.endswith(".md") and anchor not in anchors(root, file):
        return f"{target}: no such heading"
    return None


def check(root):
    complaints, looked_at = [], 0
    for path in tree.files(root, ".md"):
        looked_at += 1
        for target in LINK.findall(FENCE.sub("", tree.read(root, path))):
            wrong = judge(root, path, target)
            if wrong:
                complaints.append(f"{path}: {wrong}")
    return complaints, looked_at


if __name__ == "__main__":
    tree.main(check)
