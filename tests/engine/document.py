#!/usr/bin/python3
"""docs/VIRTUALNET.md against written stores: every tensor of every store has a row of the table
whose shape holds, every row that applies has its tensors, in the order of the table."""
import itertools
import re
import sys

import stores


def rows(document):
    """(pattern, shape) of the table of tensors."""
    text = open(document).read().split("## Tensors", 1)[1].split("## ", 1)[0]
    found = re.findall(r"^\| `([^`]+)` \| \[([^\]]+)\] \|", text, re.M)
    assert len(found) == 20, "the table has %d rows" % len(found)
    return [(name, [d.strip() for d in shape.split(",")]) for name, shape in found]


def letters(store, place):
    """What the letters of a shape mean at a place: I, T, B of a tensor's name."""
    n = store.network
    agent, blocks = n["agent"], list(store.blocks())
    channels = lambda i: 1 if n["inputs"][i]["color"] == "gray" else 3
    v = {"N": len(n["inputs"]), "n": len(n["tasks"]), "W0": n["stem_width"], "W": blocks[-1][1],
         "O": len(blocks) * (n["groups"] + 1), "E": agent.get("embedding"),
         "H": agent.get("hidden"), "A": agent.get("width"), "K": agent.get("stem_kernel")}
    v["F"] = {"conv": v["A"], "shared": v["W"] + 3}.get(agent["kind"], 0)
    if "I" in place:
        v["C"], v["k"] = channels(place["I"]), n["inputs"][place["I"]]["stem_kernel"]
    if "T" in place:
        v["L"] = len(n["tasks"][place["T"]]["labels"])
    if "B" in place and place["B"] < len(blocks):
        v["Ci"], v["Co"], v["h"], _ = blocks[place["B"]]
    return v


def match(pattern, name):
    """The places that the pattern's letters have in a name, or None."""
    words, parts = pattern.split("."), name.split(".")
    if len(words) != len(parts):
        return None
    place = {}
    for word, part in zip(words, parts):
        if word in ("I", "T", "B", "G", "P"):
            if not part.isdigit():
                return None
            place[word] = int(part)
        elif word != part:
            return None
    return place


def size_of(term, values):
    return sum(int(x) if x.isdigit() else values[x] for x in term.split(" + "))


def check_tensor(store, table, name, dtype, shape):
    """The row's number."""
    for row, (pattern, formula) in enumerate(table):
        place = match(pattern, name)
        if place is None:
            continue
        if pattern == "pad.P":
            assert dtype == "U8" and not store.tensors[name].any(), name
        else:
            values = letters(store, place)
            expected = [size_of(term, values) for term in formula]
            assert dtype == "F32" and list(shape) == expected, (name, shape, expected)
        return row
    raise AssertionError("%s is not in the document" % name)


def expected_names(store, table):
    """The names that the document's "when" column asks for."""
    n, kind = store.network, store.network["agent"]["kind"]
    counts = {"I": len(n["inputs"]), "T": len(n["tasks"]), "G": n["groups"]}
    for pattern, _ in table:
        conv_only = pattern.startswith(("agent.input", "agent.block"))
        if pattern == "pad.P" or pattern.startswith("agent.") and (
                kind == "uniform" or conv_only and kind != "conv"):
            continue
        used = [w for w in pattern.split(".") if w in ("I", "T", "B", "G")]
        counts["B"] = 3 if conv_only else len(list(store.blocks()))
        for values in itertools.product(*(range(counts[w]) for w in used)):
            place = dict(zip(used, values))
            yield ".".join(str(place.get(w, w)) for w in pattern.split("."))


def check_order(store, names, table):
    """Parts in the table's order, slices group-major, padding numbered through."""
    def key(name):
        row, place = next((r, p) for r, p in ((r, match(pattern, name))
                                              for r, (pattern, _) in enumerate(table))
                          if p is not None)
        pattern = table[row][0]
        if pattern.startswith("input"):
            return 0, place["I"], row
        if pattern.startswith("agent"):
            part = 1 if "stem" in pattern else 2 if "block" in pattern else 3
            return 1, part, place.get("I", place.get("B", 0)), row
        if pattern.startswith("task"):
            return 2, place["T"], row
        return 3, place["G"], place["B"], row

    real = [x for x in names if not x.startswith("pad.")]
    assert real == sorted(real, key=key), real
    pads = [x for x in names if x.startswith("pad.")]
    assert pads == ["pad.%d" % i for i in range(len(pads))]


def check_offsets(store):
    aligned = store.tensors["block.0.group.0.conv1"].size > 40000
    for name, t in store.header.items():
        if name.startswith("pad."):
            continue
        step = 65536 if aligned and re.fullmatch(r"block\..*\.conv1", name) else 64
        assert t["data_offsets"][0] % step == 0, name
    return aligned


def main():
    table = rows(sys.argv[1])
    seen, aligned = set(), 0
    for _, store in stores.each_store():
        names = sorted(store.header, key=lambda x: store.header[x]["data_offsets"])
        for name in names:
            t = store.header[name]
            seen.add(check_tensor(store, table, name, t["dtype"], t["shape"]))
        real = {x for x in names if not x.startswith("pad.")}
        assert real == set(expected_names(store, table))
        check_order(store, names, table)
        aligned += check_offsets(store)
    assert seen == set(range(len(table))), "rows that no store showed: %s" % (
        [table[i][0] for i in set(range(len(table))) - seen])
    assert aligned == 1
    print("the document and %d stores agree" % len(stores.NETWORKS))


main()
