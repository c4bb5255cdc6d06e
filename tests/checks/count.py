"""Counts tests in meson's testlog.json: prints "PASSED FAILED SKIPPED". A program of many tests
that says how many they were (criterion, unittest) counts as so many, any other as one.

criterion does not look at how the process of a test ends, so that a leak found there fails
nothing: a sanitizer's report in the output of a passed test is a failure, and is printed below the
counts."""

import json
import re
import sys

CRITERION = re.compile(r"Synthesis: Tested: \D*(\d+)\D+Passing: \D*(\d+)\D+Failing: \D*(\d+)")
REPORT = re.compile(r"ERROR: \w+Sanitizer|runtime error: ")
COLOR = re.compile(r"\x1b\[[0-9;]*m")
UNITTEST = re.compile(r"^Ran (\d+) tests? in ", re.M)
UNITTEST_BAD = re.compile(r"\b(failures|errors|skipped|unexpected successes)=(\d+)")


def inside(text):
    """(passed, failed, skipped) as the program itself says, or None."""
    m = CRITERION.search(text)
    if m:
        return int(m[2]), int(m[3]), 0
    m = UNITTEST.search(text)
    if m:
        bad = {word: int(n) for word, n in UNITTEST_BAD.findall(text[m.end() :])}
        skipped = bad.pop("skipped", 0)
        failed = sum(bad.values())
        return max(int(m[1]) - failed - skipped, 0), failed, skipped
    return None


def output(test):
    return COLOR.sub("", test.get("stdout", "") + "\n" + test.get("stderr", ""))


def has_hidden_report(test):
    return test["result"] == "OK" and bool(REPORT.search(output(test)))


def count(test):
    said = output(test)
    result = test["result"]
    if result == "SKIP":
        return 0, 0, 1
    passed, failed, skipped = inside(said) or (0, 0, 0)
    if has_hidden_report(test):
        return max(passed - 1, 0), 1, skipped
    if result in ("OK", "EXPECTEDFAIL"):
        # The exit status is the judge: a summary that speaks of failures then was a test's subject.
        return (passed or int(not skipped), 0, skipped) if not failed else (1, 0, 0)
    return passed, max(failed, 1), skipped


def main():
    totals, hidden = [0, 0, 0], []
    try:
        with open(sys.argv[1], encoding="utf-8") as f:
            for line in f:
                test = json.loads(line)
                totals = [a + b for a, b in zip(totals, count(test))]
                if has_hidden_report(test):
                    hidden.append(test)
    except OSError:
        pass  # meson did not get so far; the caller sees that nothing ran
    print(*totals)
    for test in hidden:
        print(f"{test['name']} passed, but a sanitizer complained:\n{output(test).strip()}")


if __name__ == "__main__":
    main()
