"""Evaluations of runs, image by image, and what they say about one another."""

import json
import os
import struct

import numpy as np


class Answers:
    """The file of `virtualnet evaluate --images`: arrays (records, settings), by name."""

    def __init__(self, path):
        with open(path, "rb") as f:
            head = json.loads(f.readline())
            answer = [("label", "<u2"), ("confidence", "<f4"), ("params", "<u4"),
                      ("multiply_adds", "<u8"), ("levels", "u1", (head["blocks"],))]
            records = np.frombuffer(f.read(), [
                ("image", "<u4"), ("task", "<u2"), ("label", "<u2"),
                ("answers", answer, (len(head["settings"]),))])
        self.settings = head["settings"]
        self.names = [head["tasks"][t] for t in records["task"]]
        self.image = records["image"]
        self.task = np.array(self.names)
        self.correct = records["answers"]["label"] == records["label"][:, None]
        self.params = records["answers"]["params"].astype(float)
        self.work = records["answers"]["multiply_adds"].astype(float)

    def keys(self):
        return list(zip(self.names, self.image.tolist()))


def join(parts):
    """One network a task, as if they were one: settings must be the same."""
    whole = parts[0]
    for name in ("image", "task", "correct", "params", "work"):
        setattr(whole, name, np.concatenate([getattr(part, name) for part in parts]))
    whole.names = sum((part.names for part in parts), [])
    return whole


def task_means(task, values):
    """The mean of each task, in the order of names."""
    return np.array([values[task == name].mean() for name in np.unique(task)])


class Line:
    """Settings of one network as a line through their mean costs: between two of them, the mix that
    has the cost asked for."""

    def __init__(self, answers, indices):
        cost = {i: task_means(answers.task, answers.params[:, i]).mean() for i in indices}
        # of equal costs the first
        self.index = [i for k, i in enumerate(sorted(cost, key=cost.get))
                      if cost[i] not in [cost[o] for o in sorted(cost, key=cost.get)[:k]]]
        self.cost = [cost[i] for i in self.index]
        self.answers = answers

    def at(self, cost):
        """Each record's chance of being right at this mean cost; beyond the ends, that there."""
        correct = self.answers.correct[:, self.index].astype(float)
        if cost <= self.cost[0]:
            return correct[:, 0]
        for k in range(1, len(self.cost)):
            low, high = self.cost[k - 1], self.cost[k]
            if cost <= high:
                share = (cost - low) / (high - low)
                return (1 - share) * correct[:, k - 1] + share * correct[:, k]
        return correct[:, -1]

    def reaches(self, cost):
        """Not beyond the cheap end, where nothing of it costs as little (2 % count as equal)."""
        return cost >= 0.98 * self.cost[0]


def uniform(answers):
    return Line(answers, [i for i, s in enumerate(answers.settings) if s["by"] == "uniform"])


def bootstrap(task, differences, draws=4000, seed=1):
    """Mean over tasks of a number per record, with its 95 % interval: records are drawn again
    within each task."""
    random = np.random.default_rng(seed)
    sums = np.zeros(draws)
    names = np.unique(task)
    for name in names:
        own = differences[task == name]
        for first in range(0, draws, 500):
            picks = random.integers(0, len(own), (min(500, draws - first), len(own)))
            sums[first:first + 500] += own[picks].mean(1)
    low, high = np.percentile(sums / len(names), [2.5, 97.5])
    return task_means(task, differences).mean(), low, high


def against(answers, setting, line):
    """Per record of `answers`: right under the setting, minus right on the line at the same mean
    cost. Both must know the same images."""
    place = {key: i for i, key in enumerate(line.answers.keys())}
    order = [place[key] for key in answers.keys()]
    cost = task_means(answers.task, answers.params[:, setting]).mean()
    return answers.correct[:, setting] - line.at(cost)[order]


def store_params(path):
    """Parameters in a store, and the agent's among them."""
    with open(path, "rb") as f:
        length = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(length))
    sizes = {name: int(np.prod(entry["shape"])) for name, entry in header.items()
             if entry.get("dtype") == "F32"}
    return sum(sizes.values()), sum(n for name, n in sizes.items() if name.startswith("agent."))


def run_answers(run, split):
    """None when the run was not evaluated."""
    path = run.path(f"answers-{split}")
    return Answers(path) if os.path.exists(path) else None
