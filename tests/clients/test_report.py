#!/usr/bin/python3
"""virtualnet report: the page is whole, stands alone, takes no name for markup, and says what it
does not know."""
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import trained

CLI = sys.argv.pop(1)
VOID = {"meta", "link", "img", "br"}
OK, USAGE, INPUT, SYSTEM = 0, 2, 4, 5
SETTINGS = 3 + 6 + 6  # levels 0 to 2, six limits, six thrifts
EPOCHS = {"backbone": 2, "agent": 2}


class Page(html.parser.HTMLParser):
    """Balanced elements, their attributes, and the text by section."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.section = [], [], ""
        self.text = {"": ""}
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), self.section))
        if tag == "section":
            self.section = dict(attributes)["id"]
            self.text[self.section] = ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), self.section))

    def handle_endtag(self, tag):
        last = self.open.pop()
        assert last == tag, f"</{tag}> ends <{last}> at {self.getpos()}"
        if tag == "section":
            self.section = ""

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text[self.section] += data

    def count(self, word, section=None):
        return sum(word in a.get("class", "").split() for _, a, s in self.elements
                   if section in (None, s))


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="virtualnet-report-")
        cls.folder = cls.temporary.name
        cls.store = trained.train(CLI, os.path.join(cls.folder, "run"))

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_cli(self, *arguments, code=OK, env=None):
        p = subprocess.run([CLI, *arguments], capture_output=True, text=True, timeout=600,
                           env={**os.environ, **(env or {})})
        self.assertEqual(p.returncode, code, p.stderr)
        self.assertNotIn("Sanitizer", p.stderr)
        return p.stdout, p.stderr

    def report(self, *more, store=None, env=None):
        out = self.path("page.html")
        self.run_cli("report", store or self.store, "--quiet", "--limit-images", "200", "--threads",
                     "2", "--out", out, *more, env=env)
        self.assertFalse(os.path.exists(out + ".new"))
        with open(out, encoding="utf-8") as f:
            self.source = f.read()
        return Page(self.source)

    def test_the_whole_page(self):
        page = self.report("--split", "test")
        self.assertEqual(list(page.text)[1:], ["curves", "budgets", "tasks", "levels", "images",
                                               "agreement", "training", "made"])
        # every setting in two charts, but the lowest level where it lies far below
        marks = page.count("mark", "curves")
        self.assertIn(marks, (2 * SETTINGS, 2 * SETTINGS - 2))
        self.assertEqual(marks < 2 * SETTINGS, "below the picture" in page.text["curves"])
        # three settings; both tasks and their mean
        cells = page.count("mark", "levels")
        self.assertEqual(cells, 3 * (trained.TASKS + 1) * trained.BLOCKS)
        # three lines of accuracy, two of loss, two of agreement; reward and density
        self.assertEqual(page.count("mark", "training"),
                         7 * EPOCHS["backbone"] + 2 * EPOCHS["agent"])
        # a pair of tasks, twice; two tasks by two blocks
        self.assertEqual(page.count("mark", "agreement"), 2 + trained.TASKS * trained.BLOCKS)
        self.assertIn("the test split: 400 images", page.text[""])  # 200, for two tasks
        self.assertIn("400 images, run", page.text["images"])
        pictures = [a for tag, a, _ in page.elements if tag == "img"]
        self.assertGreaterEqual(len(pictures), 12)
        for a in pictures:
            self.assertTrue(a["src"].startswith("data:image/png;base64,iVBORw0KGgo"), a["src"][:60])
            self.assertEqual((a["width"], a["height"]), ("28", "28"))
        shares = [int(n) for n in re.findall(r"(\d+) % of the images", page.text["images"])]
        self.assertTrue(97 <= sum(shares) <= 103, shares)  # each is rounded

    def test_stands_alone(self):
        page = self.report()
        for tag, attributes, _ in page.elements:
            self.assertNotIn(tag, ("script", "iframe", "object", "embed", "base", "form"))
            for name, value in attributes.items():
                self.assertFalse(name.startswith("on"), name)
                if name in ("src", "href"):
                    self.assertRegex(value, r"^(#|data:)")
        self.assertNotRegex(self.source, r"url\(|@import")
        self.assertEqual(re.findall(r"https?://[^\"< ]*", self.source.replace(
            "http://www.w3.org/2000/svg", "")), [])
        self.assertIn("default-src 'none'", self.source)

    def test_names_are_text(self):
        page = self.report()
        for section in ("budgets", "tasks", "levels", "agreement"):
            self.assertIn(trained.TASK, page.text[section])
        self.assertIn(trained.CONFIG["name"], page.text[""])
        self.assertTrue(any(a["alt"].startswith(trained.LABEL)
                            for tag, a, _ in page.elements if tag == "img"))
        notes = [a["title"] for tag, a, _ in page.elements if tag == "figure"]
        self.assertTrue(any(trained.TASK + ": " in note for note in notes), notes[:3])

    def test_an_evaluation_from_a_file(self):
        out, _ = self.run_cli("evaluate", self.store, "--json", "--quiet", "--split", "test",
                              "--limit-images", "200")
        with open(self.path("evaluation.json"), "w") as f:
            f.write(out)
        own = self.report("--split", "test")
        given = self.report("--split", "test", "--evaluation", self.path("evaluation.json"))
        for section in ("curves", "tasks", "levels", "images"):
            self.assertEqual(own.text[section], given.text[section])
        self.assertIn("evaluation.json", given.text[""])
        # a kind of row from a later version is left out
        e = json.loads(out)
        e["rows"].append({**e["rows"][3], "setting": {"by": "crystal ball"}})
        with open(self.path("evaluation.json"), "w") as f:
            json.dump(e, f)
        again = self.report("--split", "test", "--evaluation", self.path("evaluation.json"))
        self.assertEqual(again.text["curves"], given.text["curves"])

    def test_every_way_of_choosing_paths(self):
        out, _ = self.run_cli("evaluate", self.store, "--json", "--quiet", "--limit-images", "100",
                              "--cascade", "1:2", "--random", "2", "--budgets", "100%")
        with open(self.path("many.json"), "w") as f:
            f.write(out)
        ways = [r["setting"]["by"] for r in json.loads(out)["rows"]]
        page = self.report("--evaluation", self.path("many.json"))
        self.assertEqual(set(ways), {"uniform", "shared", "cascade", "random", "path"})
        drawn = 2 * (len(ways) - ways.count("path"))  # a path for every image is on no line
        self.assertIn(page.count("mark", "curves"), (drawn, drawn - 2))
        for word in ("cascade", "random agent", "uniform levels"):
            self.assertIn(word, page.text["curves"])

    def test_evaluations_that_do_not_fit(self):
        out, _ = self.run_cli("evaluate", self.store, "--json", "--quiet", "--limit-images", "40")
        good = json.loads(out)

        def change(f):
            e = json.loads(out)
            f(e["rows"])
            return e

        def repeat(rows):
            rows[0]["tasks"][1] = rows[0]["tasks"][0]

        for e, words in (
            (change(lambda rows: rows[0]["tasks"][0].update(task="nose")), 'no task "nose"'),
            (change(lambda rows: rows[0]["tasks"][0].update(correct=10**9)), "correct"),
            (change(lambda rows: rows[0]["tasks"][0].update(images=-1)), "images"),
            (change(lambda rows: rows[0]["tasks"][0].update(params_mean="many")), "params_mean"),
            (change(lambda rows: rows[0]["tasks"][0].update(mean_levels=[1] * 65)), "mean_levels"),
            (change(lambda rows: rows[0]["setting"].update(level=99)), "level"),
            (change(repeat), "twice"),
            ({**good, "rows": good["rows"] * 999}, "rows"), ({"rows": []}, "rows"), ([], "rows"),
        ):
            with open(self.path("bad.json"), "w") as f:
                json.dump(e, f)
            _, err = self.run_cli("report", self.store, "--evaluation", self.path("bad.json"),
                                  "--out", self.path("none.html"), code=INPUT)
            self.assertIn(words, err)
            self.assertIn("bad.json", err)
        self.assertFalse(os.path.exists(self.path("none.html")))

    def test_a_store_alone(self):
        """No data, no log: the store's own table, and sentences for the rest."""
        alone = self.path("alone.safetensors")
        shutil.copy(self.store, alone)
        env = {"VIRTUALNET_DATA": "/nonexistent"}
        page = self.report(store=alone, env=env)
        self.assertIn("the store’s own table", page.text[""])
        self.assertEqual(page.count("mark", "levels") + page.count("mark", "training"), 0)
        self.assertGreaterEqual(page.count("mark", "curves"), 2 * 3)
        self.assertIn("/nonexistent", page.text["images"])
        self.assertIn("No log", page.text["training"])
        self.assertIn("does not hold levels", page.text["levels"])
        _, err = self.run_cli("report", alone, "--data", self.folder, "--out", self.path("x"),
                              code=INPUT)
        self.assertIn("fashion-mnist", err)

    def test_a_store_without_anything(self):
        random = self.path("random.safetensors")
        subprocess.run([os.environ["MAKE_STORE"], random, "large", "<b>", "uniform"], check=True)
        page = self.report(store=random)
        self.assertEqual(list(page.text)[1:], ["images", "training", "made"])
        self.assertIn("no accuracy table", page.text[""])
        self.assertIn("<b>", page.text[""])
        self.assertIn("does not say", page.text["made"])

    def test_logs(self):
        log = self.path("log.jsonl")
        line = {"phase": "backbone", "epoch": 1, "of": 1, "loss_full": 1.5, "later": [1, {}]}
        with open(log, "w") as f:
            f.write((json.dumps(line) + "\n") * 100)
        page = self.report("--log", log)
        self.assertEqual(page.count("mark", "training"), 100)
        self.assertEqual(page.count("hidden", "training"), 100)  # too many to be seen, all there
        for text, words in (
            ('{"phase": "backbone"}\n', "epoch"), ("[1]\n", "phase"), ("{", "line 1"),
            ('{"phase": "sleep", "epoch": 1}', "phase"), ("\0\0\n", "line 1"),
            (json.dumps(line) + '\n{"phase": "agent", "epoch": 1, "reward": "x"}', "line 2"),
            (json.dumps({**line, "loss_full": 1e300}), "loss_full"),
        ):
            with open(log, "w") as f:
                f.write(text)
            _, err = self.run_cli("report", self.store, "--log", log, "--out", self.path("x"),
                                  code=INPUT)
            self.assertIn(words, err)
        with open(log, "w"):
            pass
        self.assertIn("No log", self.report("--log", log).text["training"])

    def test_agreement(self):
        """Two epochs that looked at 10 and at 30 steps count one to three."""
        def line(number, steps, ucr, pairs):
            return json.dumps({"phase": "backbone", "epoch": number, "agreement": {
                "steps": steps, "ucr": ucr, "cosine": [[0] * 2] * 2, "tasks": pairs}})

        log = self.path("agreement.jsonl")
        with open(log, "w") as f:
            f.write(line(1, 10, [[1, 0.5], [None, 0]], [[1, 0.4], [0.4, 1]]) + "\n")
            f.write(line(2, 30, [[0.2, 0.5], [None, 1]], [[1, -0.2], [-0.2, 1]]) + "\n")
        page = self.report("--log", log)
        cells = [a["title"] for tag, a, s in page.elements
                 if s == "agreement" and tag == "td" and "title" in a]
        # (10 x 0.4 + 30 x -0.2) / 40 = -0.05, for both of a pair; and the shares of updates
        self.assertEqual([c.rsplit(": ", 1)[1] for c in cells], ["-5", "-5", "40", "50", "75"])
        self.assertTrue(cells[0].startswith(trained.TASK + ", shoe"), cells[0])
        self.assertIn("40 steps", page.text["agreement"])
        self.assertIn("(-0.05)", page.text["agreement"])
        self.assertEqual(page.count("mark", "training"), 4)  # two curves of two epochs
        with open(log, "w") as f:
            f.write('{"phase": "backbone", "epoch": 1, "loss_full": 1}\n')
        self.assertNotIn("agreement", self.report("--log", log).text)
        good = [[0.5, 0.5]] * 2
        for ucr, pairs, words in (([[0.5, 0.5]], good, "ucr"), ([[0.5]] * 2, good, "list of 2"),
                                  ([[2, 0]] * 2, good, "ucr[0][0]"), (good, [[1, 2]] * 2, "tasks"),
                                  (good, [["x", 1]] * 2, "tasks"), ("x", good, "ucr"),
                                  ([5, 5], good, "list of 2")):
            with open(log, "w") as f:
                f.write(line(1, 10, ucr, pairs))
            _, err = self.run_cli("report", self.store, "--log", log, "--out", self.path("x"),
                                  code=INPUT)
            self.assertIn(words, err)

    def test_complaints(self):
        for bad in ((), ("a", "b"), ("--split", "all", "x"), ("--thrift", "2", "x"),
                    ("--threads", "0", "x"), ("--limit-images", "-1", "x"), ("--nothing", "x")):
            self.run_cli("report", *bad, code=USAGE)
        self.run_cli("report", "/nonexistent", code=INPUT)
        _, err = self.run_cli("report", self.store, "--limit-images", "20", "--out",
                              "/nonexistent/page.html", code=SYSTEM)
        self.assertIn("/nonexistent/page.html", err)
        full = self.path("full.html")
        os.symlink("/dev/full", full + ".new")
        _, err = self.run_cli("report", self.store, "--limit-images", "20", "--out", full,
                              code=SYSTEM)
        self.assertIn("cannot be written", err)
        self.assertFalse(os.path.lexists(full) or os.path.lexists(full + ".new"))


if not os.path.isdir(trained.FASHION):
    sys.exit(77)
unittest.main(verbosity=2)
