#!/usr/bin/python3
"""The virtualnet command trains and evaluates, on a few hundred real images.

Shown here: a run repeats byte for byte, an interrupted and resumed run ends in the same store, the
store's accuracy through the engine is the trainer's own, every kind of agent trains, and what
goes wrong says what to do."""
import copy
import json
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

CLI = sys.argv.pop(1)
FASHION = "/usr/share/datasets/fashion-mnist"
CONFIG = {
    "name": "small",
    "seed": 3,
    "network": {
        "stem_width": 8,
        "groups": 2,
        "inputs": [{"name": "fashion", "width": 28, "height": 28, "color": "gray",
                    "mean": [0.286], "std": [0.353], "stem_kernel": 3, "stem_stride": 4}],
        "stages": [{"blocks": 1, "width": 8, "stride": 1, "group_width": 8},
                   {"blocks": 1, "width": 16, "stride": 2, "group_width": 8}],
        "agent": {"kind": "shared", "embedding": 4, "hidden": 8},
    },
    "data": [{"name": "fashion-mnist", "format": "idx",
              "train": {"images": "fashion-mnist/train-images-idx3-ubyte.gz",
                        "labels": "fashion-mnist/train-labels-idx1-ubyte.gz"},
              "test": {"images": "fashion-mnist/t10k-images-idx3-ubyte.gz",
                       "labels": "fashion-mnist/t10k-labels-idx1-ubyte.gz"}}],
    "tasks": [
        {"name": "garment", "input": "fashion", "data": "fashion-mnist",
         "labels": ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]},
        {"name": "shoe", "input": "fashion", "data": "fashion-mnist",
         "labels": ["no", "yes"],
         "map": ["no", "no", "no", "no", "no", "yes", "no", "yes", "no", "yes"]}],
    "training": {"epochs": 3, "batch": 32, "rate": 0.05, "warmup_epochs": 0.5, "pad": 2,
                 "reestimate_images": 256, "average": 0.9, "auxiliary": 0.2},
    "agent_training": {"rounds": 2, "epochs": 1, "backbone_epochs": 1, "batch": 32},
}


def write_png(path, pixels, side):
    """An RGB PNG of `side` x `side` pixels, bytes in rows."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + pixels[y * side * 3:(y + 1) * side * 3] for y in range(side))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" +
                chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) +
                chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_colours(folder):
    """40 noisy 16 x 16 pictures in folders by their colour."""
    noise = random.Random(1)
    for c, name in enumerate(("blue", "green", "red")):
        os.makedirs(os.path.join(folder, "colours", name))
        for i in range(40):
            pixels = bytes(noise.randrange(120, 256) if k % 3 == 2 - c else noise.randrange(120)
                           for k in range(16 * 16 * 3))
            write_png(os.path.join(folder, "colours", name, f"{i:02}.png"), pixels, 16)


def changed(**parts):
    config = copy.deepcopy(CONFIG)
    for name, value in parts.items():
        config[name].update(value)
    return config


class Train(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="virtualnet-train-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, config, name="config.json"):
        with open(self.path(name), "w") as f:
            json.dump(config, f)
        return self.path(name)

    def start(self, config, out, *more, images=400, **options):
        return subprocess.Popen(
            [CLI, "train", self.write(config), "--out", self.path(out), "--threads", "2",
             "--limit-images", str(images), *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def train(self, config, out, *more, code=0, **options):
        process = self.start(config, out, *more, **options)
        output, errors = process.communicate(timeout=600)
        self.assertEqual(process.returncode, code, errors)
        return output + errors

    def store(self, out):
        with open(self.path(out + "/store.safetensors"), "rb") as f:
            return f.read()

    def evaluate(self, out, *more, images=400):
        result = subprocess.run(
            [CLI, "evaluate", self.path(out + "/store.safetensors"), "--json", "--quiet",
             "--limit-images", str(images), *more], capture_output=True, text=True, timeout=600)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def log(self, out):
        with open(self.path(out + "/log.jsonl")) as f:
            return [json.loads(line) for line in f]

    def test_repeats_resumes_and_agrees(self):
        self.train(CONFIG, "whole", images=1000)
        log = self.log("whole")
        # 3 epochs of the backbone, agent, one epoch of tuning, agent
        self.assertEqual([line["phase"] for line in log],
                         ["backbone"] * 3 + ["agent", "tune", "agent"])
        self.assertLess(log[2]["loss_full"], log[0]["loss_full"])
        self.assertLess(log[2]["loss_auxiliary"], log[0]["loss_auxiliary"])
        for line in log:
            self.assertGreater(line["images_per_s"], 0)
            self.assertGreater(line["gflop_per_s"], 0)
        self.train(CONFIG, "again", images=1000)
        self.assertEqual(self.store("whole"), self.store("again"))
        self.interrupt_until_done("pieces")
        self.assertEqual(self.store("whole"), self.store("pieces"))
        self.agrees_with_trainer("whole", log[4])

    def interrupt_until_done(self, out):
        """Stops the run again and again at odd moments; each time it goes on with --resume."""
        stops = 0
        for attempt in range(60):
            process = self.start(CONFIG, out, *(["--resume"] if attempt else []), images=1000)
            time.sleep(0.3 + 0.1 * attempt)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=600)
            if process.returncode == 0:
                break
            if process.returncode in (-signal.SIGINT, 130):  # before it was ready to be stopped
                continue
            self.assertEqual(process.returncode, 6, errors)
            self.assertIn("--resume", errors)
            self.assertFalse(os.path.exists(self.path(out + "/store.safetensors")))
            stops += 1
        self.assertEqual(process.returncode, 0)
        self.assertGreaterEqual(stops, 2, "the run was too short to be interrupted")

    def agrees_with_trainer(self, out, line):
        """The last backbone epoch's validation was after re-estimation, on these very images."""
        rows = {row["setting"].get("level"): row for row in self.evaluate(out, images=1000)["rows"]
                if row["setting"]["by"] == "uniform"}
        for level, key in ((2, "validation_full"), (1, "validation_half")):
            tasks = rows[level]["tasks"]
            images = sum(task["images"] for task in tasks)
            accuracy = sum(task["correct"] for task in tasks) / images
            self.assertAlmostEqual(accuracy, line[key], delta=0.001 + 0.5 / images)

    def test_every_agent(self):
        for kind in ("uniform", "task", "conv"):
            with self.subTest(kind=kind):
                agent = {"kind": kind}
                self.train(changed(network={"agent": agent},
                                   training={"epochs": 1}), kind, "--quiet")
                found = self.evaluate(kind, "--split", "test")
                self.assertEqual(found["agent"], kind)
                by = {row["setting"]["by"] for row in found["rows"]}
                self.assertEqual(by, {"uniform", kind})
                for row in found["rows"]:
                    self.assertEqual(row["tasks"][0]["images"] + row["tasks"][0]["too_small"], 400)
                    self.assertGreaterEqual(row["params_max"], row["params_mean"])

    def header(self, out):
        store = self.store(out)
        length = struct.unpack("<Q", store[:8])[0]
        header = json.loads(store[8:8 + length])
        return header, json.loads(header["__metadata__"]["network"]), store[8 + length:]

    def backbone(self, out):
        """Every tensor but the agent's, by name."""
        header, _, data = self.header(out)
        return {name: data[slice(*entry["data_offsets"])] for name, entry in header.items()
                if not name.startswith(("agent.", "pad.", "__"))}

    def test_agents_on_one_backbone(self):
        alone = changed(network={"agent": {"kind": "uniform"}}, training={"epochs": 1})
        self.train(alone, "base")
        once = changed(training={"epochs": 1}, agent_training={"rounds": 1})
        self.train(once, "first", "--backbone", self.path("base"))
        self.assertEqual([line["phase"] for line in self.log("first")], ["agent"])
        self.assertEqual(self.backbone("base"), self.backbone("first"))
        levels = [self.evaluate(out)["rows"][:3] for out in ("base", "first")]
        for one, other in zip(*levels):
            self.assertEqual(one["accuracy"], other["accuracy"])
        record = self.header("first")[1]["training"]
        self.assertEqual(record["backbone"]["configuration"], alone)
        self.assertEqual(record["configuration"], once)
        # a store of a run that took another backbone is another store; the same is the same
        self.train(once, "again", "--backbone", self.path("base/store.safetensors"))
        self.assertEqual(self.store("first"), self.store("again"))
        said = self.train(once, "again", "--resume", code=4)
        self.assertIn("--backbone", said)

    def test_tuning_a_backbone_from_a_store(self):
        """Statistics are found again: the backbone that is tuned is the one that was stored."""
        alone = changed(network={"agent": {"kind": "uniform"}})
        self.train(alone, "base", images=1000)
        tuned = changed(training={"rate": 1e-5})
        self.train(tuned, "tuned", "--backbone", self.path("base"), images=1000)
        self.assertEqual([line["phase"] for line in self.log("tuned")], ["agent", "tune", "agent"])
        self.assertNotEqual(self.backbone("base"), self.backbone("tuned"))
        loss = self.log("base")[-1]["loss_full"]
        # with gamma and statistics in disorder the loss would be that of a fresh network, 1.5
        self.assertLess(self.log("tuned")[1]["loss_full"], loss + 0.1)
        before, after = (self.evaluate(out, images=1000)["rows"] for out in ("base", "tuned"))
        for level in (1, 2):
            self.assertAlmostEqual(before[level]["accuracy"], after[level]["accuracy"], delta=0.06)

    def test_a_backbone_that_does_not_fit(self):
        alone = changed(network={"agent": {"kind": "uniform"}}, training={"epochs": 1})
        self.train(alone, "base", images=100)
        for part, value, said in (
                ("network", {"orders": "same"}, "its task 1 differs"),
                ("network", {"groups": 4}, '"groups"'),
                ("network", {"agent": {"kind": "uniform"}}, "nothing would be trained"),
        ):
            self.assertIn(said, self.train(changed(**{part: value}), f"wrong-{said[:6]}",
                                           "--backbone", self.path("base"), images=100, code=4))
        self.train(CONFIG, "nowhere", "--backbone", self.path("absent"), images=100, code=4)

    def test_one_task_and_a_seed(self):
        config = changed(network={"agent": {"kind": "uniform"}}, training={"epochs": 1})
        self.train(config, "shoe", "--task", "shoe", "--seed", "5", images=200)
        _, network, _ = self.header("shoe")
        self.assertEqual([task["name"] for task in network["tasks"]], ["shoe"])
        self.assertEqual(network["tasks"][0]["order"], [1, 0])  # the second of two tasks
        written = network["training"]["configuration"]
        self.assertEqual((written["seed"], written["only_tasks"]), (5, ["shoe"]))
        rows = self.evaluate("shoe", images=200)["rows"]
        self.assertEqual([task["task"] for task in rows[0]["tasks"]], ["shoe"])
        self.train(config, "other", "--task", "shoe", images=200)
        self.assertNotEqual(self.store("shoe"), self.store("other"))
        said = self.train(config, "none", "--task", "boot", code=4)
        self.assertIn('there is no task "boot"', said)

    def test_tasks_in_sequence(self):
        """What the first task trained does not depend on what the second one is."""
        settings = {"network": {"agent": {"kind": "uniform"}, "orders": "same"},
                    "training": {"epochs": 2, "packnet": True, "mixed_paths": 0, "auxiliary": 0}}
        config = changed(**settings)
        self.train(config, "shoe", images=600)
        config["tasks"][1]["map"] = ["yes"] + ["no"] * 9
        self.train(config, "shirt", images=600)
        shoe, shirt = self.backbone("shoe"), self.backbone("shirt")
        # of four slices the first two, those of group 0, are the first task's
        for name, numbers in shoe.items():
            first = name.startswith(("input.", "task.0.")) or ".group.0." in name
            self.assertEqual(numbers == shirt[name], first, name)
        self.assertEqual([line["task"] for line in self.log("shoe")], [0, 0, 1, 1])
        for line in self.log("shoe"):
            self.assertNotIn("validation_half", line)
        rows = self.evaluate("shoe", images=600)["rows"]
        self.assertEqual([row["setting"] for row in rows], [{"by": "own"}])
        self.assertEqual([task["mean_levels"] for task in rows[0]["tasks"]], [[1, 1], [2, 2]])
        for task, line in zip(rows[0]["tasks"], (self.log("shoe")[1], self.log("shoe")[3])):
            self.assertAlmostEqual(task["accuracy"], line["validation_full"], delta=0.005)

    def test_agreement_of_tasks(self):
        alone = {"agent": {"kind": "uniform"}}
        self.train(changed(network=alone, training={"epochs": 2}), "plain")
        self.train(changed(network=alone, training={"epochs": 2, "agreement_every": 5}), "looked")
        self.assertEqual(self.backbone("plain"), self.backbone("looked"))
        for line in self.log("looked"):
            found = line["agreement"]
            # 400 images twice, 32 a step: 25 steps, of which every fifth
            self.assertEqual(found["steps"], 5)
            self.assertEqual([len(row) for row in found["ucr"]], [2, 2])
            self.assertEqual(found["tasks"][0][1], found["tasks"][1][0])
            self.assertEqual(found["tasks"][0][0], 1)
            for row in found["cosine"]:
                for cosine in row:
                    self.assertLess(abs(cosine), 1)
        self.assertNotIn("agreement", self.log("plain")[0])

    def test_one_level(self):
        self.train(changed(network={"agent": {"kind": "uniform"}},
                           training={"epochs": 1, "mixed_paths": 0}), "multi", images=200)
        levels = [row["setting"]["level"] for row in self.evaluate("multi", images=200)["rows"]]
        self.assertEqual(levels, [2])
        self.assertNotIn("validation_half", self.log("multi")[0])

    def test_an_agent_without_wishes(self):
        """Density alone decides: with a heavy one, paths are low."""
        self.train(changed(network={"agent": {"kind": "uniform"}}, training={"epochs": 1}), "base")
        used = []
        for density in (0, 30):
            config = changed(network={"agent": {"kind": "task"}}, training={"epochs": 1},
                             agent_training={"wishes": False, "density": density, "rounds": 1,
                                             "epochs": 8, "rate": 0.03})
            self.train(config, f"den-{density}", "--backbone", self.path("base"))
            row, = [row for row in self.evaluate(f"den-{density}")["rows"]
                    if row["setting"]["by"] == "task"]
            self.assertEqual((row["setting"]["budget_share"], row["setting"]["thrift"]), (1, 1))
            used.append(row["params_mean"])
        self.assertGreater(used[0], used[1] * 1.2)

    def test_two_inputs(self):
        """Gray IDX images and coloured PNG files of another size, in one network."""
        data = self.path("data")
        write_colours(data)
        os.symlink(FASHION, os.path.join(data, "fashion-mnist"))
        config = changed(training={"epochs": 4, "batch": 16})
        config["network"]["inputs"].append(
            {"name": "colour", "width": 12, "height": 12, "color": "rgb",
             "mean": [0.4, 0.4, 0.4], "std": [0.3, 0.3, 0.3], "stem_kernel": 3, "stem_stride": 1})
        config["data"].append({"name": "colours", "format": "folders",
                               "train": {"images": "colours"}})
        config["tasks"].append({"name": "colour", "input": "colour", "data": "colours"})
        self.train(config, "two", "--data", data)
        rows = self.evaluate("two", "--data", data)["rows"]
        scores = {task["task"]: task for task in rows[2]["tasks"]}
        self.assertEqual(scores["colour"]["images"], 12)  # the last 10 % of 3 classes of 40
        # Noise of two thirds of the range cannot hide which channel is bright.
        self.assertGreater(scores["colour"]["accuracy"], 0.9)
        self.assertGreater(scores["shoe"]["accuracy"], 0.6)

    def test_limits_hold(self):
        self.train(changed(training={"epochs": 1}), "limits")
        full = self.evaluate("limits")["rows"][2]
        limit = int(full["params_mean"] * 0.7)
        for row in self.evaluate("limits", "--budgets", f"{limit}-params",
                                 "--thrift", "0,1")["rows"][3:]:
            self.assertEqual(row["too_small"], 0)
            self.assertLessEqual(row["params_max"], limit)
            self.assertGreater(row["agent_share"], 0)

    def records(self, name):
        """The file of --images: its head, and for each record (task, label, answers)."""
        with open(self.path(name), "rb") as f:
            head, data = json.loads(f.readline()), f.read()
        self.assertEqual(len(data), head["records"] * head["record_bytes"])
        answer = struct.Struct(f"<HfIQ{head['blocks']}B")
        records = []
        for at in range(0, len(data), head["record_bytes"]):
            _, task, label = struct.unpack_from("<IHH", data, at)
            answers = [answer.unpack_from(data, at + 8 + i * answer.size)
                       for i in range(len(head["settings"]))]
            records.append((task, label, answers))
        return head, records

    def test_cascades_random_paths_and_every_answer(self):
        self.train(changed(training={"epochs": 1}), "all")
        levels = self.evaluate("all")["rows"][:3]
        limit = int(levels[2]["params_mean"] * 0.9)
        found = self.evaluate("all", "--cascade", "1:2", "--thresholds", "0,0.8,1", "--random", "3",
                              "--budgets", f"{limit}-params", "--thrift", "0,1",
                              "--images", self.path("answers"))["rows"]
        names = [row["setting"]["by"] for row in found]
        self.assertEqual(names, ["uniform"] * 3 + ["shared"] * 2 + ["cascade"] * 3 + ["path"] * 3 +
                         ["random"])
        never, some, always = found[5:8]
        self.assertEqual(never["accuracy"], levels[1]["accuracy"])
        self.assertEqual(never["multiply_adds"], levels[1]["multiply_adds"])
        self.assertEqual(always["accuracy"], levels[2]["accuracy"])
        self.assertEqual(always["params_mean"], levels[2]["params_mean"])
        self.assertAlmostEqual(always["multiply_adds"], sum(row["multiply_adds"]
                                                            for row in levels[1:]), delta=0.5)
        self.assertLess(never["params_mean"], some["params_mean"])
        self.assertLess(some["params_mean"], always["params_mean"])
        self.assertEqual(levels[1]["agent_share"], 0)
        self.assertLessEqual(found[11]["params_max"], limit)
        self.agrees_with_records(found, *self.records("answers"))

    def agrees_with_records(self, rows, head, records):
        self.assertEqual(head["settings"], [row["setting"] for row in rows])
        self.assertEqual(head["split"], "validation")
        for task, scores in enumerate(rows[0]["tasks"]):
            self.assertEqual(head["tasks"][task], scores["task"])
            own = [record for record in records if record[0] == task]
            for i, row in enumerate(rows):
                self.assertEqual(sum(answers[i][0] == label for _, label, answers in own),
                                 row["tasks"][task]["correct"])
                self.assertAlmostEqual(sum(answers[i][2] for _, _, answers in own) / len(own),
                                       row["tasks"][task]["params_mean"], places=3)
        for _, _, answers in records:
            sure = answers[1][1] >= 0.8
            self.assertEqual(answers[6][0], answers[1 if sure else 2][0])
            self.assertEqual(answers[6][2], answers[1 if sure else 2][2])
        for i in range(8, 11):  # static paths
            self.assertEqual({answers[i][4:] for _, _, answers in records},
                             {tuple(rows[i]["setting"]["levels"])})
        self.assertGreater(len({answers[11][4:] for _, _, answers in records}), 3)

    def test_settings_that_make_no_sense(self):
        self.train(changed(network={"agent": {"kind": "uniform"}}, training={"epochs": 1}), "one",
                   images=100)
        for options, said in ((["--cascade", "2:1"], "rising"), (["--cascade", "1"], "rising"),
                              (["--cascade", "1:3"], "at most 2"),
                              (["--thresholds", "0.5"], "--cascade"),
                              (["--cascade", "1:2", "--thresholds", "2"], "from 0 to 1"),
                              (["--random", "0"], "--random"), (["--budgets", "40%"], "no agent"),
                              (["--random", "1", "--budgets", "4x"], "a budget is")):
            result = subprocess.run([CLI, "evaluate", self.path("one/store.safetensors"), *options],
                                    capture_output=True, text=True, timeout=600)
            self.assertEqual(result.returncode, 2, options)
            self.assertIn(said, result.stderr)

    def test_plot(self):
        self.train(changed(training={"epochs": 1}), "plot", images=100)
        picture = self.path("plot.svg")
        self.evaluate("plot", "--plot", picture)
        with open(picture) as f:
            text = f.read()
        self.assertIn("<svg", text)
        self.assertIn("uniform levels", text)
        self.assertIn("agent, hard limit, shared", text)

    def test_complaints(self):
        said = self.train(changed(training={"epochs": 0}), "no", code=4)
        self.assertIn("training.epochs", said)
        wrong = copy.deepcopy(CONFIG)
        wrong["data"][0]["train"]["images"] = "fashion-mnist/absent.gz"
        said = self.train(wrong, "absent", code=4)
        self.assertIn("absent.gz", said)
        self.train(changed(training={"epochs": 1}), "used", images=100)
        said = self.train(CONFIG, "used", images=100, code=4)
        self.assertIn("--resume", said)
        said = self.train(CONFIG, "used", "--resume", images=100, code=4)
        self.assertIn("another configuration", said)

    def test_no_validation(self):
        config = changed(training={"epochs": 1}, network={"agent": {"kind": "uniform"}})
        config["validation_share"] = 0
        self.train(config, "all", images=100)
        self.assertNotIn("validation_full", self.log("all")[0])
        self.assertEqual(self.log("all")[0]["samples"] // 32 * 32, 192)  # 100 images, two tasks

    def test_damaged_checkpoint(self):
        self.train(changed(training={"epochs": 1}), "damaged", images=100)
        with open(self.path("damaged/checkpoint"), "r+b") as f:
            f.seek(5000)
            f.write(b"\xff\xff\xff\xff")
        said = self.train(changed(training={"epochs": 1}), "damaged", "--resume", images=100,
                          code=4)
        self.assertIn("damaged", said)

    def test_diverging_keeps_the_checkpoint(self):
        config = changed(training={"epochs": 2, "rate": 10, "weight_decay": 1,
                                   "momentum": 0.99, "warmup_epochs": 0})
        process = self.start(config, "wild", images=400)
        _, errors = process.communicate(timeout=600)
        self.assertEqual(process.returncode, 4)
        self.assertIn("rate", errors)

    def test_full_disk(self):
        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        said = self.train(CONFIG, "full", images=100, code=4, preexec_fn=small_files)
        self.assertIn("checkpoint", said)
        self.assertFalse(os.path.exists(self.path("full/checkpoint")))


if not os.path.isdir(FASHION):
    sys.exit(77)
unittest.main(verbosity=2)
