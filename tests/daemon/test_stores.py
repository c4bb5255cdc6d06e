"""Several stores by name: who answers, what is refused, and that each has its own life."""

import os
import resource
import shutil
import signal
import sys
import threading
import time

from harness import (Daemon, check, counters, expect_error, fails_to_start, folder, image, infer,
                     main, pb, store, until)
from prometheus import ask, parse

GARMENTS = ["garment", "warm", "digit"]
BIG = dict(default_budget_bytes=30000000)


def live(name):
    """A path of its own for a store that is replaced."""
    return os.path.join(folder(), f"live-{name}.safetensors")


def replace(name, source):
    """As stores are replaced: written beside, then renamed."""
    shutil.copy(source, live(name) + ".new")
    os.rename(live(name) + ".new", live(name))


def entry(path, **fields):
    return {"store_path": path, **fields}


def three(**config):
    """The default one, a twin of it with other budgets, and one with a task of its own."""
    stores = {"twin": entry(store("small", "twin"), default_budget_bytes=0,
                            task_budgets={"warm": 10 ** 8}),
              "large": entry(store("large"))}
    return Daemon(store("small"), stores=stores, store_name="first", **{**BIG, **config})


def test_who_answers():
    pixels = image(28, 28)
    with three() as d, d.connect() as c:
        for ask_for, task, name in (("", "garment", "first"), ("first", "garment", "first"),
                                    ("twin", "garment", "twin"), ("", "big", "large"),
                                    ("large", "big", "large"), ("large", "", "large")):
            for kind in ("infer", "plan"):
                r = c.call(**{kind: infer(task, pixels, store=ask_for, level=())}).infer
                check((r.store, r.task) == (name, task or "big"), str(r))
            r = c.call(describe=pb.DescribeRequest(store=ask_for, task=task)).describe
            check((r.name, [t.name for t in r.task]) == (name, [task or "big"]), str(r))


def test_who_does_not():
    pixels = image(28, 28)
    with three() as d, d.connect() as c:
        for call in (dict(infer=infer("garment", pixels, store="x/../y\n")),
                     dict(plan=infer("garment", store="x/../y\n")),
                     dict(describe=pb.DescribeRequest(store="x/../y\n")),
                     dict(status=pb.StatusRequest(store="x/../y\n")),
                     dict(reload=pb.ReloadRequest(store="x/../y\n"))):
            c.error(pb.UNKNOWN_STORE, '"x/../y?"', "first, twin, large", **call)
        c.error(pb.UNKNOWN_STORE, infer=infer("garment", pixels, store="y" * 3000))
        c.error(pb.UNKNOWN_STORE, infer=infer("garment", pixels, store=store("small")))
        c.error(pb.UNKNOWN_TASK, '"big"', "the store has garment, warm, digit",
                infer=infer("big", pixels, store="twin"))
        c.error(pb.UNKNOWN_TASK, '"x"', "garment, warm, digit", "first, twin, large",
                infer=infer("x", pixels))
        c.error(pb.UNKNOWN_TASK, "name a task", infer=infer("", pixels))
        n = counters(d.status())
        check(n["unknown_store"] == 7 and n["unknown_task"] == 3, str(n))


def test_a_task_that_two_others_have_wants_a_store():
    """The default one does not have it: neither is taken for the other."""
    with Daemon(store("large"), **BIG,
                stores={"a": entry(store("small")), "b": entry(store("small", "b"))}) as d:
        with d.connect() as c:
            e = c.error(pb.UNKNOWN_TASK, '"garment"', "a, b", "name the store",
                        infer=infer("garment", image(28, 28)))
            check("default one" in e.message, e.message)
            c.error(pb.UNKNOWN_TASK, "a, b", describe=pb.DescribeRequest(task="garment"))
            for name in "ab":
                check(c.call(infer=infer("garment", image(28, 28), store=name)).infer.store == name,
                      "named")


def test_budgets_are_the_stores_own():
    with three(task_budgets={"warm": 10 ** 7}) as d, d.connect() as c:
        want = {("first", "garment"): 30000000, ("first", "warm"): 10 ** 7,
                ("twin", "garment"): 0, ("twin", "warm"): 10 ** 8, ("large", "big"): 30000000}
        for (name, task), budget in want.items():
            r = c.call(infer=infer(task, image(28, 28), store=name)).infer
            check(r.budget_bytes == budget, f"{name} {task} {r.budget_bytes}")
        for t in c.call(status=pb.StatusRequest()).status.task:
            if (t.store, t.name) in want:
                check(t.default_budget_bytes == want[t.store, t.name], str(t))
    fails_to_start(store("small"), "warn", "it has garment, warm", task_budgets={"warn": 10 ** 7})


def test_describe_knows_all():
    with three() as d, d.connect() as c:
        r = c.call(describe=pb.DescribeRequest()).describe
        check((r.name, r.store, len(r.task)) == ("first", "small", 3), str(r))
        check([(s.name, s.network, s.loaded, list(s.task)) for s in r.known] ==
              [("first", "small", True, GARMENTS), ("twin", "twin", True, GARMENTS),
               ("large", "large", True, ["big"])], str(r.known))


def test_status_counts_each():
    with three() as d, d.connect() as c:
        c.call(infer=infer("garment", image(28, 28)))
        for _ in range(2):
            c.call(infer=infer("garment", image(28, 28), store="twin"))
        s = c.call(status=pb.StatusRequest()).status
        runs = {(t.store, t.name): t.runs for t in s.task}
        check(runs == {**{(n, t): 0 for n in ("first", "twin") for t in GARMENTS},
                       ("large", "big"): 0, ("first", "garment"): 1, ("twin", "garment"): 2},
              str(runs))
        check([t.store for t in s.task] == ["first"] * 3 + ["twin"] * 3 + ["large"], "order")
        check([t.groups for t in s.task] == [4] * 6 + [8], "groups")
        each = s.store_status
        check([x.name for x in each] == ["first", "twin", "large"], str(each))
        check([(x.loaded, x.loads, x.failed_loads) for x in each] == [(True, 1, 0)] * 3, str(each))
        check([(x.tasks, x.blocks, x.groups) for x in each] == [(3, 4, 4), (3, 4, 4), (1, 6, 8)],
              str(each))
        check(each[2].file_bytes == os.path.getsize(store("large")), str(each[2]))
        for field in ("parts", "parts_verified", "parts_damaged"):
            check(getattr(s, field) == sum(getattr(x, field) for x in each), field)
        check(0 < each[1].loaded_since_ns < s.uptime_ns, str(each[1]))
        one = c.call(status=pb.StatusRequest(store="twin")).status
        check({t.store for t in one.task} == {"twin"} and len(one.store_status) == 3, str(one))


def test_metrics_carry_the_store():
    path = os.path.join(folder("m"), "s")
    with three(metrics_socket=path) as d, d.connect() as c:
        c.call(infer=infer("garment", image(28, 28), store="twin"))
        m = parse(ask(path)[1])
        runs = m["virtualnetd_runs_total"]
        check(runs.value(store="twin", task="garment") == 1, "runs")
        check(runs.value(store="first", task="garment") == 0, "runs of another")
        check(m["virtualnetd_run_seconds"].value("_count", store="twin", task="garment") == 1,
              "times")
        check(m["virtualnetd_store_loaded"].value(store="large") == 1, "loaded")
        check(m["virtualnetd_store_bytes"].value(store="large") ==
              os.path.getsize(store("large")), "bytes")


def test_reload_of_one():
    """It is switched, and the others keep model, counts and answers."""
    replace("a", store("small"))
    replace("b", store("small", "b"))
    with Daemon(live("a"), stores={"b": entry(live("b"))}) as d, d.connect() as c:
        c.call(infer=infer("garment", image(28, 28)))
        replace("a", store("small", "a2"))
        replace("b", store("small", "b2"))
        r = c.call(reload=pb.ReloadRequest(store="b")).reload
        check((r.store, r.name, r.file_bytes) == ("b2", "b", os.path.getsize(live("b"))), str(r))
        s = d.status()
        check([(x.network, x.loads) for x in s.store_status] == [("small", 1), ("b2", 2)], str(s))
        check(s.task[0].runs == 1, "the other one's counts")
        r = c.call(reload=pb.ReloadRequest()).reload
        check((r.store, r.name) == ("a2", "default"), str(r))


def test_broken_file_of_one():
    replace("a", store("small"))
    replace("b", store("small", "b"))
    with Daemon(live("a"), stores={"b": entry(live("b"))}, verify_store="load") as d:
        with d.connect() as c:
            before = c.call(infer=infer("garment", image(28, 28), store="b", top_k=10)).infer.label
            with open(live("b"), "rb") as f:
                data = f.read()
            with open(live("b") + ".new", "wb") as f:
                f.write(data[:-1])
            os.rename(live("b") + ".new", live("b"))
            c.error(pb.RELOAD_FAILED, "live-b", "the running store stays",
                    reload=pb.ReloadRequest(store="b"))
            after = c.call(infer=infer("garment", image(28, 28), store="b", top_k=10)).infer.label
            check(before == after, "the running one was touched")
            check([x.failed_loads for x in d.status().store_status] == [0, 1], "count")
            check(c.call(reload=pb.ReloadRequest()).reload.name == "default", "the other one")


def test_one_that_is_missing_at_the_start():
    """The daemon is ready without it, says so, and takes it up when it is there."""
    if os.path.exists(live("b")):
        os.unlink(live("b"))
    with Daemon(store("small"), stores={"b": entry(live("b"), task_budgets={"warm": 10 ** 8}),
                                        "c": entry(store("large"))}, **BIG) as d:
        check(b"store b: " in d.log and b"No such file" in d.log, d.log.decode())
        with d.connect() as c:
            e = c.error(pb.UNKNOWN_STORE, '"b" is not loaded',
                        infer=infer("garment", image(28, 28), store="b"))
            check("/" not in e.message, f"a path is nobody's business: {e.message}")
            c.error(pb.UNKNOWN_STORE, "not loaded", describe=pb.DescribeRequest(store="b"))
            check(c.call(infer=infer("garment", image(28, 28))).infer.store == "default", "first")
            check(c.call(infer=infer("big", image(28, 28))).infer.store == "c", "third")
            check([(s.name, s.loaded, list(s.task))
                   for s in c.call(describe=pb.DescribeRequest()).describe.known][1] ==
                  ("b", False, []), "describe")
            s = d.status()
            check([(x.loaded, x.loads, x.failed_loads) for x in s.store_status] ==
                  [(True, 1, 0), (False, 0, 1), (True, 1, 0)], str(s.store_status))
            check(len(c.call(status=pb.StatusRequest(store="b")).status.task) == 0, "tasks")
            c.error(pb.RELOAD_FAILED, "No such file", "still not served",
                    reload=pb.ReloadRequest(store="b"))
            replace("b", store("small", "b"))
            check(c.call(reload=pb.ReloadRequest(store="b")).reload.store == "b", "reload")
            r = c.call(infer=infer("warm", image(28, 28), store="b")).infer
            check((r.store, r.budget_bytes) == ("b", 10 ** 8), str(r))


def test_default_one_must_be_there():
    fails_to_start("/nonexistent/store", "No such file", stores={"b": entry(store("small"))})


def test_signal_reloads_all():
    """One after the other, a broken one in the middle; then once more for what came meanwhile."""
    for name in "abc":
        replace(name, store("small", name))
    with Daemon(live("a"), stores={n: entry(live(n)) for n in "bc"}) as d, d.connect() as c:
        replace("a", store("small", "a2"))
        os.unlink(live("b"))
        replace("c", store("small", "c2"))
        d.process.send_signal(signal.SIGHUP)
        until(lambda: d.log.count(b"reloaded") == 2)
        each = c.call(status=pb.StatusRequest()).status.store_status
        check([(x.network, x.failed_loads) for x in each] == [("a2", 0), ("b", 1), ("c2", 0)],
              str(each))
        replace("b", store("small", "b2"))
        for _ in range(20):
            d.process.send_signal(signal.SIGHUP)
        until(lambda: [x.network for x in d.status().store_status] == ["a2", "b2", "c2"])


def test_call_reloads_all():
    for name in "abc":
        replace(name, store("small", name))
    with Daemon(live("a"), stores={n: entry(live(n)) for n in "bc"}) as d, d.connect() as c:
        for name in "abc":
            replace(name, store("small", name + "2"))
        r = c.call(reload=pb.ReloadRequest(all=True)).reload
        check((r.store, r.name) == ("a2", "default"), str(r))
        check([x.network for x in d.status().store_status] == ["a2", "b2", "c2"], "switched")
        os.unlink(live("b"))
        replace("c", store("small", "c3"))
        c.error(pb.RELOAD_FAILED, "1 of 3 stores", "live-b", "the running store stays",
                reload=pb.ReloadRequest(all=True))
        check([(x.network, x.failed_loads) for x in d.status().store_status] ==
              [("a2", 0), ("b2", 1), ("c3", 0)], "the others are switched")
        c.error(pb.BAD_REQUEST, "exclude", reload=pb.ReloadRequest(all=True, store="b"))


def test_stop_during_a_reload_of_all():
    with three() as d, d.connect() as c:
        c.send_bytes(c.request(reload=pb.ReloadRequest(all=True)))
        until(lambda: b"reloaded" in d.log)
        d.process.send_signal(signal.SIGTERM)
        r = c.receive()
        check(r.WhichOneof("result") == "reload" or r.error.code == pb.SHUTTING_DOWN, str(r))
        check(d.wait() == 0, "exit status")


def test_no_thread_for_a_reload():
    """Whoever asked is told, of one and of all, and there is nothing left of it."""
    with three() as d, d.connect() as c:
        with open(f"/proc/{d.process.pid}/statm") as f:
            size = int(f.read().split()[0]) * resource.getpagesize()
        if size > 1 << 40:
            return  # a sanitizer's address space cannot be limited
        # Less than a thread's stack more; no thread has ended yet whose stack could be taken.
        resource.prlimit(d.process.pid, resource.RLIMIT_AS, (size + (1 << 20), -1))
        c.error(pb.RELOAD_FAILED, "the running store stays", reload=pb.ReloadRequest(store="twin"))
        c.error(pb.RELOAD_FAILED, "3 of 3 stores", reload=pb.ReloadRequest(all=True))
        d.process.send_signal(signal.SIGHUP)
        until(lambda: d.log.count(b"reload of store") == 7)
        resource.prlimit(d.process.pid, resource.RLIMIT_AS, (-1, -1))
        check(c.call(reload=pb.ReloadRequest(store="twin")).reload.name == "twin", "and then")
        check(c.call(infer=infer("garment", image(28, 28), store="twin")).infer.label, "no answer")
        check([x.failed_loads for x in d.status().store_status] == [2, 3, 2], "counted")


def test_one_reload_at_a_time_whichever():
    with three() as d, d.connect() as c:
        c.send_bytes(c.request(reload=pb.ReloadRequest(store="large"), id=1) +
                     c.request(reload=pb.ReloadRequest(store="twin"), id=2))
        replies = {r.id: r for r in (c.receive(), c.receive())}
        expect_error(replies[2], pb.BUSY, "a reload is running")
        check(replies[1].reload.name == "large", str(replies[1]))


def test_old_one_goes_with_its_last_request():
    """Requests that wait while their store is switched are answered by the model that took them."""
    replace("b", store("large"))
    with Daemon(store("small"), stores={"b": entry(live("b"))}, **BIG) as d:
        with d.connect() as c, d.connect() as admin:
            for _ in range(4):
                c.send_bytes(c.request(infer=infer("big", image(8, 8), level=[8] * 6)))
            until(lambda: d.status().running == 1)
            replace("b", store("small", "b"))
            check(admin.call(reload=pb.ReloadRequest(store="b")).reload.store == "b", "reload")
            check(admin.call(infer=infer("garment", image(28, 28), store="b")).infer.store == "b",
                  "new requests are for the new one")
            for _ in range(4):
                r = c.receive().infer
                check((r.task, r.store) == ("big", "b"), str(r))

            def mapped():
                with open(f"/proc/{d.process.pid}/maps") as f:
                    return any("deleted" in line and "live-b" in line for line in f)

            until(lambda: not mapped(), "the old store is still mapped")


def test_all_at_once():
    """Clients of every store, and reloads of every store: each answer is by the store that was
    named, and the daemon is ready all the time."""
    names = {"": "a", "b": "b", "c": "c"}
    for name in names.values():
        replace(name, store("small", name))
    with Daemon(live("a"), stores={n: entry(live(n)) for n in "bc"}, workers=2) as d:
        done, failures, answers = threading.Event(), [], []

        def client(name):
            with d.connect() as c:
                while not done.is_set():
                    r = c.call(infer=infer("garment", image(28, 28), store=name, level=[1] * 4))
                    if r.infer.store != (name or "default"):
                        failures.append(str(r))
                    answers.append(name)

        threads = [threading.Thread(target=client, args=(n,)) for n in names for _ in range(2)]
        for t in threads:
            t.start()
        with d.connect() as c:
            end = time.monotonic() + 3
            for i in range(1000):
                name = list(names)[i % 3]
                r = c.call(reload=pb.ReloadRequest(store=name))
                check(r.reload.store == names[name], str(r))
                if time.monotonic() > end and i > 6:
                    break
        done.set()
        for t in threads:
            t.join()
        check(not failures and set(answers) == set(names), f"{failures[:1]} {set(answers)}")
        s = d.status()
        check(sum(t.runs for t in s.task) == len(answers) == counters(s)["infer_ok"], "counts")


main(sys.modules[__name__])
