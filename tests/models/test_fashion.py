"""The shipped Fashion-MNIST model through the real daemon, on the real test images.

What its model card promises, measured again: accuracy of the ten-way task on the full path and on
half of its parameters, and an agent that is worth its bytes."""

import gzip
import os
import sys
import unittest

sys.path.insert(0, os.environ["HARNESS"])
sys.path.insert(0, os.environ["PYTHON_PACKAGE"])
import numpy as np  # noqa: E402

import harness  # noqa: E402
import virtualnet  # noqa: E402

FOLDER = "/usr/share/datasets/fashion-mnist/"
STORE = os.path.join(os.environ["SOURCE_ROOT"], "models/fashion-mnist/store.safetensors")
COUNT = int(os.environ["COUNT"])  # images; sanitizer builds take fewer
KINDS = np.array([0, 1, 0, 2, 0, 3, 0, 3, 4, 3])  # class -> label of task "kind"


def read_idx(name, skip):
    with gzip.open(FOLDER + name) as f:
        return np.frombuffer(f.read(), np.uint8, offset=skip)


IMAGES = read_idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[:COUNT]
CLASSES = read_idx("t10k-labels-idx1-ubyte.gz", 8)[:COUNT]
# What chance may take away from a share p of n images at five standard deviations.
MARGIN = 0 if COUNT == 10000 else 5 * (0.075 * 0.925 / COUNT) ** 0.5


class Fashion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = harness.Daemon(STORE, queue_limit=64)
        cls.client = virtualnet.Client(cls.daemon.socket_path, timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.daemon.stop()

    def run_all(self, task="garment", truth=CLASSES, **wishes):
        """Accuracy, and mean and largest density."""
        answers = self.client.infer_many(IMAGES, task, ahead=8, **wishes)
        right = sum(a.labels[0].index == t for a, t in zip(answers, truth))
        density = [a.density for a in answers]
        return right / len(answers), sum(density) / len(density), max(density)

    def test_full_path(self):
        full = self.client.describe("garment").tasks["garment"]
        self.assertEqual(len(full.labels), 10)
        levels = [4] * self.client.describe().blocks
        accuracy, density, _ = self.run_all(path=levels)
        self.assertEqual(density, 1)
        self.assertGreaterEqual(accuracy, 0.925 - MARGIN)

    def test_half_of_the_parameters(self):
        blocks = self.client.describe().blocks
        path = [2] * blocks
        while self.client.plan(task="garment", path=path).density > 0.5:
            path[path.index(max(path))] -= 1  # the first block: the smallest
        accuracy, density, _ = self.run_all(path=path)
        self.assertLessEqual(density, 0.5)
        self.assertGreaterEqual(accuracy, 0.91 - MARGIN)

    def test_second_task(self):
        accuracy, _, _ = self.run_all("kind", KINDS[CLASSES])
        self.assertGreaterEqual(accuracy, 0.97 - MARGIN)

    def test_agent_is_worth_its_bytes(self):
        """Not below the uniform levels of the same mean size, at two wishes to save."""
        blocks = self.client.describe().blocks
        uniform = [self.run_all(path=[level] * blocks)[:2] for level in (1, 2, 3)]
        for thrift in (0.1, 0.35):
            accuracy, density, largest = self.run_all(thrift=thrift)
            self.assertGreater(largest, density)  # it does not take one path for all images
            expected = np.interp(density, [d for _, d in uniform], [a for a, _ in uniform])
            self.assertGreaterEqual(accuracy, expected - MARGIN)

    def test_budgets_are_kept(self):
        task = self.client.describe("garment").tasks["garment"]
        for share in (0.5, 0.7, 0.9):
            budget = int(share * task.largest.total)
            for answer in self.client.infer_many(IMAGES[:200], "garment", budget_bytes=budget):
                self.assertLessEqual(answer.bytes.total, budget)


if not os.path.exists(STORE) or not os.path.isdir(FOLDER):
    sys.exit(77)
unittest.main(verbosity=2)
