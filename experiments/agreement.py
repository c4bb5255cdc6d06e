"""What a training log says about tasks that share weights: `agreement` of `agreement_every`."""

import json

import numpy as np


def read(log):
    """The looks of a run as {"steps", "ucr", "cosine", "tasks"}: means over its epochs, weighted by
    steps; None when it never looked. What was never there is nan."""
    names = ("ucr", "cosine", "tasks")
    tables, steps = {name: [] for name in names}, []
    with open(log, encoding="utf-8") as f:
        for line in f:
            found = json.loads(line).get("agreement")
            if found:
                steps.append(found["steps"])
                for name in names:
                    tables[name].append(np.array(found[name], float))
    if not steps:
        return None
    weights = np.array(steps, float)[:, None, None]
    result = {"steps": sum(steps)}
    for name in names:
        stack = np.array(tables[name])
        known = weights * ~np.isnan(stack)
        with np.errstate(invalid="ignore"):
            result[name] = np.nansum(stack * weights, 0) / known.sum(0)
    return result


def circle(similar):
    """Tasks in a circle with similar ones side by side: from every start the nearest that is left,
    then pieces are turned round while that helps."""
    n = len(similar)
    similar = np.nan_to_num(similar)

    def gain(tour):
        return sum(similar[tour[i - 1], tour[i]] for i in range(n))

    def greedy(start):
        tour, left = [start], set(range(n)) - {start}
        while left:
            # the smallest number among equals, so that the result repeats
            tour.append(max(sorted(left), key=lambda t: similar[tour[-1], t]))
            left.remove(tour[-1])
        return tour

    def improve(tour):
        better = True
        while better:
            better = False
            for i in range(n - 1):
                for j in range(i + 1, n):
                    a, b, c, d = tour[i - 1], tour[i], tour[j], tour[(j + 1) % n]
                    if a == c or b == d:
                        continue
                    if similar[a, c] + similar[b, d] > similar[a, b] + similar[c, d] + 1e-9:
                        tour[i:j + 1] = tour[i:j + 1][::-1]
                        better = True
        return tour

    return max((improve(greedy(start)) for start in range(n)), key=gain)


def orders(similar, groups):
    """network.orders of a configuration: cyclic shifts, neighbouring ones for similar tasks."""
    tour = circle(similar)
    tour = tour[tour.index(0):] + tour[:tour.index(0)]
    result = [None] * len(tour)
    for rank, task in enumerate(tour):
        start = rank * groups // len(tour)
        result[task] = [(start + k) % groups for k in range(groups)]
    return result
