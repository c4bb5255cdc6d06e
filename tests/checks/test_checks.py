"""The checks of the tree can fail: each is shown trees with one fault and must name it, and a tree
without fault and must be content. Also the counting of tests and the list of packages."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import cards
import count
import layers
import links
import promises
import style
import tour

GOOD = {
    "base/a.h": "#pragma once\n\n#include <stdio.h>\n",
    "engine/e.h": '#pragma once\n\n#include "base/a.h"\n',
    "engine/e.c": '#include "engine/e.h"\n\n/* never exit() here */\nint vn_e = 0;\n',
    "proto/p.h": '#include "proto/virtualnet.pb-c.h"\n',
    "daemon/main.c": '#include "engine/e.h"\n\nint main(void)\n{\n    exit(1);\n}\n',
    "clients/cli/c.c": '#include "engine/e.h"\n',
    "docs/A.md": "# A head, line\n\n[b](../base/a.h) [c](#a-head-line) [d](https://x.y/)\n",
    "docs/TOUR.md": "1. `base/a.h` - It.\n2. `engine/e.h`, `engine/e.c` - It.\n"
    "3. `proto/p.h` - It.\n4. `daemon/main.c`, `clients/cli/c.c` - It.\n",
    "docs/security.md": "| promise | held by |\n|---|---|\n"
    "| it is | `tests/a/test_a.py` (`all`, `is`), `tests/b.c` |\n",
    "tests/a/test_a.py": "def test_all():\n    pass\n\n\ndef test_is():\n    pass\n",
    "tests/b.c": "int vn_b = 0;\n",
    "models/README.md": "## What a card says\n\n| heading | says |\n|---|---|\n| Data | it |\n",
    "models/table.py": "def table(e):\n    return '| a |\\n| ' + str(e['rows']) + ' |'\n",
    "models/m/README.md": "# M\n\n## Data\n\n| a |\n| 7 |\n",
    "models/m/evaluation-test.json": '{"rows": 7}\n',
}


class Tree(unittest.TestCase):
    def run_check(self, check, changes):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**GOOD, **changes}.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8", newline="") as f:
                    f.write(text)
            complaints, looked_at = check.check(root)
            self.assertGreater(looked_at, 0)
            return complaints

    def blames(self, check, path, text, *expected):
        complaints = self.run_check(check, {path: text})
        self.assertEqual(len(complaints), 1, complaints)
        for word in expected:
            self.assertIn(word, complaints[0])

    def test_good_tree(self):
        for check in (cards, layers, links, promises, style, tour):
            self.assertEqual(self.run_check(check, {}), [], check.__name__)

    def test_promises(self):
        def page(cell):
            return f"| promise | held by |\n|---|---|\n| it is | {cell} |\n"

        for cell, word in (
            ("people", "names no test"),
            ("`tests/c.c`", "tests/c.c does not exist"),
            ("`tests/a/test_a.py` (`all`, `isnt`)", "has no isnt"),
        ):
            self.blames(promises, "docs/security.md", page(cell), word)

    def test_layers(self):
        for path, name in (
            ("base/a.h", "engine/e.h"),  # an earlier layer includes a later one
            ("engine/e.c", "proto/p.h"),  # neighbours
            ("train/t.c", "daemon/main.c"),
            ("daemon/d.c", "train/t.h"),
            ("clients/c/c.c", "engine/e.h"),  # the command line may, the library may not
        ):
            text = f'#include "base/a.h"\n#  include "{name}"\n'
            self.blames(layers, path, text, f"{path}:2:", "may include only")
        self.blames(layers, "engine/e.c", '#include "e.h"\n', "no layer")
        self.blames(layers, "engine/e.c", '#include "base/none.h"\n', "does not exist")
        self.blames(layers, "engine/e.c", "#include <base/a.h>\n", "quotes")

    def test_style(self):
        self.blames(style, "base/b.c", "int a; \n", "base/b.c:1:", "blank")
        self.blames(style, "base/b.c", "int a;\r\n", "carriage")
        self.blames(style, "base/b.c", "\tint a;\n", "tab")
        self.blames(style, "base/b.c", "int a;", "no newline")
        self.blames(style, "base/b.c", "int a;\n\n", "blank lines")
        self.blames(style, "base/b.c", "int " + "a" * 100 + ";\n", "105 columns")
        self.blames(style, "engine/e.c", "void f(void)\n{\n    exit(1);\n}\n", "engine/e.c:3:")
        self.blames(style, "base/b.c", "x = alloca(3);\n", "bounds")
        self.blames(style, "docs/B.md", "TO" + "DO: more\n", "unfinished")
        self.blames(style, "docs/B.md", "see /ho" + "me/me/x\n", "one machine")

    def test_links(self):
        self.blames(links, "docs/B.md", "[x](none.md)\n", "none.md does not exist")
        self.blames(links, "docs/B.md", "[x](A.md#no)\n", "no such heading")
        self.blames(links, "docs/B.md", "[x](../../x)\n", "out of the tree")

    def test_tour(self):
        self.blames(tour, "base/z.c", "int z;\n", "base/z.c is not named")
        good = GOOD["docs/TOUR.md"]
        self.blames(tour, "docs/TOUR.md", good + "5. `base/y.c` - It.\n", "base/y.c does not exist")
        self.blames(tour, "docs/TOUR.md", good + "7. `docs/A.md` - It.\n", "item 7 should be 5")
        self.blames(tour, "docs/TOUR.md", good + "5. base/a.h - It.\n", "not of the form")
        self.blames(tour, "docs/TOUR.md", good + "5. `base/a.h` - It.\n", "named twice")

    def test_cards(self):
        card = GOOD["models/m/README.md"]
        self.blames(cards, "models/m/README.md", card + "\n## More\n", "headings", "More")
        self.blames(cards, "models/m/README.md", card.replace("7", "8"), "evaluation-test.json")
        self.blames(cards, "models/m/evaluation-test.json", '{"rows": 8}\n', "models/table.py")


class Count(unittest.TestCase):
    def test_criterion(self):
        blue = "[\x1b[0;34m====\x1b[0m]"
        said = f"{blue} Synthesis: Tested: 5 | Passing: 3 | Failing: 2 | Crashing: 1 "
        self.assertEqual(count.count({"result": "FAIL", "stderr": said}), (3, 2, 0))
        said = "[====] Synthesis: Tested: 5 | Passing: 5 | Failing: 0 | Crashing: 0 "
        self.assertEqual(count.count({"result": "OK", "stderr": said}), (5, 0, 0))
        # All passed inside, but the process itself did not: a leak found at its end, say.
        self.assertEqual(count.count({"result": "FAIL", "stderr": said}), (5, 1, 0))

    def test_report_in_a_passed_test(self):
        said = "[====] Synthesis: Tested: 5 | Passing: 5 | Failing: 0 | Crashing: 0 "
        leak = "==7==ERROR: LeakSanitizer: detected memory leaks\n"
        self.assertEqual(count.count({"result": "OK", "stderr": leak + said}), (4, 1, 0))

    def test_unittest(self):
        said = "Ran 7 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=1)\n"
        self.assertEqual(count.count({"result": "FAIL", "stderr": said}), (3, 3, 1))

    def test_plain(self):
        self.assertEqual(count.count({"result": "OK", "stdout": "hello"}), (1, 0, 0))
        self.assertEqual(count.count({"result": "TIMEOUT"}), (0, 1, 0))
        self.assertEqual(count.count({"result": "SKIP"}), (0, 0, 1))


class Packages(unittest.TestCase):
    def shell(self, script):
        command = f'. "{HERE}/install.sh"; {script}'
        return subprocess.run(
            ["bash", "-c", command], check=True, capture_output=True, text=True
        ).stdout.split()

    def test_sections(self):
        self.assertIn("gcc", self.shell("packages_list build"))
        self.assertNotIn("gcc", self.shell("packages_list run test full"))
        self.assertEqual(self.shell("packages_list no-such-section"), [])
        everything = self.shell("packages_list build run test full")
        self.assertEqual(len(everything), len(set(everything)))

    def test_missing(self):
        # bash is essential, so installed; the beginning of its name is no package.
        names = "bash\\nno-such-package\\nbas\\n"
        self.assertEqual(self.shell(f"printf '{names}' | packages_missing"),
                         ["no-such-package", "bas"])


if __name__ == "__main__":
    unittest.main()
