"""Damage of a store is found before its first use, and not by reading all of it."""

import os
import sys
import threading

from harness import (Daemon, check, counters, fails_to_start, folder, image, infer, main, pb, store,
                     until)

BLOCKS, GROUPS = 6, 8


def smallest():
    """A default budget for the smallest path of the large store: no slice is used by default."""
    with Daemon(store("large")) as d, d.connect() as c:
        task = c.call(describe=pb.DescribeRequest()).describe.task[0]
        return dict(default_budget_bytes=task.smallest.total)


def damaged(kind, position, name="damaged"):
    """A copy of a store with one bit flipped; a negative position counts from the end."""
    path = os.path.join(folder(), name + ".safetensors")
    with open(store(kind), "rb") as f:
        data = bytearray(f.read())
    data[position] ^= 1
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.rename(path + ".new", path)
    return path


def path_of(level, **fields):
    return infer("big", image(64, 64, pb.RGB8), level=[level] * BLOCKS, top_k=5, **fields)


def answer(c, level):
    r = c.call(infer=path_of(level))
    check(r.WhichOneof("result") == "infer", str(r)[:300])
    return r.infer.label


def refused(c, part, **fields):
    return c.error(pb.STORE_DAMAGED, part, "checksum", "reload", infer=path_of(GROUPS, **fields))


def test_damaged_slice_is_found_at_first_use():
    """The last slice of the file: group 7 of block 5. Only the full path takes that group."""
    with Daemon(store("large"), **SMALLEST) as d, d.connect() as c:
        good = answer(c, GROUPS - 1)
    path = damaged("large", -1)
    with Daemon(path, **SMALLEST) as d, d.connect() as c:
        s = d.status()
        check(s.parts == 1 + BLOCKS * GROUPS, str(s))
        check((s.parts_verified, s.parts_damaged) == (1, 0), str(s))  # the always-needed part
        refused(c, "block.5.group.7")
        check(answer(c, GROUPS - 1) == good, "what is not damaged is answered as before")
        refused(c, "block.5.group.7")
        s = d.status()
        check(s.parts_damaged == 1, str(s))
        check(s.parts_verified == BLOCKS * GROUPS, str(s))  # all but that one were used
        check(counters(s)["store_damaged"] == 2, str(s))
        until(lambda: b"block.5.group.7" in d.log)
        check(d.log.count(b"block.5.group.7") == 1, d.log.decode())
        check(b"<3>" in d.log and path.encode() in d.log, d.log.decode())
        with open(store("large"), "rb") as f, open(path + ".new", "wb") as g:
            g.write(f.read())
        os.rename(path + ".new", path)
        check(c.call(reload=pb.ReloadRequest()).reload.store == "large", "reload")
        answer(c, GROUPS)
        s = d.status()
        check(s.parts_damaged == 0 and s.parts_verified == s.parts, str(s))


def test_two_workers_meet_the_same_damage():
    """Each request gets its error, whoever compares first; the log has one line."""
    with Daemon(damaged("large", -1), workers=2, **SMALLEST) as d:
        def client():
            with d.connect() as c:
                for _ in range(3):
                    refused(c, "block.5.group.7")

        threads = [threading.Thread(target=client) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        s = d.status()
        check(counters(s)["store_damaged"] == 12, str(s))
        check(s.parts_damaged == 1, str(s))
        check(d.log.count(b"block.5.group.7") == 1, d.log.decode())


def test_deadline_holds_while_slices_are_compared():
    """What was compared before the deadline stays so."""
    with Daemon(store("large"), **SMALLEST) as d, d.connect() as c:
        before = d.status().parts_verified
        for _ in range(200):
            r = c.call(infer=path_of(GROUPS, deadline_ms=1))
            check(r.error.code == pb.DEADLINE, str(r)[:300])
            if d.status().parts_verified == d.status().parts:
                break
        check(d.status().parts_verified == d.status().parts, "it never got further")
        check(before < d.status().parts, "the warm-up compared everything")


def data_start(path):
    with open(path, "rb") as f:
        return 8 + int.from_bytes(f.read(8), "little")


def test_a_start_compares_the_beginning_of_the_default_path():
    """Without a budget the large store's default is its full path; a start reads the first groups
    of it, and the first request finds what is damaged behind them."""
    start = data_start(store("large"))
    fails_to_start(damaged("large", start), "fixed", "checksum", **SMALLEST)
    with Daemon(store("large")) as d:
        slice_bytes = os.path.getsize(store("large")) // d.status().parts
        check(1 < d.status().parts_verified < d.status().parts, str(d.status()))
    fails_to_start(damaged("large", start + slice_bytes), "block.0.group.0", "default path",
                   "checksum")
    with Daemon(damaged("large", -1)) as d, d.connect() as c:
        refused(c, "block.5.group.7")


def test_damage_is_not_reloaded():
    path = os.path.join(folder(), "live.safetensors")
    os.link(store("large"), path)
    with Daemon(path) as d, d.connect() as c:
        os.rename(damaged("large", -1), path)
        c.error(pb.RELOAD_FAILED, "block.5.group.7", reload=pb.ReloadRequest())
        answer(c, GROUPS)
        check(d.status().parts_damaged == 0, "the running store")


def test_all_at_once_or_never():
    path = damaged("large", -1)
    for value in ("load", True):
        fails_to_start(path, "block.5.group.7", verify_store=value, **SMALLEST)
    for value in ("never", False):
        with Daemon(path, verify_store=value, **SMALLEST) as d, d.connect() as c:
            answer(c, GROUPS)
            check(d.status().parts_verified == d.status().parts_damaged == 0, "it was compared")
    with Daemon(store("large"), verify_store="load", **SMALLEST) as d:
        check(d.status().parts_verified == d.status().parts, "it was not compared")


def test_store_without_checksums():
    path = os.path.join(folder(), "unsummed.safetensors")
    with open(store("small"), "rb") as f:
        data = f.read()
    start = data.index(b',"checksums":"')
    end = data.index(b'}"', start) + 2
    with open(path, "wb") as f:
        f.write(data[:start] + b" " * (end - start) + data[end:])
    for value in ("first_use", "load"):
        fails_to_start(path, "no checksums", verify_store=value)
    with Daemon(path, verify_store="never") as d, d.connect() as c:
        check(c.call(infer=infer("garment", image(28, 28))).infer.label, "no answer")


# --- what a start costs ---------------------------------------------------------------------------


def cost_of_start(d):
    """(bytes read by calls, bytes of files resident, processor nanoseconds) of a daemon that has
    just become ready."""
    with open(f"/proc/{d.process.pid}/io") as f:
        read = int(f.readline().split()[1])
    base = f"/proc/{d.process.pid}/task"
    took = 0
    for task in os.listdir(base):
        with open(f"{base}/{task}/schedstat") as f:
            took += int(f.read().split()[0])
    return read, d.resident()[1], took


def test_start_does_not_grow_with_the_store():
    """113 MiB against half of one, both with a default path without slices. With "load" it does
    grow, which shows that this would be seen."""
    costs = {}
    for name, kind, config in (("small", "small", dict(default_budget_bytes=2000000)),
                               ("large", "large", SMALLEST),
                               ("load", "large", dict(verify_store="load", **SMALLEST))):
        runs = []
        for _ in range(5):
            with Daemon(store(kind), **config) as d:
                runs.append(cost_of_start(d))
        costs[name] = tuple(sorted(column)[0] for column in zip(*runs))
        print(f"     {name}: {costs[name][0]} bytes read, {costs[name][1]} resident, "
              f"{costs[name][2] / 1e6:.1f} ms")
    size = os.path.getsize(store("large"))
    check(costs["load"][0] > size, f"{costs}")
    check(costs["large"][0] < 0.02 * size, f"{costs}")
    check(costs["large"][1] < costs["small"][1] + 0.02 * size, f"{costs}")
    check(costs["large"][2] < (costs["small"][2] + costs["load"][2]) / 2, f"{costs}")


SMALLEST = smallest()
main(sys.modules[__name__])
