"""Well-behaved clients side by side with hostile ones, for as long as VN_SOAK_SECONDS says. Every
good request must be answered as in quiet, nothing may be left behind, and the counters must add up.
With "whole" (./check --full; 15 minutes unless told otherwise) there must also be a million good
requests in 15 minutes, and their 99th percentile may be at most three times that of quiet rounds in
between.

Then daemon and good clients go before everything else on the machine: what is tested is what the
daemon does for whom, not how the kernel shares processors. Each hostile program is a user of its
own, and all limits are the defaults, but for times, which are short so that they pass often. What
hostile clients ask for costs about as much as what good ones do. Needs root, to be several users.
"""

import array
import json
import os
import subprocess
import sys
import time

from harness import check, counters, folder, for_everybody, main, store, until

GOOD, HOSTILE = os.environ["SOAK_GOOD"], os.environ["SOAK_HOSTILE"]
GOOD_UID, HOSTILE_UID = 4000, 5000
CONNECTIONS, PER_SECOND = 4, 1600
MILLION, MILLION_SECONDS = 1000000, 900
KINDS = ("garbage", "halves", "flood", "flood", "sleeper", "churn", "dying")
QUIET_SHARE = 1 / 6
RATIO = 3
GROWTH = 8 << 20  # bytes of resident memory, of the last rounds over the first: less than one for
# each request, and more than the heap breathes (7 to 15 MiB)
EVENTS = ("requests_received", "connections", "slow_")


def go_first(priority=10):
    """For real time: a nicer value does not count against the rest of the machine."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
    except PermissionError:
        print("note: real-time scheduling is not allowed here", file=sys.stderr)


class Times:
    """Microseconds of all requests of one class."""

    def __init__(self):
        self.all = array.array("I")

    def add(self, path):
        with open(path, "rb") as f:
            self.all.frombytes(f.read())

    def percentile(self, share):
        return sorted(self.all)[int(len(self.all) * share)] if self.all else 0

    def __str__(self):
        return "p50 %d p99 %d p99.9 %d most %d us" % tuple(
            self.percentile(s) for s in (0.5, 0.99, 0.999, 1 - 1e-9))


class Good:
    """The well-behaved clients; one program for all rounds."""

    def __init__(self, d, first):
        self.process = subprocess.Popen(
            [GOOD, str(GOOD_UID), d.socket_path, str(CONNECTIONS), str(PER_SECOND)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=first and (lambda: first(11)))  # it measures, and is not to wait itself
        check(self.process.stdout.readline() == "ready\n", "the good clients do not start")
        self.right = 0
        self.times = {(k, c): Times() for k in ("quiet", "hostile") for c in ("control", "bulk")}

    def round(self, kind, seconds):
        os.chown(folder("good"), GOOD_UID, -1)
        path = os.path.join(folder("good"), "times")
        self.process.stdin.write(f"{seconds} {path}\n")
        self.process.stdin.flush()
        r = json.loads(self.process.stdout.readline())
        check(not r["wrong"] and not r["refused"] and not r["failed"] and r["right"], str(r))
        for c in ("control", "bulk"):
            self.times[kind, c].add(f"{path}.{c}")
        return r["right"]

    def end(self):
        self.process.stdin.close()
        check(self.process.wait(60) == 0, "the good clients failed")


class Hostile:
    """One program of each kind while the block runs."""

    def __init__(self, d, seed):
        self.d, self.seed = d, seed

    def __enter__(self):
        self.processes = [subprocess.Popen([HOSTILE, str(HOSTILE_UID + i), self.d.socket_path, kind,
                                            str(self.seed + i)]) for i, kind in enumerate(KINDS)]

    def __exit__(self, *_):
        for p in self.processes:
            check(p.poll() is None, f"a hostile client ended: {p.returncode}")
            p.kill()
            p.wait()


def resident(d):
    with open(f"/proc/{d.process.pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))


def descriptors(d):
    """The fewest of some moments: reading the memory's numbers takes one now and then."""
    seen = []
    for _ in range(20):
        seen.append(d.descriptors())
        time.sleep(0.01)
    return min(seen)


def settled(d):
    """What the daemon has when only the good clients are left."""
    until(lambda: d.status().connections == CONNECTIONS + 1, "hostile connections stay")
    until(lambda: d.status().running == 0, "something runs for ever")
    s = d.status()
    check((s.queue_length, s.promised_bytes) == (0, 0), str(s)[:500])
    n = counters(s)
    ended = sum(v for k, v in n.items() if not k.startswith(EVENTS))
    check(n["requests_received"] == ended + 1, str(n))  # the Status that asks
    return {"rss": resident(d), "descriptors": descriptors(d), "counters": n}


def one_round(d, good, seconds, number):
    """Quiet, then hostile. What is left after it, and how many good requests came in the latter."""
    before = counters(d.status())["infer_ok"]
    right = good.round("quiet", seconds * QUIET_SHARE)
    check(counters(d.status())["infer_ok"] - before == right, "quiet requests do not add up")
    with Hostile(d, 1000 * number):
        right = good.round("hostile", seconds * (1 - QUIET_SHARE))
    return settled(d), right


def soak(d, seconds, least, first):
    """Rounds of at most 100 s. How many good requests were answered beside hostile clients, and
    what was left after each round."""
    good = Good(d, first)
    length = seconds / max(3, round(seconds / 100))
    end = time.monotonic() + seconds
    left, right = [], 0
    while time.monotonic() < end - length / 2 or right < least:
        one, n = one_round(d, good, length, len(left))
        left.append(one)
        right += n
    good.end()
    report(good, left, right)
    return good, left


def report(good, left, right):
    n = left[-1]["counters"]
    print(f"{right} good requests beside {n['requests_received'] - n['infer_ok']} others")
    print({k: v for k, v in n.items() if v})
    print("resident KiB", [one["rss"] // 1024 for one in left],
          "descriptors", [one["descriptors"] for one in left])
    for (kind, which), times in good.times.items():
        print(f"{kind:8} {which:8} {times}", flush=True)


def judge(left):
    """Everything bad has happened, and nothing was left."""
    n = left[-1]["counters"]
    for name in ("bad_frame", "busy", "unknown_task", "abandoned", "connections_refused",
                 "slow_readers_cut", "slow_writers_cut"):
        check(n[name], f"{name} is 0: {n}")
    check(len({one["descriptors"] for one in left}) == 1, "descriptors")


def judge_whole(good, left):
    third = len(left) // 3
    first, last = (max(one["rss"] for one in some) for some in (left[:third], left[-third:]))
    check(last <= first + GROWTH, f"{last - first} bytes more")
    for which in ("control", "bulk"):
        quiet, hostile = (good.times[k, which].percentile(0.99) for k in ("quiet", "hostile"))
        check(hostile <= RATIO * quiet, f"{which}: p99 is {hostile} us, in quiet {quiet} us")


def run(whole):
    seconds = float(os.environ.get("VN_SOAK_SECONDS", MILLION_SECONDS if whole else 10))
    least = MILLION * seconds / MILLION_SECONDS if whole else 0
    first = go_first if whole else None
    with for_everybody(store("small"), preexec=first, frame_timeout_ms=500,
                       reply_timeout_ms=500) as d:
        good, left = soak(d, seconds, least, first)
        judge(left)
        if whole:
            judge_whole(good, left)


def test_side_by_side():
    run(False)


def whole():
    run(True)


if os.geteuid():
    print("not root: skipped")
    sys.exit(77)
main(sys.modules[__name__])
