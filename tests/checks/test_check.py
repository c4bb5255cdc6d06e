"""./check itself: its last line and exit status, shown on small projects that pass, fail, skip,
leak and do not build."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = sys.argv.pop(1)

PROJECT = """project('small', 'c', version: '1', default_options: ['c_std=gnu11'])
t = executable('t', 't.c')
test('first', t)
test('second', find_program('second.sh'))
test('slow', find_program('second.sh'), suite: 'full')
"""
GOOD = "int main(void)\n{\n    return 0;\n}\n"
LEAK = """#include <stdlib.h>
void *volatile p;
int main(void)
{
    p = malloc(100);
    p = 0;
    return 0;
}
"""
WARNING = "int main(void)\n{\n    int unused;\n\n    return 0;\n}\n"
CRASH = "int main(void)\n{\n    __builtin_trap();\n}\n"


class Check(unittest.TestCase):
    def run_check(self, source, script="exit 0", arguments=()):
        with tempfile.TemporaryDirectory() as root:
            shutil.copy(os.path.join(TOP, "check"), root)
            checks = os.path.join(root, "tests/checks")
            os.makedirs(checks)
            for name in ("install.sh", "packages.txt", "count.py"):
                shutil.copy(os.path.join(TOP, "tests/checks", name), checks)
            for name, text in (
                ("meson.build", PROJECT),
                ("t.c", source),
                ("second.sh", f"#!/bin/sh\n{script}\n"),
            ):
                with open(os.path.join(root, name), "w", encoding="utf-8") as f:
                    f.write(text)
            os.chmod(os.path.join(root, "second.sh"), 0o755)
            # A run inside a run: nothing of the outer one may show through.
            environment = {k: v for k, v in os.environ.items() if not k.startswith("MESON")}
            done = subprocess.run(
                [os.path.join(root, "check"), *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
                check=False,
            )
            return done.returncode, done.stdout

    def ends(self, result, status, last_line):
        self.assertEqual((result[0], result[1].splitlines()[-1]), (status, last_line), result[1])

    def test_all_pass(self):
        # Two tests in two builds; the one of the suite "full" is left out.
        result = self.run_check(GOOD)
        self.ends(result, 0, "4 passed, 0 failed")
        self.assertEqual(len(result[1].splitlines()), 8, result[1])  # packages, 2 x 3 steps, result

    def test_failure_is_shown(self):
        result = self.run_check(GOOD, "echo the reason; exit 1")
        self.ends(result, 1, "2 passed, 2 failed")
        self.assertIn("the reason", result[1])

    def test_skip(self):
        self.ends(self.run_check(GOOD, "exit 77"), 0, "2 passed, 0 failed, 2 skipped")

    def test_crash(self):
        self.ends(self.run_check(CRASH), 1, "2 passed, 2 failed")

    def test_leak(self):
        # Only the sanitizers see it.
        result = self.run_check(LEAK)
        self.ends(result, 1, "3 passed, 1 failed")
        self.assertIn("100 byte(s) leaked", result[1])

    def test_warning_is_an_error(self):
        result = self.run_check(WARNING)
        self.ends(result, 1, "0 passed, 1 failed")
        self.assertIn("t.c:3", result[1])

    def test_usage(self):
        status, said = self.run_check(GOOD, arguments=["--help"])
        self.assertEqual(status, 0)
        self.assertIn("--full", said)
        self.assertEqual(self.run_check(GOOD, arguments=["--nonsense"])[0], 2)


if __name__ == "__main__":
    unittest.main()
