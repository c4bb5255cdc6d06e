"""What each call answers, and how each wrong request is refused."""

import math
import random
import signal
import sys

from harness import Daemon, check, counters, expect_error, image, infer, main, pb, store, until

TASKS = ["garment", "warm", "digit"]


def small():
    return Daemon(store("small"))


def test_describe():
    with small() as d, d.connect() as c:
        r = c.call(describe=pb.DescribeRequest()).describe
        check([t.name for t in r.task] == TASKS, str(r))
        check((r.store, r.blocks, r.groups, r.agent) == ("small", 4, 4, "shared"), str(r))
        check(r.frame_limit_bytes == 16777216 and r.version, str(r))
        garment, digit = r.task[0], r.task[2]
        check((garment.width, garment.height, garment.color) == (28, 28, "gray"), str(garment))
        check((digit.width, digit.height, digit.color) == (32, 32, "rgb"), str(digit))
        check(list(digit.label) == ["null", "eins", "fünf"], str(digit))
        # Task t of 3 starts its order of 4 groups at floor(4 t / 3).
        check([list(t.order) for t in r.task] == [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1]],
              str(r))
        check(0 < garment.smallest.total < garment.largest.total, str(garment))
        one = c.call(describe=pb.DescribeRequest(task="warm")).describe
        check([t.name for t in one.task] == ["warm"], str(one))
        c.error(pb.UNKNOWN_TASK, "wram", "garment, warm, digit",
                describe=pb.DescribeRequest(task="wram"))


def check_answer(r, blocks=4, groups=4):
    check(len(r.level) == blocks and all(0 <= v <= groups for v in r.level), str(r))
    b = r.bytes
    check(b.total == b.params_resident + b.scratch + b.io, str(b))
    check(0 < b.params <= b.params_resident, str(b))
    check(0 <= r.density <= 1, str(r))


def test_infer():
    with small() as d, d.connect() as c:
        for task, n in zip(TASKS, (10, 2, 3)):
            for form in (pb.GRAY8, pb.RGB8):
                r = c.call(infer=infer(task, image(40, 30, form), top_k=1000)).infer
                check_answer(r)
                check(r.task == task and len(r.label) == n, str(r))
                p = [v.probability for v in r.label]
                check(p == sorted(p, reverse=True), "not best first")
                check(math.isclose(sum(p), 1, rel_tol=1e-4), f"sum {sum(p)}")
                check(sorted(v.index for v in r.label) == list(range(n)), str(r))
        r = c.call(infer=infer("garment", image(28, 28))).infer
        check(len(r.label) == 1 and r.label[0].name, "top_k is 1 when left out")
        check(r.compute_ns > 0 and r.budget_bytes == 0, str(r))


def test_plan():
    with small() as d, d.connect() as c:
        for img in (None, image(28, 28), image(300, 200, pb.RGB8)):
            r = c.call(plan=infer("garment", img)).infer
            check_answer(r)
            check(not r.label and r.compute_ns == 0, str(r))
        s = counters(d.status())
        check(s["plan_ok"] == 3 and s["infer_ok"] == 0, str(s))


def test_plan_and_infer_agree():
    with small() as d, d.connect() as c:
        task = c.call(describe=pb.DescribeRequest(task="garment")).describe.task[0]
        for share in (0.3, 0.6, 1):
            budget = int(task.smallest.total + share * (task.largest.total - task.smallest.total))
            ask = infer("garment", image(28, 28), budget_bytes=budget)
            p, r = c.call(plan=ask).infer, c.call(infer=ask).infer
            check((p.level, p.bytes, p.decided_by) == (r.level, r.bytes, r.decided_by), str((p, r)))


def test_budgets_hold():
    random.seed(1)
    with small() as d, d.connect() as c:
        for task in c.call(describe=pb.DescribeRequest()).describe.task:
            for _ in range(30):
                budget = random.randint(task.smallest.total, task.largest.total)
                r = c.call(infer=infer(task.name, image(task.width, task.height),
                                       budget_bytes=budget, uniform=random.random() < 0.3)).infer
                check(r.bytes.total <= budget, f"{r.bytes.total} of {budget}")
                check(r.budget_bytes == budget, str(r))
            needed = c.error(pb.BUDGET_TOO_SMALL, task.name, "budget is 1;",
                             infer=infer(task.name, image(task.width, task.height),
                                         budget_bytes=1)).needed_bytes
            r = c.call(infer=infer(task.name, image(task.width, task.height),
                                   budget_bytes=needed)).infer
            check(r.bytes.total <= needed, "the bytes that it asked for are not enough")
            c.error(pb.BUDGET_TOO_SMALL, needed,
                    infer=infer(task.name, image(task.width, task.height),
                                budget_bytes=needed - 1))


def test_stated_path():
    with small() as d, d.connect() as c:
        ask = infer("garment", image(28, 28), level=[0, 4, 2, 1])
        r = c.call(infer=ask).infer
        check(list(r.level) == [0, 4, 2, 1] and r.decided_by == "request", str(r))
        ask.budget_bytes = r.bytes.total
        check(list(c.call(infer=ask).infer.level) == [0, 4, 2, 1], "it fits to the byte")
        ask.budget_bytes -= 1
        check(c.error(pb.BUDGET_TOO_SMALL, r.bytes.total, infer=ask).needed_bytes == r.bytes.total,
              "needed_bytes")
        for level, part in (([1, 2, 3], "has 3 items; it must have 4"),
                            ([1] * 5, "has 5 items"), ([1, 5, 1, 1], "level[1] is 5; it must be 0"),
                            ([2 ** 32 - 1] * 4, "level[0] is 4294967295"), ([256] * 4, "is 256")):
            c.error(pb.BAD_REQUEST, part, infer=infer("garment", image(28, 28), level=level))
        c.error(pb.BAD_REQUEST, "level and uniform",
                infer=infer("garment", image(28, 28), level=[1] * 4, uniform=True))


def test_full_and_empty_path():
    with small() as d, d.connect() as c:
        task = c.call(describe=pb.DescribeRequest(task="garment")).describe.task[0]
        full = c.call(infer=infer("garment", image(28, 28), level=[4] * 4)).infer
        none = c.call(infer=infer("garment", image(28, 28), level=[0] * 4)).infer
        check(full.density == 1, str(full))
        check(full.bytes == task.largest, f"{full.bytes} is not {task.largest}")
        check(none.bytes == task.smallest, f"{none.bytes} is not {task.smallest}")


def test_task_may_be_left_out_when_there_is_one():
    with Daemon(store("large"), default_budget_bytes=30000000) as d, d.connect() as c:
        check(c.call(plan=infer("")).infer.task == "big", "the only task")
    with small() as d, d.connect() as c:
        c.error(pb.UNKNOWN_TASK, "name a task", "garment, warm, digit", plan=infer(""))


def test_wrong_requests():
    good = image(28, 28)
    with small() as d, d.connect() as c:
        c.error(pb.UNKNOWN_TASK, '"x"', infer=infer("x", good))
        c.error(pb.UNKNOWN_TASK, "x" * 64 + "...", infer=infer("x" * 3000, good))
        c.error(pb.BAD_IMAGE, "infer needs an image", infer=infer("garment"))
        for thrift in (math.nan, math.inf, -math.inf, -0.001, 1.001):
            c.error(pb.BAD_REQUEST, "thrift", "0 to 1", infer=infer("garment", good, thrift=thrift))
        for thrift in (0, 1):
            check(c.call(infer=infer("garment", good, thrift=thrift)).infer.label, "legal thrift")
        check(c.call(infer=infer("garment", good, top_k=2 ** 32 - 1)).infer.label, "large top_k")


def test_wrong_images():
    data = bytes(28 * 28)

    def img(**fields):
        return pb.Image(**{**dict(format=pb.GRAY8, width=28, height=28, pixels=data), **fields})

    wrong = [
        (img(format=0), "image.format is 0"), (img(format=3), "image.format is 3"),
        (img(format=-1), "image.format is -1"), (img(width=0), ""), (img(height=0), ""),
        (img(width=16385), "16384"), (img(height=2 ** 32 - 1), "16384"),
        (img(pixels=b""), ""), (img(pixels=data[:-1]), "783"),
        (img(stride=27), "27"), (img(stride=29), ""), (img(stride=2 ** 32 - 1), ""),
        (img(format=pb.RGB8), ""), (img(width=2 ** 31, height=2 ** 31), ""),
    ]
    with small() as d, d.connect() as c:
        for i, part in wrong:
            c.error(pb.BAD_IMAGE, part, infer=infer("garment", i))
            c.error(pb.BAD_IMAGE, part, plan=infer("garment", i))
        # Wide rows, whose last one may be short; and more data than needed.
        check(c.call(infer=infer("garment", img(width=20, height=28, stride=28,
                                                pixels=data[:-8]))).infer.label, "stride")
        check(c.call(infer=infer("garment", img(pixels=data + b"more"))).infer.label, "longer")
        check(counters(d.status())["bad_image"] == 2 * len(wrong), "every refusal is counted")


def test_same_picture_in_any_form_same_answer():
    """Packed, with wide rows, and as RGB with equal channels: the network sees the same."""
    gray = image(28, 28)
    rows = [gray.pixels[y * 28:y * 28 + 28] for y in range(28)]
    wide = pb.Image(format=pb.GRAY8, width=28, height=28, stride=40,
                    pixels=b"".join(r + b"#" * 12 for r in rows))
    with small() as d, d.connect() as c:
        a = c.call(infer=infer("garment", gray, level=[4] * 4, top_k=10)).infer
        b = c.call(infer=infer("garment", wide, level=[4] * 4, top_k=10)).infer
        check(a.label == b.label, "the stride changes the answer")


def test_default_budgets():
    with small() as d, d.connect() as c:
        task = c.call(describe=pb.DescribeRequest(task="garment")).describe.task[0]
        low, high = task.smallest.total, task.largest.total
    middle = (low + high) // 2
    budgets = dict(task_budgets={"garment": middle}, default_budget_bytes=10 ** 9)
    with Daemon(store("small"), **budgets) as d:
        with d.connect() as c:
            r = c.call(infer=infer("garment", image(28, 28))).infer
            check(r.budget_bytes == middle and r.bytes.total <= middle, str(r))
            r = c.call(infer=infer("warm", image(28, 28))).infer
            check(r.budget_bytes == 10 ** 9, str(r))
            r = c.call(infer=infer("garment", image(28, 28), budget_bytes=high)).infer
            check(r.budget_bytes == high, "a stated budget comes first")
            r = c.call(infer=infer("garment", image(28, 28), level=[4] * 4)).infer
            check(r.density == 1 and r.budget_bytes == 0, "a stated path is not held against it")
            t = c.call(describe=pb.DescribeRequest()).describe.task
            check([x.default_budget_bytes for x in t] == [middle, 10 ** 9, 10 ** 9], str(t))


def test_every_agent():
    for agent in ("uniform", "task", "conv", "shared"):
        with Daemon(store("small", agent, agent)) as d, d.connect() as c:
            task = c.call(describe=pb.DescribeRequest(task="garment")).describe.task[0]
            budget = (task.smallest.total + task.largest.total) // 2
            r = c.call(infer=infer("garment", image(28, 28), budget_bytes=budget)).infer
            check(r.decided_by in (agent, "uniform") and r.bytes.total <= budget, str(r))
            r = c.call(infer=infer("garment", image(28, 28), uniform=True)).infer
            check(r.decided_by == "uniform" and len(set(r.level)) == 1, str(r))
            check(c.call(plan=infer("garment")).infer.level, "no plan without an image")


def test_status():
    with small() as d, d.connect() as c:
        for _ in range(5):
            c.call(infer=infer("garment", image(28, 28)))
        c.error(pb.UNKNOWN_TASK, infer=infer("x", image(28, 28)))
        s = c.call(status=pb.StatusRequest()).status
        n = counters(s)
        check(n["infer_ok"] == 5 and n["unknown_task"] == 1 and n["requests_received"] == 7, str(n))
        check((s.connections, s.running, s.queue_length, s.promised_bytes) == (1, 0, 0, 0), str(s))
        check((s.queue_limit, s.workers, s.store) == (64, 1, "small"), str(s))
        check(0 < s.fixed_bytes <= s.pss_bytes <= s.rss_bytes, str(s))
        # The kernel rounds each to a KiB, and counts a little shared memory apart.
        check(abs(s.pss_anon_bytes + s.pss_file_bytes - s.pss_bytes) < 1 << 20, str(s))
        check(s.uptime_ns > 0, str(s))


def test_status_does_not_hold_others_up():
    """Its numbers are read beside the loop: what can be answered at once overtakes it."""
    with small() as d, d.connect() as c:
        c.send_bytes(c.request(status=pb.StatusRequest(), id=1) +
                     c.request(describe=pb.DescribeRequest(), id=2))
        check([c.receive().id for _ in range(2)] == [2, 1], "the loop read the numbers itself")


def test_many_ask_for_status():
    """Each is answered, with numbers that are read after it asked; the limit holds for them."""
    with small() as d, d.connect() as c, d.connect() as other:
        ask = c.request(status=pb.StatusRequest(), id=5)
        c.send_bytes(ask * 20)
        other.send_bytes(ask * 3)
        replies = [c.receive() for _ in range(20)]
        kinds = [r.WhichOneof("result") for r in replies]
        answered = kinds.count("status")  # more than 16 when some were answered between its turns
        check(answered >= 16 and answered + kinds.count("error") == 20, str(kinds))
        for r in replies:
            if r.WhichOneof("result") == "error":
                e = expect_error(r, pb.BUSY, "connection_inflight_limit is 16")
                check((e.limit_name, e.limit, e.current) == ("connection_inflight_limit", 16, 16),
                      str(e))
        check(all(other.receive().status.pss_bytes > 0 for _ in range(3)), "no numbers")
        n = counters(d.status())
        check((n["status_ok"], n["busy"], n["requests_received"]) ==
              (3 + answered, 20 - answered, 24), str(n))


def test_who_asked_for_status_leaves():
    with small() as d:
        for _ in range(30):  # fewer than may be open at once
            with d.connect() as c:
                c.send_bytes(c.request(status=pb.StatusRequest()) * 5)
        until(lambda: d.status().connections == 1)
        n = counters(d.status())
        outcomes = n["status_ok"] + n["abandoned"]
        check(n["requests_received"] == outcomes + 1, str(n))
        with d.connect() as c:
            c.send_bytes(c.request(status=pb.StatusRequest()) * 5)
            d.process.send_signal(signal.SIGTERM)
            check(d.wait() == 0, "exit status")


def test_answer_longer_than_a_frame():
    with Daemon(store("large"), frame_limit_bytes=4096, default_budget_bytes=30000000) as d:
        with d.connect() as c:
            # 100 labels of 30 bytes, and about 11 for index and probability, pass 4096; 10 do not.
            ask = infer("big", image(8, 8), level=[0] * 6, top_k=100)
            c.error(pb.BAD_REQUEST, "frame_limit_bytes (4096)", infer=ask)
            ask.top_k = 10
            check(len(c.call(infer=ask).infer.label) == 10, "it must go on")
            n = counters(d.status())
            check(n["bad_request"] == 1 and n["infer_ok"] == 1, str(n))


main(sys.modules[__name__])
