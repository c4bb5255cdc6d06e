"""What is promised is what the kernel counts: on a store of 113 MiB, as the daemon reports it."""

import sys

from harness import Daemon, check, image, infer, main, pb, store


def smallest_path():
    """Bytes of the path that skips every block: with it as the default the warm-up is small."""
    with Daemon(store("large"), default_budget_bytes=30000000) as d, d.connect() as c:
        return c.call(describe=pb.DescribeRequest()).describe.task[0].smallest.total


def fresh_growth(level):
    """(promised, growth of PSS, of its file part) of one run in a daemon that has not run it."""
    with Daemon(store("large"), default_budget_bytes=SMALLEST) as d, d.connect() as c:
        # What a first run of any path sets up once is paid before.
        c.call(infer=infer("big", image(64, 64, pb.RGB8), level=[0] * 6))
        before = d.resident()
        r = c.call(infer=infer("big", image(64, 64, pb.RGB8), level=level)).infer
        after = d.resident()
        check(list(r.level) == level, str(r))
        return r.bytes, after[0] - before[0], after[1] - before[1]


def test_growth_is_within_the_promise():
    for level in ([8] * 6, [4] * 6, [8, 0, 3, 0, 0, 1], [0, 0, 0, 0, 0, 8], [1] * 6):
        promised, growth, files = fresh_growth(level)
        print(f"     {level}: promised {promised.total}, grew {growth}, of it file {files}")
        check(growth <= promised.total, f"{level}: promised {promised.total}, grew {growth}")


def test_half_a_path_touches_half():
    """Stem and head are there before; what grows is the path's slices, 4 of 8 groups or all."""
    _, _, full = fresh_growth([8] * 6)
    promised, _, half = fresh_growth([4] * 6)
    print(f"     full path: {full} bytes of file, half: {half} of {promised.params_resident}")
    check(0.48 * full < half < 0.52 * full, f"half a path touches {half} of {full}")


def test_budget_bounds_growth():
    with Daemon(store("large"), default_budget_bytes=SMALLEST) as d, d.connect() as c:
        c.call(infer=infer("big", image(64, 64, pb.RGB8), level=[0] * 6))
        before = d.resident()[0]
        for budget in (40000000, 60000000, 80000000):
            r = c.call(infer=infer("big", image(64, 64, pb.RGB8), budget_bytes=budget)).infer
            check(r.bytes.total <= budget, str(r))
            growth = d.resident()[0] - before
            check(growth <= budget, f"budget {budget}, grew {growth}")


def peak(d, begin=False):
    """The most that was resident since the beginning, in bytes."""
    if begin:
        with open(f"/proc/{d.process.pid}/clear_refs", "w") as f:
            f.write("5")
    with open(f"/proc/{d.process.pid}/status") as f:
        return next(1024 * int(line.split()[1]) for line in f if line.startswith("VmHWM:"))


def test_reload_reads_without_keeping():
    """All that the full path needs is read and compared, 108 MiB in slices of 2.25; of it, at most
    8 MiB at once are in memory, then the six slices of a run at level 1, and the sessions."""
    stores = {"b": {"store_path": store("large")}}
    with Daemon(store("small"), stores=stores) as d, d.connect() as c:
        before = peak(d, begin=True)
        check(c.call(reload=pb.ReloadRequest(store="b")).reload.name == "b", "reload")
        grown = peak(d) - before
        parts = d.status().store_status[1]
        check(parts.parts_verified == parts.parts == 49, str(parts))
        print(f"     a reload of 113 MiB needs {grown} bytes for a moment")
        check(grown < 32 << 20, f"{grown} bytes")


def test_runs_leave_nothing_behind():
    """After the first runs of the largest path, memory stays where it is."""
    with Daemon(store("small")) as d, d.connect() as c:
        ask = infer("garment", image(28, 28), level=[4] * 4)
        for _ in range(50):
            c.call(infer=ask)
        before = d.status().pss_anon_bytes
        for _ in range(500):
            c.call(infer=ask)
        grown = d.status().pss_anon_bytes - before
        check(grown <= 256 * 1024, f"500 runs left {grown} bytes")


SMALLEST = smallest_path()
main(sys.modules[__name__])
