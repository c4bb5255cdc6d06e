"""The memory limit holds for the whole process: what is kept is given back, what does not fit
waits, is planned again, streamed or refused, and pressure lowers what nobody asked for."""

import os
import random
import re
import sys
import threading
import time

from harness import (Daemon, check, counters, expect_error, folder, image, infer, main, pb, store,
                     until)

MIB = 1 << 20
IMAGE = image(64, 64, pb.RGB8)
FULL = [8] * 6


def held(path, **config):
    """What such a daemon holds before its first run, and at most as scratch."""
    with Daemon(path, **config) as d:
        s = d.status()
        return s.accounted_bytes


def bytes_of(path, task, img, **ask):
    """What a run may need beside its scratch."""
    with Daemon(path) as d, d.connect() as c:
        b = c.call(plan=infer(task, img, **ask)).infer.bytes
        return b.params_resident + b.io


class Peak:
    """The daemon's largest resident size from now on."""

    def __init__(self, d):
        self.file = f"/proc/{d.process.pid}/"
        self.before = self.read("VmRSS")
        with open(self.file + "clear_refs", "w") as f:
            f.write("5")

    def read(self, name):
        with open(self.file + "status") as f:
            return int(re.search(name + r":\s+(\d+)", f.read())[1]) * 1024

    def growth(self):
        return self.read("VmHWM") - self.before


def test_113_mib_within_16_mib():
    """The full path of a store of 113 MiB, streamed, says what it says otherwise."""
    with Daemon(store("large")) as d, d.connect() as c:
        truth = c.call(infer=infer("big", IMAGE, level=FULL, top_k=3)).infer
    with Daemon(store("large"), memory_limit_bytes=16 * MIB) as d, d.connect() as c:
        peak = Peak(d)
        for ask in (infer("big", IMAGE, level=FULL, top_k=3, streaming=True),
                    infer("big", IMAGE, top_k=3, streaming=True)):
            r = c.call(infer=ask).infer
            check(r.streamed and list(r.level) == FULL, str(r))
            check(r.bytes.params_resident * 10 <= truth.bytes.params_resident, str(r.bytes))
            check([x.name for x in r.label] == [x.name for x in truth.label], str(r))
            for a, b in zip(r.label, truth.label):
                check(abs(a.probability - b.probability) < 1e-4, f"{a} {b}")
        s = d.status()
        print(f"     {truth.bytes.params_resident} bytes of parameters in {r.bytes.params_resident}"
              f"; the process holds {s.fixed_bytes} before, and grew by {peak.growth()}")
        check(s.fixed_bytes + peak.growth() <= 16 * MIB, f"above the limit: {peak.growth()}")
        check(s.resident_bytes == 0, "a streamed run keeps nothing")
        e = c.error(pb.BUSY, "allow streaming", infer=infer("big", IMAGE, level=FULL))
        check((e.limit_name, e.limit) == ("memory_limit_bytes", 16 * MIB), str(e))
        check(e.needed_bytes == truth.bytes.params_resident + truth.bytes.io, str(e))


def test_a_limit_that_holds_nothing():
    """It is said at the start, and requests are refused; nothing else is wrong."""
    with Daemon(store("large"), memory_limit_bytes=2 * MIB) as d, d.connect() as c:
        check("memory limit 2.00 MiB; 0 B of it for runs" in d.log.decode(), d.log.decode())
        check('task "big": its smallest path needs' in d.log.decode(), d.log.decode())
        e = c.error(pb.BUSY, infer=infer("big", IMAGE))
        check((e.limit_name, e.retry_after_ms) == ("memory_limit_bytes", 0), str(e))


def test_a_budget_that_nobody_stated_is_what_is_left():
    base = held(store("large"))
    with Daemon(store("large"), memory_limit_bytes=base + 60 * MIB) as d, d.connect() as c:
        r = c.call(infer=infer("big", IMAGE)).infer
        check(not r.replanned and not r.streamed and 0 < r.density < 0.6, str(r))
        check(r.bytes.params_resident + r.bytes.io <= 61 * MIB, str(r.bytes))
        e = c.error(pb.BUSY, "REPLAN", infer=infer("big", IMAGE, budget_bytes=100 * MIB))
        check(e.limit_name == "memory_limit_bytes" and e.retry_after_ms == 0, str(e))
        again = c.call(infer=infer("big", IMAGE, budget_bytes=100 * MIB, when_full=pb.REPLAN)).infer
        check(again.replanned and again.level == r.level, str(again))
        c.error(pb.BAD_REQUEST, "when_full is 9", infer=infer("big", IMAGE, when_full=9))


def test_what_does_not_fit_beside_others():
    """Two workers, and room for one full path and a bit."""
    need, base = bytes_of(store("large"), "big", IMAGE), held(store("large"), workers=2)
    with Daemon(store("large"), workers=2, memory_limit_bytes=base + need + 40 * MIB) as d:
        with d.connect() as c:
            seen = set()
            for _ in range(30):  # unless this machine is so busy that the first is done by then
                c.send_bytes(b"".join(c.request(infer=infer("big", IMAGE, when_full=w), id=w)
                                      for w in (pb.WAIT, pb.REFUSE, pb.REPLAN)))
                r = {x.id: x for x in (c.receive() for _ in range(3))}
                check(list(r[pb.WAIT].infer.level) == FULL, str(r))
                if r[pb.REFUSE].WhichOneof("result") == "error":
                    e = expect_error(r[pb.REFUSE], pb.BUSY, "beside the runs that are on")
                    check(e.limit_name == "memory_limit_bytes" and e.needed_bytes == need, str(e))
                    check(e.retry_after_ms > 0, str(e))
                    seen.add("refused")
                if r[pb.REPLAN].infer.replanned:
                    b = r[pb.REPLAN].infer.bytes
                    check(b.params_resident + b.io <= 41 * MIB, str(b))
                    seen.add("planned again")
                if len(seen) == 2:
                    break
            check(len(seen) == 2, str(seen))
            until(lambda: d.status().running == 0)
            check(d.status().promised_bytes == 0, "something is still promised")


def test_configuration_says_what_becomes_of_it():
    base = held(store("large"))
    for word, answered in (("replan", True), ("refuse", False)):
        with Daemon(store("large"), memory_limit_bytes=base + 60 * MIB,
                    when_memory_full=word) as d, d.connect() as c:
            r = c.call(infer=infer("big", IMAGE, budget_bytes=100 * MIB))
            check((r.WhichOneof("result") == "infer") == answered, f"{word}: {r}")


def test_slices_are_kept_while_there_is_room():
    level = [2] * 6
    base, need = held(store("large")), bytes_of(store("large"), "big", IMAGE, level=level)
    with Daemon(store("large"), memory_limit_bytes=base + need + 8 * MIB) as d, d.connect() as c:
        c.call(infer=infer("big", IMAGE, level=level))
        kept = d.status()
        check(need * 0.9 < kept.resident_bytes <= need, str(kept))
        check([s.resident_bytes for s in kept.store_status] == [kept.resident_bytes], str(kept))
        grown = kept.pss_file_bytes
        c.call(infer=infer("big", IMAGE, level=[0, 0, 0, 0, 8, 8][::-1]))
        s = d.status()
        check(s.resident_bytes <= need + 8 * MIB, "more is kept than there is room for")
        check(s.pss_file_bytes <= grown + 9 * MIB, f"the kernel still has them: {s}")
        check(s.accounted_bytes <= s.memory_limit_bytes, str(s))


def test_status_adds_up():
    with Daemon(store("large")) as d, d.connect() as c:
        c.call(infer=infer("big", IMAGE))
        s = d.status()
        check(s.memory_limit_bytes == 0 or "control group" in d.log.decode(), str(s))
        check(s.accounted_bytes == s.fixed_bytes + MIB + s.scratch_bytes + s.buffer_bytes +
              s.resident_bytes, str(s))
        check(0 < s.pss_bytes <= s.accounted_bytes, str(s))
        check(s.cgroup_reclaimable_bytes <= s.cgroup_bytes, str(s))


class Mixed:
    """Clients with random wishes on two stores, and one that looks at the memory all the time."""

    def __init__(self, d, seed, runs):
        self.d, self.runs, self.looks, self.failure = d, runs, 0, None
        self.clients = [threading.Thread(target=self.guard, args=(self.client, seed * 10 + i))
                        for i in range(3)]
        self.busy = True
        self.looker = threading.Thread(target=self.guard, args=(self.look, 0))
        for t in self.clients + [self.looker]:
            t.start()

    def guard(self, do, seed):
        try:
            do(random.Random(seed))
        except Exception as e:  # reported by the main thread
            self.failure = e

    def ask(self, r):
        if r.random() < 0.06:
            level = [r.randrange(0, 5) if r.random() < 0.3 else 0 for _ in range(6)]
            return infer("big", IMAGE, store="other", level=level, streaming=r.random() < 0.5)
        task, img = r.choice((("garment", image(28, 28)), ("warm", image(28, 28)),
                              ("digit", image(300, 200, pb.RGB8))))
        if r.random() < 0.5:
            return infer(task, img, level=[r.randrange(5) for _ in range(4)])
        return infer(task, img, budget_bytes=r.randrange(600000, 3000000),
                     when_full=r.choice((pb.WAIT, pb.REPLAN, pb.REFUSE)),
                     streaming=r.random() < 0.3, uniform=r.random() < 0.3)

    def client(self, r):
        with self.d.connect() as c:
            for _ in range(self.runs):
                x = c.call(infer=self.ask(r))
                if x.WhichOneof("result") == "error":
                    check(x.error.code in (pb.BUSY, pb.BUDGET_TOO_SMALL), str(x))

    def look(self, _):
        with self.d.connect() as c:
            while self.busy:
                s = c.call(status=pb.StatusRequest()).status
                # what has just arrived may pass it, until a worker has made room
                check(s.accounted_bytes <= s.memory_limit_bytes + 3 * 200000, f"too much: {s}")
                self.looks += 1

    def end(self):
        for t in self.clients:
            t.join()
        self.busy = False
        self.looker.join()
        if self.failure:
            raise self.failure


def test_never_more_than_accounted():
    """Thousands of random runs at once: the peak is within the limit, and what is left at the end
    within what is accounted."""
    other = {"other": {"store_path": store("large")}}
    base = held(store("small"), workers=3, stores=other)
    for seed, room in ((1, 30 * MIB), (2, 90 * MIB)):
        with Daemon(store("small"), workers=3, stores=other,
                    memory_limit_bytes=base + room) as d:
            peak = Peak(d)
            load = Mixed(d, seed, 700)
            load.end()
            s = d.status()
            n = counters(s)
            print(f"     {n['infer_ok']} runs, {n['busy']} refused, {load.looks} looks: grew by "
                  f"{peak.growth()} of {s.memory_limit_bytes - s.fixed_bytes}; at the end "
                  f"{s.pss_bytes} of {s.accounted_bytes}")
            check(n["infer_ok"] > 1000, str(n))
            check(s.pss_bytes <= s.accounted_bytes, str(s))
            check(peak.growth() <= s.memory_limit_bytes - s.fixed_bytes, f"{peak.growth()}: {s}")


def budget(d):
    with d.connect() as c:
        r = c.call(plan=infer("garment", image(28, 28))).infer
        check(r.bytes.total <= r.budget_bytes or not r.budget_bytes, str(r))
        return r.budget_bytes


def test_pressure_lowers_default_budgets():
    path = os.path.join(folder("pressure"), "fifo")
    os.mkfifo(path)
    env = {"MEMORY_PRESSURE_WATCH": path, "MEMORY_PRESSURE_WRITE": "c29tZQ=="}
    with Daemon(store("small"), env=env, pressure_hold_ms=1500, default_budget_bytes=2000000) as d:
        check(budget(d) == 2000000, "nothing has happened yet")
        with open(path, "wb", buffering=0) as f:
            f.write(b"x")
            until(lambda: d.status().pressure_events == 1)
            check(budget(d) == 1500000, f"{budget(d)}")
            f.write(b"y")  # during the hold time
            until(lambda: d.status().pressure_events == 2)
            check(d.status().pressure_share == 0.75, "held")
            until(lambda: d.status().pressure_share < 0.75)
            check(budget(d) in (1125000, 1500000), f"{budget(d)}")
        until(lambda: d.status().pressure_share == 1)
        check(budget(d) == 2000000, "back again")
        with d.connect() as c:
            r = c.call(plan=infer("garment", image(28, 28), budget_bytes=1900000)).infer
            check(r.budget_bytes == 1900000, "who states a budget has it")
    log = d.log.decode()
    check(log.count("are down to 75 %") == 1 and "are down to 56 %" in log, log)
    check("are up to 75 %" in log and "are up to 100 %" in log, log)


def test_pressure_without_a_default_budget():
    """Then it is the full path's bytes that are lowered; and what is kept is given back."""
    path = os.path.join(folder("pressure"), "second")
    os.mkfifo(path)
    with Daemon(store("small"), env={"MEMORY_PRESSURE_WATCH": path}) as d, d.connect() as c:
        full = c.call(infer=infer("garment", image(28, 28), uniform=True)).infer
        check(d.status().resident_bytes > 0, "nothing is kept")
        with open(path, "wb", buffering=0) as f:
            f.write(b"x")
        until(lambda: d.status().pressure_events == 1)
        until(lambda: d.status().resident_bytes == 0, "what is kept is not given back")
        less = c.call(infer=infer("garment", image(28, 28), uniform=True)).infer
        check(less.budget_bytes == int(full.bytes.total * 0.75), f"{less.budget_bytes}")
        check(less.bytes.total <= less.budget_bytes and less.density < 1, str(less))


def test_pressure_that_cannot_be_watched():
    for value in ("/nonexistent/file", os.path.abspath(__file__)):
        with Daemon(store("small"), env={"MEMORY_PRESSURE_WATCH": value}) as d:
            check("memory pressure is not watched" in d.log.decode(), d.log.decode())
            check(d.status().pressure_share == 1, "a share")
    with Daemon(store("small"), env={"MEMORY_PRESSURE_WATCH": "/dev/null"}) as d:
        check("pressure" not in d.log.decode(), d.log.decode())


main(sys.modules[__name__])
