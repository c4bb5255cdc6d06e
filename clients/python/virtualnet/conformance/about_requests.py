"""Infer, Plan, Describe, Status, Cancel and Reload: good ones, and each field with a bad value."""

from __future__ import annotations

import math
import time
from typing import Any

from .. import virtualnet_pb2 as pb
from .clauses import clause
from .wire import Daemon, NotJudged, expect_error, in_short, keeps

INFER = "Infer and plan"


def check_answer(d: Daemon, a: Any) -> None:
    keeps(len(a.level) == d.description.blocks, f"{len(a.level)} levels")
    keeps(all(0 <= l <= d.description.groups for l in a.level), f"levels {list(a.level)}")
    b = a.bytes
    keeps(b.total == b.params_resident + b.scratch + b.io, in_short(b))
    keeps(0 < a.density <= 1, f"density {a.density}")


@clause(INFER, "The answer names the path (`level`), who decided (`decided_by`: the agent's kind, "
        "`uniform`, or `request`), what was promised before the run (`bytes`), the limit that was "
        "applied (`budget_bytes`, 0 for none), and the time in the queue, for deciding and for "
        "computing.")
def answers(d: Daemon) -> None:
    with d.connect() as c:
        for task in d.description.task:
            image = d.image(task.width, task.height)
            a = c.answer(infer=pb.InferRequest(task=task.name, image=image))
            check_answer(d, a)
            keeps(a.task == task.name and a.compute_ns > 0, in_short(a))
            keeps(a.decided_by == d.description.agent, f"decided by {a.decided_by!r}")
            keeps(len(a.label) == 1 and a.label[0].name == task.label[a.label[0].index],
                  in_short(a.label))


@clause(INFER, "labels in the answer, best first; 0 is 1, more than there are is all")
def top_k(d: Daemon) -> None:
    n = len(d.task.label)
    with d.connect() as c:
        for top, want in ((0, 1), (1, 1), (n, n), (n + 1, n), (2**32 - 1, n)):
            labels = c.answer(infer=d.infer(top_k=top)).label
            keeps(len(labels) == want, f"top_k {top}: {len(labels)} labels")
            chances = [l.probability for l in labels]
            keeps(chances == sorted(chances, reverse=True), f"not best first: {chances}")
        keeps(len({l.index for l in labels}) == n, "a label is there twice")
        keeps(abs(sum(chances) - 1) < 1e-3, f"probabilities add up to {sum(chances)}")


@clause(INFER, "may be left out when the store has one task")
def task_left_out(d: Daemon) -> None:
    request = d.infer()
    request.task = ""
    with d.connect() as c:
        if len(d.description.task) == 1:
            c.answer(infer=request)
        else:
            keeps(d.task.name in c.refused(pb.UNKNOWN_TASK, infer=request).message, "no list")


@clause("Errors", "the sentence lists the tasks, or the stores that have the task when none was "
        "named")
def unknown_task(d: Daemon) -> None:
    request = d.infer()
    request.task = "no such task"
    with d.connect() as c:
        e = c.refused(pb.UNKNOWN_TASK, infer=request)
        keeps(d.task.name[:8] in e.message, f"it lists nothing: {e.message}")
        c.refused(pb.UNKNOWN_TASK, plan=request)
        c.refused(pb.UNKNOWN_TASK, describe=pb.DescribeRequest(task="no such task"))


@clause(INFER, "raw pixels, `GRAY8` or `RGB8`, any size up to 16384 x 16384 that fits a frame")
def images(d: Daemon) -> None:
    with d.connect() as c:
        for width, height, form, stride in (
                (1, 1, pb.GRAY8, 0), (7, 300, pb.RGB8, 0), (300, 7, pb.RGB8, 901),
                (16384, 1, pb.GRAY8, 0), (1, 16384, pb.GRAY8, 3), (64, 64, pb.GRAY8, 64)):
            image = d.image(width, height, form, stride)
            check_answer(d, c.answer(infer=d.infer(image)))
        image.pixels = image.pixels[:64 * 63 + 64]
        check_answer(d, c.answer(infer=d.infer(image)))


@clause("Errors", "missing, unknown format, or size, stride and data do not fit each other")
def bad_images(d: Daemon) -> None:
    good = d.image(8, 8)
    bad = {
        "no format": {"format": 0}, "format 3": {"format": 3}, "width 0": {"width": 0},
        "height 0": {"height": 0}, "width 16385": {"width": 16385},
        "height 2^32-1": {"height": 2**32 - 1}, "stride 7": {"stride": 7},
        "stride 9": {"stride": 9}, "stride 2^32-1": {"stride": 2**32 - 1},
        "one row too few": {"pixels": good.pixels[:-8]},
        "one byte too few": {"pixels": good.pixels[:-1]}, "no pixels": {"pixels": b""},
        "RGB": {"format": pb.RGB8},
    }
    with d.connect() as c:
        c.refused(pb.BAD_IMAGE, infer=pb.InferRequest(task=d.task.name))
        for what, fields in bad.items():
            image = pb.Image()
            image.CopyFrom(good)
            for name, value in fields.items():
                setattr(image, name, value)
            try:
                c.refused(pb.BAD_IMAGE, infer=d.infer(image))
            except Exception as e:
                e.args = (f"{what}: {e}",)
                raise
        c.answer(infer=d.infer(good))


@clause("Calls", "decides and says what the path would cost; without an image the agent decides "
        "without having seen one")
def plans(d: Daemon) -> None:
    with d.connect() as c:
        for request in (d.infer(), pb.InferRequest(task=d.task.name)):
            a = c.answer(plan=request)
            check_answer(d, a)
            keeps(not a.label, "a plan with labels")
            keeps(a.compute_ns == 0, "it computed")
        ran, planned = c.answer(infer=d.infer(uniform=True)), c.answer(plan=d.infer(uniform=True))
        keeps(ran.bytes == planned.bytes and ran.level == planned.level, "plan and run differ")


@clause(INFER, "all that the run may need: resident parameters, scratch, image and result. 0: the "
        "daemon's default for the task; if that is 0 too, no limit")
def budgets(d: Daemon) -> None:
    with d.connect() as c:
        need = c.refused(pb.BUDGET_TOO_SMALL, infer=d.infer(budget_bytes=1)).needed_bytes
        keeps(need > 1, f"needed_bytes {need}")
        c.refused(pb.BUDGET_TOO_SMALL, infer=d.infer(budget_bytes=need - 1))
        for budget in (need, need + d.task.largest.total // 2, 2**62):
            a = c.answer(infer=d.infer(budget_bytes=budget))
            keeps(a.bytes.total <= budget, f"{a.bytes.total} bytes of {budget}")
            keeps(a.budget_bytes == budget, f"the limit was {a.budget_bytes}")
        a = c.answer(infer=d.infer())
        keeps(a.budget_bytes == d.task.default_budget_bytes, f"the limit was {a.budget_bytes}")


@clause(INFER, "0 to 1: how much to save below the budget on easy images")
def thrift(d: Daemon) -> None:
    with d.connect() as c:
        for good in (0.0, 0.5, 1.0):
            check_answer(d, c.answer(plan=d.infer(thrift=good)))
        for bad in (-0.001, 1.001, math.nan, math.inf, -math.inf):
            c.refused(pb.BAD_REQUEST, plan=d.infer(thrift=bad))


@clause(INFER, "a path instead of the agent's choice: one level per block, each 0 to the number of "
        "groups. With a stated `budget_bytes` the path must fit it; the default budget does not "
        "apply. Not together with `uniform`")
def levels(d: Daemon) -> None:
    blocks, groups = d.description.blocks, d.description.groups
    path = [i % (groups + 1) for i in range(blocks)]
    with d.connect() as c:
        a = c.answer(infer=d.infer(level=path))
        keeps(list(a.level) == path and a.decided_by == "request", in_short(a))
        need = a.bytes.total
        c.answer(infer=d.infer(level=path, budget_bytes=need))
        e = c.refused(pb.BUDGET_TOO_SMALL, infer=d.infer(level=path, budget_bytes=need - 1))
        keeps(e.needed_bytes == need, f"needed_bytes {e.needed_bytes}, not {need}")
        for bad in (path[1:] or [0, 0], path + [0], [groups + 1] * blocks, [2**32 - 1] * blocks):
            c.refused(pb.BAD_REQUEST, infer=d.infer(level=bad))
        c.refused(pb.BAD_REQUEST, infer=d.infer(level=path, uniform=True))


@clause(INFER, "the largest level that fits in every block, instead of the agent's choice")
def uniform(d: Daemon) -> None:
    with d.connect() as c:
        a = c.answer(infer=d.infer(uniform=True, budget_bytes=2**62))
        keeps(set(a.level) == {d.description.groups} and a.decided_by == "uniform", in_short(a))
        less = c.call(infer=d.infer(uniform=True, budget_bytes=a.bytes.total - 1))
        if less.error.needed_bytes != a.bytes.total:  # in a small store all paths need the same
            a = less.infer
            keeps(len(set(a.level)) == 1 and a.level[0] < d.description.groups, in_short(less))


@clause(INFER, "A request whose deadline passes while it waits is answered then, not when its turn "
        "comes; one that runs stops before the next convolution. The error names the `phase`.")
def deadlines(d: Daemon) -> None:
    past = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - 1
    with d.connect() as c:
        for fields in ({"deadline_at_ns": past}, {"deadline_at_ns": 1, "deadline_ms": 60000}):
            e = c.refused(pb.DEADLINE, infer=d.infer(**fields))
            keeps(e.phase in ("queue", "agent", "compute"), f"the phase {e.phase!r}")
        c.answer(infer=d.infer(deadline_ms=60000, deadline_at_ns=past + 60 * 10**9))


@clause("Who comes first", "Requests of the class `CONTROL` are served before all bulk requests "
        "that wait")
def classes(d: Daemon) -> None:
    with d.connect() as c:
        c.answer(infer=d.infer(request_class=pb.BULK))
        c.refused(pb.BAD_REQUEST, infer=d.infer(request_class=3))
        c.answer(infer=d.infer(request_class=pb.CONTROL))


@clause("Who comes first", "Another one is refused with `BUSY` (`stream_depth`), or, with "
        "`replace`, takes the place of the one that waits, which is answered with `SUPERSEDED`: "
        "latest wins")
def streams(d: Daemon) -> None:
    with d.connect() as c:
        for replace, code in ((False, pb.BUSY), (True, pb.SUPERSEDED)):
            ids = [c.send(infer=d.infer(stream="camera", replace=replace)) for _ in range(8)]
            got = {r.id: r for r in (c.receive() for _ in ids)}
            keeps(sorted(got) == ids, f"asked {ids}, answered {sorted(got)}")
            for r in got.values():
                keeps(r.HasField("infer") or r.error.code in (code, pb.BUSY), in_short(r))
                if r.error.code == pb.BUSY:  # maybe another limit's
                    keeps(r.error.limit_name, in_short(r.error))
                    keeps(not replace or r.error.limit_name != "stream_depth", in_short(r.error))
            counts = got[ids[-1 if replace else 0]]
            keeps(counts.HasField("infer") or counts.error.limit_name not in ("", "stream_depth"),
                  f"the one that counts is lost: {in_short(counts)}")


@clause(INFER, "a stream's name has at most 64 bytes")
def names_of_streams(d: Daemon) -> None:
    with d.connect() as c:
        c.answer(infer=d.infer(stream="x" * 64))
        c.refused(pb.BAD_REQUEST, infer=d.infer(stream="x" * 65))


@clause("Cancel", "The answer counts them (`requests`); 0 says that there was none, or that it is "
        "answered already.")
def cancels(d: Daemon) -> None:
    with d.connect() as c, d.connect() as other:
        keeps(c.answer(cancel=pb.CancelRequest(id=77)).requests == 0, "it found one")
        ids = [c.send(infer=d.infer(), id=500) for _ in range(4)]
        keeps(other.answer(cancel=pb.CancelRequest(id=500)).requests == 0, "it is another's")
        cancel = c.send(cancel=pb.CancelRequest(id=500))
        got = [c.receive() for _ in range(len(ids) + 1)]
        keeps(sorted(r.id for r in got) == sorted(ids + [cancel]), str([r.id for r in got]))
        for r in got:
            keeps(r.HasField("infer") or r.HasField("cancel") or
                  r.error.code in (pb.CANCELLED, pb.BUSY), in_short(r))
        ended = sum(r.error.code == pb.CANCELLED for r in got)
        counted = next(r.cancel.requests for r in got if r.HasField("cancel"))
        keeps(ended <= counted <= len(ids), f"{ended} ended, {counted} counted")


@clause("Describe", "Of each task: its labels, the size and colour that the network sees, what its "
        "smallest and its full path need, the default budget, and the accuracy table that the "
        "store carries")
def describes(d: Daemon) -> None:
    says = d.description
    keeps(says.version and says.store and says.blocks and says.groups, in_short(says))
    with d.connect() as c:
        for t in says.task:
            keeps(t.name and t.label and t.width and t.height, in_short(t))
            keeps(t.color in ("gray", "rgb", "bgr"), t.color)
            keeps(0 < t.smallest.total <= t.largest.total, in_short(t))
            one = c.answer(describe=pb.DescribeRequest(task=t.name))
            keeps(len(one.task) == 1 and one.task[0] == t, f"alone, {t.name} is another")


@clause("Stores", "A name that the daemon does not know is an `UNKNOWN_STORE`")
def stores(d: Daemon) -> None:
    with d.connect() as c:
        for call in ({"infer": d.infer(store="no such store")},
                     {"plan": d.infer(store="../../etc/passwd")},
                     {"describe": pb.DescribeRequest(store="no such store")}):
            c.refused(pb.UNKNOWN_STORE, **call)
        for known in d.description.known:
            if known.loaded:
                c.answer(describe=pb.DescribeRequest(store=known.name))


@clause("Status", "Every request that was received (`requests_received`) is counted once more by "
        "its outcome")
def counters(d: Daemon) -> None:
    with d.connect() as c:
        before = {n.name: n.value for n in c.answer(status=pb.StatusRequest()).counter}
        for _ in range(3):
            c.answer(plan=d.infer())
        s = c.answer(status=pb.StatusRequest())
    after = {n.name: n.value for n in s.counter}
    keeps(after["plan_ok"] >= before["plan_ok"] + 3, in_short(s.counter))
    keeps(after["requests_received"] >= before["requests_received"] + 4, in_short(s.counter))
    others = ("requests_received", "connections_accepted", "connections_refused",
              "slow_readers_cut", "slow_writers_cut")
    ended = sum(v for k, v in after.items() if k not in others)
    keeps(ended < after["requests_received"], f"{ended} ended")
    keeps(s.workers >= 1 and s.rss_bytes > 0 and s.connections >= 1, in_short(s))


@clause("Status", "with the upper bounds in `bucket_ns` and one bucket more without a bound")
def histograms(d: Daemon) -> None:
    with d.connect() as c:
        c.answer(infer=d.infer())
        s = c.answer(status=pb.StatusRequest())
    keeps(list(s.bucket_ns) == sorted(set(s.bucket_ns)) and s.bucket_ns, "bounds in no order")
    for t in s.task:
        for times in t.times:
            keeps(len(times.count) == len(s.bucket_ns) + 1, f"{len(times.count)} buckets")
    keeps(any(t.runs for t in s.task), "nothing was counted")


@clause("Stores", "Requests that were accepted before the switch are answered "
        "by the old file", reloads=True)
def reloads(d: Daemon) -> None:
    with d.connect() as c:
        want = c.answer(infer=d.infer(uniform=True, top_k=3)).label
        reload = c.send(reload=pb.ReloadRequest())
        ids = [c.send(infer=d.infer(uniform=True, top_k=3)) for _ in range(6)]
        for r in (c.receive() for _ in range(7)):
            if r.error.code == pb.NOT_ALLOWED:
                raise NotJudged(r.error.message)
            if r.id == reload:
                keeps(r.HasField("reload"), in_short(r))
            else:
                keeps(r.id in ids and (r.infer.label == want or r.error.code == pb.BUSY),
                      in_short(r))


@clause("Errors", "the call is not for this user: `access_infer`, `access_control`, "
        "`access_status`, `access_admin`")
def access(d: Daemon) -> None:
    """Whether it is, depends on who asks: the daemon's own user and root may reload."""
    with d.connect() as c:
        r = [c.send(reload=pb.ReloadRequest(store="no such store")), c.receive()][1]
        if r.error.code != pb.UNKNOWN_STORE:
            expect_error(r, pb.NOT_ALLOWED)
