"""Every model has a card with the headings that models/README.md lists, and the table in it is that
of the evaluation beside it."""

import importlib.util
import json
import os
import re

import tree

EVALUATION = re.compile(r"evaluation-\w+\.json")


def headings(root):
    """First column of the template's table."""
    text = tree.read(root, "models/README.md").split("## What a card says")[1]
    rows = re.findall(r"^\| ([^|]+?) \|", text, re.M)
    return [r for r in rows if r != "heading"]


def table_of(root, path):
    where = os.path.join(root, "models", "table.py")
    spec = importlib.util.spec_from_file_location("table", where)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.table(json.loads(tree.read(root, path))).split("\n")


def judge(root, card, wanted):
    text = tree.read(root, card)
    found = re.findall(r"^## (.*)$", text, re.M)
    if found != wanted:
        yield f"{card}: the headings are {found}, and should be {wanted}"
    folder = os.path.dirname(card)
    beside = sorted(n for n in os.listdir(os.path.join(root, folder)) if EVALUATION.fullmatch(n))
    lines = set(text.split("\n"))
    fits = [n for n in beside if lines >= set(table_of(root, os.path.join(folder, n)))]
    if not fits:
        yield f"{card}: has not the table of any of {beside} (models/table.py prints it)"


def check(root):
    wanted = headings(root)
    cards = [p for p in tree.files(root, "README.md")
             if re.fullmatch(r"models/[^/]+/README\.md", p)]
    complaints = [c for card in cards for c in judge(root, card, wanted)]
    return complaints, len(cards)


if __name__ == "__main__":
    tree.main(check)
