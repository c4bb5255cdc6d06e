#!/usr/bin/python3
"""The scripts of experiments/: rows of a small scenario are trained, measured and put in tables,
and what the tables say follows from numbers that are known."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

CLI, SOURCE = sys.argv.pop(1), sys.argv.pop(1)
EXPERIMENTS = os.path.join(SOURCE, "experiments")
FASHION = "/usr/share/datasets/fashion-mnist"
if not os.path.isdir(FASHION):
    sys.exit(77)
sys.path.insert(0, EXPERIMENTS)

import numpy as np  # noqa: E402

import agreement  # noqa: E402
import measure  # noqa: E402
import scenario  # noqa: E402

BASE = {
    "name": "tiny", "seed": 1,
    "network": {
        "stem_width": 8, "groups": 4,
        "inputs": [{"name": "fashion", "width": 28, "height": 28, "color": "gray",
                    "mean": [0.286], "std": [0.353], "stem_kernel": 3, "stem_stride": 4}],
        "stages": [{"blocks": 2, "width": 8, "stride": 1, "group_width": 8}],
        "agent": {"kind": "uniform"}},
    "data": [{"name": "fashion-mnist", "format": "idx",
              "train": {"images": "fashion-mnist/train-images-idx3-ubyte.gz",
                        "labels": "fashion-mnist/train-labels-idx1-ubyte.gz"}}],
    "tasks": [
        {"name": "shoe", "input": "fashion", "data": "fashion-mnist", "labels": ["no", "yes"],
         "map": ["no", "no", "no", "no", "no", "yes", "no", "yes", "no", "yes"]},
        {"name": "long", "input": "fashion", "data": "fashion-mnist", "labels": ["no", "yes"],
         "map": ["no", "yes", "no", "yes", "no", "no", "no", "no", "no", "no"]}],
    "training": {"epochs": 1, "batch": 32, "rate": 0.05, "warmup_epochs": 0, "pad": 2,
                 "reestimate_images": 128, "auxiliary": 0.1},
    "agent_training": {"epochs": 1, "batch": 32},
}
SCENARIO = {"title": "shoes and trousers", "targets": [3500, 6000], "thrifts": [0, 0.5, 1],
            "seeds": [1], "seeds_of": {"virtualnet": [1, 2], "shared": [1, 2]},
            "without": ["random-orders", "conv"]}
ROWS = ["single", "multi", "packnet", "virtualnet", "agreeing-orders", "den", "task", "shared"]


class Scripts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="virtualnet-experiments-")
        cls.scenario = os.path.join(cls.folder.name, "tiny")
        os.mkdir(cls.scenario)
        for name, value in (("base", BASE), ("scenario", SCENARIO)):
            with open(os.path.join(cls.scenario, name + ".json"), "w") as f:
                json.dump(value, f)
        cls.out = os.path.join(cls.folder.name, "out")
        cls.first = cls.run_rows(*ROWS)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def run_rows(cls, *more):
        return subprocess.run([os.path.join(EXPERIMENTS, "run"), cls.scenario, "--out", cls.out,
                               "--tool", CLI, "--limit-images", "200", *more],
                              capture_output=True, text=True, timeout=600)

    def tables(self, *more):
        done = subprocess.run([os.path.join(EXPERIMENTS, "tables"), self.scenario, "--out",
                               self.out, *more], capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def read(self, *names):
        return scenario.read(os.path.join(self.out, "tiny", *names))

    def test_runs_once(self):
        self.assertEqual(self.first.returncode, 0, self.first.stderr)
        # two networks of one task, three densities, two seeds twice, and the row that two rest on
        self.assertEqual(self.first.stdout.count("train  "), 2 + 1 + 1 + 2 + 1 + 3 + 1 + 2 + 1)
        again = self.run_rows(*ROWS)
        self.assertEqual((again.returncode, again.stdout), (0, ""))
        other = self.run_rows("multi", "--epochs", "2")
        self.assertEqual(other.returncode, 1)
        self.assertIn("another configuration", other.stderr)
        self.assertIn("no row best", self.run_rows("best").stderr)

    def test_configurations(self):
        self.assertEqual(self.read("single", "seed-1", "task-1", "given.json")["only_tasks"],
                         ["long"])
        self.assertEqual(self.read("shared", "seed-2", "given.json")["seed"], 2)
        orders = self.read("agreeing-orders", "seed-1", "given.json")["network"]["orders"]
        self.assertEqual(sorted(orders), [[0, 1, 2, 3], [2, 3, 0, 1]])
        self.assertEqual(self.read("den-3", "seed-1", "given.json")["agent_training"],
                         {"epochs": 1, "batch": 32, "wishes": False, "density_power": 2,
                          "density": 3})

    def test_table(self):
        text = self.tables()
        rows = [[cell.strip() for cell in line.split("|")[1:-1]]
                for line in text.splitlines() if line.startswith("| ")]
        found = {(row[0], row[1]): row for row in rows if len(row) == 11}
        full = found["VirtualNet: levels, shifted orders", "level 4"]
        accuracy = [self.read("virtualnet", f"seed-{seed}", "evaluation-validation.json")
                    ["rows"][4]["accuracy"] for seed in (1, 2)]
        self.assertEqual(full[2], "2")
        self.assertEqual(full[3], f"{100 * np.mean(accuracy):.2f} ± "
                                  f"{100 * np.std(accuracy, ddof=1):.2f}")
        self.assertEqual(full[10], "")
        multi = found["one network, one level", "level 4"]
        single = found["a network for each task", "level 4"]
        self.assertEqual(multi[5], full[5])
        # two stems and two backbones; heads are there once each
        self.assertGreater(float(single[8][:-1]), 1.9 * float(multi[8][:-1]))
        self.assertIn(("PackNet in groups", "each task's own"), found)
        self.assertEqual(found["Auto-VirtualNet, shared agent", "at most 6K"][2], "2")
        self.assertRegex(found["Auto-VirtualNet, shared agent", "at most 6K"][10],
                         r"^[+-]\d+\.\d\d \([+-]\d+\.\d\d to [+-]\d+\.\d\d\)$")
        self.assertIn("random paths, each the same for every image", text)
        self.assertIn("| row | paths | beyond task-wise | beyond the cascade 1:4 |", text)
        self.assertIn("| update compliance (cosine) | block 0 | block 1 |", text)

    def test_written_into_a_page(self):
        page = os.path.join(self.folder.name, "page.md")
        with open(page, "w") as f:
            f.write("before\n<!-- begin tiny -->\nold\n<!-- end tiny -->\nafter\n")
        for _ in range(2):
            self.tables("--write", page)
            with open(page) as f:
                text = f.read()
            self.assertTrue(text.startswith("before\n<!-- begin tiny -->\n| row |"))
            self.assertTrue(text.endswith("<!-- end tiny -->\nafter\n"))
            self.assertNotIn("old", text)
            self.assertEqual(text.count("| row | paths | seeds |"), 1)


class Numbers(unittest.TestCase):
    def answers(self, correct, params):
        a = object.__new__(measure.Answers)
        a.settings = [{"by": "uniform", "level": i} for i in range(len(params))]
        a.correct, n = np.array(correct, bool), len(correct)
        a.names = ["p", "q"] * (n // 2)
        a.task, a.image = np.array(a.names), np.arange(n)
        a.params = np.tile(np.array(params, float), (n, 1))
        return a

    def test_uniform_levels_are_mixed_by_cost(self):
        u = measure.uniform(self.answers([[0, 1, 1], [0, 0, 1]], [100, 200, 400]))
        self.assertEqual(u.at(50).tolist(), [0, 0])
        self.assertEqual(u.at(125).tolist(), [0.25, 0])
        self.assertEqual(u.at(300).tolist(), [1, 0.5])
        self.assertEqual(u.at(500).tolist(), [1, 1])
        self.assertTrue(u.reaches(99))
        self.assertFalse(u.reaches(90))
        # settings in any order, some of the same cost
        u = measure.Line(self.answers([[1, 0, 0, 1], [1, 0, 1, 0]], [400, 100, 200, 200]),
                         [3, 0, 1, 2])
        self.assertEqual(u.cost, [100, 200, 400])
        self.assertEqual(u.at(150).tolist(), [0.5, 0])

    def test_images_are_paired_by_name(self):
        one, other = self.answers([[1], [1], [0], [0]], [100]), self.answers([[1]] * 4, [100])
        for name in ("image", "task", "correct", "params"):
            setattr(other, name, getattr(other, name)[::-1])
        other.names = other.names[::-1]
        difference = measure.against(one, 0, measure.uniform(other))
        self.assertEqual(difference.tolist(), [0, 0, -1, -1])

    def test_bootstrap(self):
        task = np.array(["p"] * 300 + ["q"] * 100)
        same = measure.bootstrap(task, np.full(400, 0.25))
        self.assertEqual(same, (0.25, 0.25, 0.25))
        random = np.random.default_rng(3)
        values = random.normal(0.1, 1, 400)
        mean, low, high = measure.bootstrap(task, values)
        # the mean of two means of 300 and 100: deviation sqrt(1/300 + 1/100) / 2 = 0.0577
        self.assertAlmostEqual((high - low) / 2, 1.96 * 0.0577, delta=0.012)
        self.assertLess(low, mean)
        self.assertLess(mean, high)

    def test_similar_tasks_get_neighbouring_orders(self):
        """Twelve tasks on a ring, shuffled: what was side by side is again."""
        places = np.random.default_rng(5).permutation(12)
        distance = abs(places[:, None] - places[None, :])
        similar = 1 - np.minimum(distance, 12 - distance) / 6
        tour = agreement.circle(similar)
        steps = {int(abs(places[tour[i]] - places[tour[i - 1]])) for i in range(12)}
        self.assertEqual(steps, {1, 11})
        orders = agreement.orders(similar, 4)
        self.assertEqual(sorted(order[0] for order in orders),
                         [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3)
        for a in range(12):
            for b in range(12):
                if orders[a][0] == orders[b][0]:
                    self.assertGreaterEqual(similar[a, b], 1 - 2 / 6 - 1e-9)

    def test_agreement_is_read_over_epochs(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
            for steps, value in ((1, 0.2), (3, 0.6)):
                table = [[value, None], [value, 1.0]]
                f.write(json.dumps({"agreement": {"steps": steps, "ucr": table, "cosine": table,
                                                  "tasks": table}}) + "\n")
            f.write(json.dumps({"phase": "agent"}) + "\n")
            f.flush()
            found = agreement.read(f.name)
        self.assertEqual(found["steps"], 4)
        self.assertAlmostEqual(found["ucr"][0, 0], 0.5)
        self.assertTrue(np.isnan(found["ucr"][0, 1]))
        self.assertEqual(found["tasks"][1, 1], 1)


class Shipped(unittest.TestCase):
    def test_scenarios_are_whole(self):
        for name in ("cifar100-20", "mini-imagenet-50", "three-inputs"):
            s = scenario.Scenario(os.path.join(EXPERIMENTS, name), "out")
            self.assertTrue(s.title and s.targets and s.seeds)
            for row in s.rows:
                for run in s.runs(row, ["a task"]):
                    if not run.similar():
                        self.assertEqual(run.config()["seed"], run.seed)
                    if run.backbone():
                        self.assertIn(run.backbone().row, s.rows)


unittest.main(verbosity=2)
