#!/usr/bin/python3
"""The table of a model card, from what `virtualnet evaluate --json` printed:

    models/table.py models/fashion-mnist/evaluation-test.json

A check holds the cards against it."""

import json
import sys

def size(count):
    """As the command line prints sizes."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit in ("B", "KiB") else f"{count:.2f} {unit}"


def limit(setting):
    if setting.get("budget_params"):
        return f"{setting['budget_params'] / 1000:g}K parameters"
    if setting.get("budget_bytes"):
        return size(setting["budget_bytes"])
    return f"{100 * setting['budget_share']:.6g} %"


def paths(setting):
    """How the paths of a row were chosen, in words."""
    by = setting["by"]
    if by == "uniform":
        return f"level {setting['level']}"
    if by == "own":
        return "each task's own path"
    if by == "path":
        return "path " + ",".join(map(str, setting["levels"]))
    if by == "cascade":
        levels = ":".join(map(str, setting["levels"]))
        return f"cascade {levels}, sure from {setting['threshold']:g}"
    words = ["random" if by == "random" else "agent", f"limit {limit(setting)}"]
    if setting.get("thrift"):
        words.append(f"thrift {setting['thrift']:g}")
    return ", ".join(words)


def columns(r):
    """Name and text of what the table shows of a row; multiply-adds where they were counted."""
    yield "paths", paths(r["setting"])
    yield "accuracy", f"{100 * r['accuracy']:.2f} %"
    yield "spread", f"{100 * r['spread']:.2f}"
    yield "parameters, mean", f"{r['params_mean'] / 1000:.1f}K"
    yield "max", f"{r['params_max'] / 1000:.1f}K"
    yield "resident bytes, mean", f"{r['bytes_mean'] / 1024:.0f} KiB"
    yield "agent", f"{100 * r['agent_share']:.1f} %"
    if "multiply_adds" in r:
        yield "multiply-adds", f"{r['multiply_adds'] / 1e6:.2f}M"


def line(words):
    return "| " + " | ".join(words) + " |"


def table(evaluation):
    rows = evaluation["rows"]
    names = [name for name, _ in columns(rows[0])]
    return "\n".join([line(names), "|" + "---|" * len(names)] +
                     [line(text for _, text in columns(r)) for r in rows])


if __name__ == "__main__":
    with open(sys.argv[1]) as f:
        print(table(json.load(f)))
