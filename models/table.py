#!/usr/bin/python3
"""The table of a model card, from what `virtualnet evaluate --json` printed:

    models/table.py models/fashion-mnist/evaluation-test.json

A check holds the cards against it."""

import json
import sys

HEAD = """\
| paths | accuracy | parameters, mean | max | resident bytes, mean | agent |
|---|---|---|---|---|---|"""


def size(count):
    """As the command line prints sizes."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit in ("B", "KiB") else f"{count:.2f} {unit}"


def paths(setting):
    """How the paths of a row were chosen, in words."""
    if "level" in setting:
        return f"level {setting['level']}"
    limit = (f"{setting['budget_params'] / 1000:g}K parameters" if setting.get("budget_params")
             else size(setting["budget_bytes"]) if setting.get("budget_bytes")
             else f"{100 * setting['budget_share']:.6g} %" if "budget_share" in setting else None)
    words = ["agent" if limit else setting["by"]] + ([f"limit {limit}"] if limit else [])
    if setting.get("thrift"):
        words.append(f"thrift {setting['thrift']:g}")
    return ", ".join(words)


def row(r):
    kib = r["bytes_mean"] / 1024
    return (f"| {paths(r['setting'])} | {100 * r['accuracy']:.2f} % "
            f"| {r['params_mean'] / 1000:.1f}K | {r['params_max'] / 1000:.1f}K "
            f"| {kib:.0f} KiB | {100 * r['agent_share']:.1f} % |")


def table(evaluation):
    return "\n".join([HEAD] + [row(r) for r in evaluation["rows"]])


if __name__ == "__main__":
    with open(sys.argv[1]) as f:
        print(table(json.load(f)))
