"""A scenario: a base configuration, and rows that change a few of its settings.

    FOLDER/base.json       a configuration for `virtualnet train`
    FOLDER/scenario.json   title, parameter targets, thrifts, seeds (seeds_of: of single rows),
                           rows that it is without
    rows.json              beside this file: every row's title, changes, and
                           on        the row whose backbone its agent is trained on
                           orders_of the row whose log says which tasks are similar
                           each      "task": a network for each task
                           variants  further changes by name, each a network of its own
                           evaluate  options of `virtualnet evaluate`

A run of a row is one network: a variant, a seed, perhaps one task. Its folder is
OUT/SCENARIO/ROW[-VARIANT]/seed-N[/task-K]."""

import copy
import json
import os

import agreement

HERE = os.path.dirname(os.path.abspath(__file__))


def read(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def merged(base, changes):
    """Objects are merged key by key; everything else is replaced."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


class Run:
    """One network of a row."""

    def __init__(self, scenario, row, variant, seed, task=None, task_index=None):
        self.scenario, self.row, self.variant, self.seed = scenario, row, variant, seed
        self.task = task
        parts = [scenario.name, row if variant is None else f"{row}-{variant}", f"seed-{seed}"]
        self.folder = os.path.join(scenario.out, *parts,
                                   *([] if task is None else [f"task-{task_index}"]))

    def path(self, name):
        return os.path.join(self.folder, name)

    def config(self):
        row = self.scenario.rows[self.row]
        config = merged(self.scenario.base, row["changes"])
        if self.variant is not None:
            config = merged(config, row["variants"][self.variant])
        config = merged(config, self.scenario.trial)
        if self.similar():
            config["network"]["orders"] = self.orders(config["network"]["groups"])
        config["seed"] = self.seed
        if self.task is not None:
            config["only_tasks"] = [self.task]
        return config

    def other(self, key):
        name = self.scenario.rows[self.row].get(key)
        return None if name is None else Run(self.scenario, name, None, self.seed)

    def backbone(self):
        """The run that this one's agent is trained on, or None."""
        return self.other("on")

    def similar(self):
        """The run that says which tasks are similar, or None."""
        return self.other("orders_of")

    def orders(self, groups):
        log = self.similar().path("log.jsonl")
        found = agreement.read(log)
        if found is None:
            raise SystemExit(f"{log} has no agreement of tasks: longer epochs, or a smaller "
                             "agreement_every")
        return agreement.orders(found["tasks"], groups)

    def evaluate_options(self):
        facts = {
            "groups": str(self.scenario.base["network"]["groups"]),
            "targets": ",".join(f"{t}-params" for t in self.scenario.targets),
            "thrifts": ",".join(map(str, self.scenario.thrifts)),
        }
        options = self.scenario.rows[self.row].get("evaluate", [])
        for name, value in facts.items():
            options = [option.replace("{" + name + "}", value) for option in options]
        return options


class Scenario:
    def __init__(self, folder, out, trial=None):
        """trial: changes to every configuration, for quick tries."""
        described = read(os.path.join(folder, "scenario.json"))
        self.name = os.path.basename(os.path.abspath(folder))
        self.out = out
        self.trial = trial or {}
        self.base = read(os.path.join(folder, "base.json"))
        self.rows = read(os.path.join(HERE, "rows.json"))
        for row in described.get("without", []):
            del self.rows[row]
        self.title = described["title"]
        self.targets = described["targets"]
        self.thrifts = described["thrifts"]
        self.seeds = described["seeds"]
        self.seeds_of = described.get("seeds_of", {})

    def runs(self, row, tasks, seeds=None):
        """All networks of a row. tasks: the names of all tasks, for rows that train each alone."""
        each = self.rows[row].get("each") == "task"
        for variant in self.rows[row].get("variants", {None: {}}):
            for seed in seeds or self.seeds_of.get(row, self.seeds):
                if not each:
                    yield Run(self, row, variant, seed)
                for k, task in enumerate(tasks if each else []):
                    yield Run(self, row, variant, seed, task, k)

    def tasks(self, data_folder):
        """Names of all tasks, those of "for_each" spelled out."""
        sets = {described["name"]: described for described in self.base["data"]}
        for task in self.base["tasks"]:
            if "for_each" not in task:
                yield task["name"]
                continue
            names = sets[task["data"]]["coarse_names"]
            with open(os.path.join(data_folder, names), encoding="utf-8") as f:
                for line in filter(None, map(str.strip, f)):
                    yield task["name"].replace("{coarse}", line)
