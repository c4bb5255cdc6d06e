#!/usr/bin/python3
"""docs/first-store.md: its configuration trains on pictures like those it speaks of, its commands
are commands, and both tasks are learned."""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import unittest

CLI, ROOT = sys.argv.pop(1), sys.argv.pop(1)
SIDE, PICTURES = 72, 24
COLOURS = {"apple": (200, 60, 50), "pear": (90, 180, 60)}


def picture(kind, state, noise):
    """A noisy disk of the kind's colour as PPM; what is bad is dark."""
    dim = 0.45 if state == "bad" else 1
    row = bytearray()
    for y in range(SIDE):
        for x in range(SIDE):
            inside = (x - SIDE / 2) ** 2 + (y - SIDE / 2) ** 2 < (SIDE / 3) ** 2
            for c in COLOURS[kind] if inside else (200, 200, 200):
                value = c * (dim if inside else 1) + noise.randrange(-30, 30)
                row.append(min(255, max(0, int(value))))
    return b"P6\n%d %d\n255\n" % (SIDE, SIDE) + bytes(row)


def write_pictures(folder, n, noise):
    for kind in COLOURS:
        for state in ("bad", "good"):
            where = os.path.join(folder, f"{kind}-{state}")
            os.makedirs(where)
            for i in range(n):
                with open(os.path.join(where, f"{i:03}.ppm"), "wb") as f:
                    f.write(picture(kind, state, noise))


class FirstStore(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(ROOT, "docs/first-store.md"), encoding="utf-8") as f:
            self.page = f.read()
        self.temporary = tempfile.TemporaryDirectory(prefix="virtualnet-first-")
        self.addCleanup(self.temporary.cleanup)

    def path(self, name):
        return os.path.join(self.temporary.name, name)

    def run_cli(self, *arguments):
        p = subprocess.run([CLI, *arguments], capture_output=True, text=True, timeout=900)
        self.assertEqual(p.returncode, 0, p.stderr)
        return p.stdout

    def test_the_page(self):
        blocks = re.findall(r"(?:^    .*\n|^\n)+", self.page, re.M)
        (text,) = [b for b in blocks if b.lstrip("\n ").startswith("{")]
        config = json.loads(text)
        # the pictures here are easier than fruit
        config["training"].update(epochs=3, batch=16, reestimate_images=64)
        config["agent_training"]["epochs"] = 1
        noise = random.Random(5)
        write_pictures(self.path("fruit/train"), PICTURES, noise)
        write_pictures(self.path("fruit/test"), 5, noise)
        with open(self.path("fruit.json"), "w", encoding="utf-8") as f:
            json.dump(config, f)
        data, run = self.path("fruit"), self.path("fruit.run")
        self.run_cli("train", self.path("fruit.json"), "--data", data, "--out", run, "--threads",
                     "2", "--quiet")
        store = os.path.join(run, "store.safetensors")
        out = self.run_cli("evaluate", store, "--data", data, "--split", "test", "--json",
                           "--quiet")
        full = {t["task"]: t for t in json.loads(out)["rows"][config["network"]["groups"]]["tasks"]}
        for task in ("kind", "state"):
            self.assertEqual(full[task]["images"], 4 * 5)
            self.assertGreaterEqual(full[task]["accuracy"], 0.8)  # chance: 0.5
        self.run_cli("report", store, "--data", data, "--quiet", "--out", self.path("r.html"))
        self.run_cli("inspect", store)

    def test_its_commands_are_commands(self):
        """Every option that the page names is in that command's help."""
        lines = re.findall(r"^    virtualnet (\w+) (.*?)(?:  #.*)?$", self.page, re.M)
        self.assertGreaterEqual({command for command, _ in lines},
                                {"train", "report", "describe", "plan", "infer"})
        for command, rest in lines:
            told = self.run_cli(command, "--help")
            for option in re.findall(r"--[\w-]+", rest):
                self.assertIn("  " + option, told)


unittest.main(verbosity=2)
