"""Which request comes first, which one instead of another, and which one ends early: classes,
streams, Cancel, deadlines, and the hint that comes with BUSY."""

import random
import signal
import sys
import threading
import time

from harness import (Daemon, check, counters, expect_error, image, infer, main, pb, store, until)

FULL = [8] * 6  # the whole of the large store: a tenth of a second or more
LOW = [0] * 6
PLAIN = dict(kernels="ref")  # a tenth of a second for level 1, two with sanitizers
NOT_OUTCOMES = ("requests_received", "slow_readers_cut", "slow_writers_cut")


def slow(level=None, **fields):
    return infer("big", image(8, 8), level=FULL if level is None else level, **fields)


def low(**fields):
    return slow(LOW, **fields)


def large(**config):
    return Daemon(store("large"), **{"default_budget_bytes": 30000000, **config})


def send(c, *calls):
    """Requests with the ids 1, 2, ... in one write, so that the daemon sees them together."""
    c.send_bytes(b"".join(c.request(id=i + 1, **call) for i, call in enumerate(calls)))


def replies(c, n):
    return [c.receive() for _ in range(n)]


def kind(r):
    return pb.Code.Name(r.error.code) if r.WhichOneof("result") == "error" else r.WhichOneof(
        "result")


def check_counters(d):
    """Every request that was received is counted once more; the Status that asks, not yet."""
    until(lambda: d.status().running == 0)
    n = counters(d.status())
    outcomes = sum(v for k, v in n.items()
                   if not k.startswith("connections") and k not in NOT_OUTCOMES)
    check(n["requests_received"] == outcomes + 1, str(n))
    return n


def test_control_comes_first():
    """Also before what a worker has been handed as its next."""
    for workers in (1, 2):
        with large(workers=workers) as d, d.connect() as c:
            send(c, *[dict(infer=slow())] * 5, dict(infer=low(request_class=pb.CONTROL)),
                 dict(plan=low(request_class=pb.CONTROL)), dict(infer=low(request_class=pb.BULK)))
            ids = [r.id for r in replies(c, 8)]
            check(sorted(ids) == list(range(1, 9)), str(ids))
            check({6, 7} <= set(ids[:workers + 2]), str(ids))
            if workers == 1:
                check([i for i in ids if i not in (6, 7)] == [1, 2, 3, 4, 5, 8], str(ids))
                check(ids.index(6) < ids.index(7), str(ids))


def test_bulk_leaves_room_for_control():
    with large(queue_limit=8, connection_inflight_limit=100) as d, d.connect() as c:
        # One runs; 7 of 8 places are for bulk, the last for control.
        send(c, *[dict(infer=low() if i else slow()) for i in range(9)],
             *[dict(infer=low(request_class=pb.CONTROL))] * 2)
        e = expect_error(r := c.receive(), pb.BUSY, "queue_limit is 8", "1 are for the control")
        check((r.id, e.limit_name, e.limit, e.current) == (9, "queue_limit", 8, 7), str(r))
        e = expect_error(r := c.receive(), pb.BUSY, "queue_limit is 8")
        check((r.id, e.limit, e.current) == (11, 8, 8), str(r))
        ids = [r.id for r in replies(c, 9)]
        check(ids.index(10) <= 1, str(ids))
        check([i for i in ids if i != 10] == list(range(1, 9)), str(ids))


def test_who_asks_for_much_waits_for_it():
    """15 of one connection wait; one of another is among the next, also as the same user."""
    with large() as d, d.connect() as greedy, d.connect() as modest:
        send(greedy, *[dict(infer=slow())] * 16)
        until(lambda: d.status().queue_length > 12)
        check(modest.call(infer=slow()).infer.label, "no answer")
        waiting = d.status().queue_length
        check(waiting > 7, f"only {waiting} of 15 wait still")
        check([r.id for r in replies(greedy, 16)] == list(range(1, 17)), "its own order")


def test_wrong_place():
    with large() as d, d.connect() as c:
        c.error(pb.BAD_REQUEST, "request_class is 3", infer=low(request_class=3))
        c.error(pb.BAD_REQUEST, "request_class is -1", plan=low(request_class=-1))
        c.error(pb.BAD_REQUEST, "stream has 65 bytes", infer=low(stream="x" * 65))
        c.error(pb.BAD_REQUEST, "replace wants a stream", infer=low(replace=True))
        check(c.call(infer=low(stream="x" * 64, replace=True)).infer.label, "64 bytes are fine")


def test_latest_wins():
    """One runs; of the others each takes the place of the one before."""
    ask = dict(infer=low(stream="front", replace=True))
    with large(connection_inflight_limit=2) as d, d.connect() as c:
        send(c, dict(infer=slow(stream="front", replace=True)), *[ask] * 9)
        got = replies(c, 10)
        for i, r in enumerate(got[:8]):
            expect_error(r, pb.SUPERSEDED, 'stream "front"')
            check(r.id == i + 2, f"order: {[(r.id, kind(r)) for r in got]}")
        rest = sorted((r.id, kind(r)) for r in got[8:])
        check(rest == [(1, "infer"), (10, "infer")], str(rest))
        n = check_counters(d)
        check((n["superseded"], n["infer_ok"]) == (8, 2), str(n))


def test_stream_without_replace():
    with large() as d, d.connect() as c, d.connect() as other:
        send(c, dict(infer=slow()), dict(infer=low(stream="a")), dict(infer=low(stream="a")),
             dict(infer=low(stream="b")))
        e = expect_error(r := c.receive(), pb.BUSY, 'stream "a"', "set replace")
        check((r.id, e.limit_name, e.limit, e.current) == (3, "stream_depth", 1, 1), str(r))
        check(e.retry_after_ms > 0, str(e))
        other.send_bytes(other.request(infer=low(stream="a", replace=True)))
        check([(r.id, kind(r)) for r in replies(c, 3)] == [(i, "infer") for i in (1, 2, 4)],
              "another connection's streams are its own")
        check(other.receive().infer.label, "no answer")


def test_replacing_keeps_the_place():
    """A camera that is faster than the daemon gets its turn, and does not fill the queue."""
    front = dict(infer=low(stream="front", replace=True))
    with large(queue_limit=4, connection_inflight_limit=100) as d:
        with d.connect() as c:
            send(c, dict(infer=slow()), dict(infer=low()), front, dict(infer=low()),
                 dict(infer=low()), *[front] * 5)
            got = [(r.id, kind(r)) for r in replies(c, 10)]
            check(got == [(i, "SUPERSEDED") for i in (3, 6, 7, 8, 9)] +
                  [(i, "infer") for i in (1, 2, 10, 4, 5)], str(got))


def test_a_bad_request_replaces_nothing():
    with large() as d, d.connect() as c:
        send(c, dict(infer=slow()), dict(infer=low(stream="a")),
             dict(infer=infer("big", stream="a", replace=True)))
        got = [(r.id, kind(r)) for r in replies(c, 3)]
        check(got == [(3, "BAD_IMAGE"), (1, "infer"), (2, "infer")], str(got))


def test_cancel():
    with large(**PLAIN) as d, d.connect() as c:
        start = time.monotonic()
        check(c.call(infer=slow([1] * 6)).infer.label, "no answer")
        whole = time.monotonic() - start
        # One runs, one is next, one waits: each ends, in any order of asking.
        send(c, dict(infer=slow([1] * 6)), dict(infer=slow([1] * 6)), dict(infer=slow([1] * 6)),
             dict(cancel=pb.CancelRequest(id=3)), dict(cancel=pb.CancelRequest(id=2)),
             dict(cancel=pb.CancelRequest(id=77)))
        got = replies(c, 5)
        check([(r.id, kind(r)) for r in got] ==
              [(3, "CANCELLED"), (4, "cancel"), (2, "CANCELLED"), (5, "cancel"), (6, "cancel")],
              str([(r.id, kind(r)) for r in got]))
        check([got[i].cancel.requests for i in (1, 3, 4)] == [1, 1, 0], "how many there were")
        start = time.monotonic()
        c.send_bytes(c.request(id=9, cancel=pb.CancelRequest(id=1)))
        check((r := c.receive()).id == 9 and r.cancel.requests == 1, str(r))
        expect_error(r := c.receive(), pb.CANCELLED, "cancelled")
        took = time.monotonic() - start
        # 12 convolutions and some; it stops before the next.
        check(r.id == 1 and took < whole / 2, f"{took:.3f} s of {whole:.3f} s")
        n = check_counters(d)
        check((n["cancelled"], n["cancel_ok"]) == (3, 4), str(n))


def test_cancel_all_of_an_id():
    with large() as d, d.connect() as c, d.connect() as other:
        other.send_bytes(other.request(id=5, infer=low()))
        c.send_bytes(c.request(id=5, infer=slow()) * 4 +
                     c.request(id=6, cancel=pb.CancelRequest(id=5)))
        got = replies(c, 5)
        check(sorted(kind(r) for r in got) == ["CANCELLED"] * 4 + ["cancel"], str(got)[:900])
        check(next(r for r in got if r.id == 6).cancel.requests == 4, str(got)[:900])
        check(other.receive().infer.label, "it has the same id, on another connection")


def test_dead_connection_cancels_what_runs():
    with large(**PLAIN) as d:
        with d.connect() as c:
            start = time.monotonic()
            c.call(infer=slow([3] * 6))
            whole = time.monotonic() - start
        for _ in range(3):
            c = d.connect()
            send(c, *[dict(infer=slow([3] * 6))] * 3)
            until(lambda: d.status().running == 1)
            start = time.monotonic()
            c.close()
            until(lambda: d.status().running == 0)
            took = time.monotonic() - start
            check(took < whole / 2, f"{took:.3f} s of {whole:.3f} s")
        check(check_counters(d)["abandoned"] == 9, "each is counted")


def test_deadline_is_answered_in_time():
    """Not when its turn would come."""
    with large(**PLAIN) as d, d.connect() as c:
        send(c, dict(infer=slow([4] * 6)), *[dict(infer=low())] * 3,
             dict(infer=low(deadline_ms=40)), dict(infer=low(deadline_ms=10)))
        got = replies(c, 2)
        check([r.id for r in got] == [6, 5], str([(r.id, kind(r)) for r in got]))
        for r, ms in zip(got, (10, 40)):
            check(expect_error(r, pb.DEADLINE, f"{ms} ms").phase == "queue", str(r))
        check([r.id for r in replies(c, 4)] == [1, 2, 3, 4], "the others are answered")
        check(check_counters(d)["deadline"] == 2, "both are counted")


def test_deadline_as_a_moment():
    def moment(ms):
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC) + ms * 1000000

    with large() as d, d.connect() as c:
        check(c.call(infer=low(deadline_at_ns=moment(60000))).infer.label, "there is time")
        for at in (1, moment(-1)):
            e = c.error(pb.DEADLINE, "arrived", infer=low(deadline_at_ns=at, deadline_ms=60000))
            check(e.phase == "queue", str(e))
        c.error(pb.DEADLINE, "1 ms", infer=slow(deadline_at_ns=2 ** 64 - 1, deadline_ms=1))
        check(c.call(infer=low(deadline_at_ns=2 ** 64 - 1)).infer.label, "there is time")


def test_retry_hint():
    """Who waits as long as it says finds room; it grows with what waits."""
    with large(queue_limit=2, connection_inflight_limit=100) as d, d.connect() as c:
        for _ in range(12):
            c.call(infer=slow())
        start = time.monotonic()
        c.call(infer=slow())
        run_ms = (time.monotonic() - start) * 1000
        send(c, *[dict(infer=slow())] * 4)
        e = expect_error(c.receive(), pb.BUSY, "try again in")
        # One runs and two wait.
        check(run_ms < e.retry_after_ms < 12 * run_ms, f"{e.retry_after_ms} for {run_ms:.1f} each")
        replies(c, 3)
        time.sleep(e.retry_after_ms / 1000)
        check(c.call(infer=slow()).infer.label, "no room after the hint")
    with large(queue_limit=40, connection_inflight_limit=2) as d, d.connect() as c:
        send(c, *[dict(infer=low())] * 3)
        e = expect_error(c.receive(), pb.BUSY, "connection_inflight_limit is 2")
        check(e.retry_after_ms > 0, str(e))
    with large(memory_limit_bytes=30000000) as d, d.connect() as c:
        check(c.error(pb.BUSY, "memory_limit_bytes", infer=slow()).retry_after_ms == 0,
              "waiting does not help")


def churn(d, seed, failures):
    """Random calls of all kinds; each must be answered once."""
    rng = random.Random(seed)
    try:
        for _ in range(6):
            with d.connect() as c:
                ids, open_ids = 0, set()
                for _ in range(rng.randrange(1, 60)):
                    ids += 1
                    if rng.random() < 0.2 and open_ids:
                        call = dict(cancel=pb.CancelRequest(id=rng.choice(sorted(open_ids))))
                    else:
                        call = dict(infer=infer(
                            "garment", image(28, 28), level=[rng.randrange(5)] * 4,
                            request_class=rng.randrange(3), stream=rng.choice(["", "a", "b"]),
                            deadline_ms=rng.choice([0, 0, 1, 50])))
                        call["infer"].replace = bool(call["infer"].stream) and rng.random() < 0.7
                    open_ids.add(ids)
                    c.send_bytes(c.request(id=ids, **call))
                    while len(open_ids) > rng.randrange(30):
                        open_ids.remove(c.receive().id)
                if rng.random() < 0.7:
                    while open_ids:
                        open_ids.remove(c.receive().id)
    except Exception as e:
        failures.append(repr(e))


def test_any_interleaving():
    """Limits hold, every request is answered once, and the counters add up."""
    with Daemon(store("small"), workers=2, queue_limit=6, connection_inflight_limit=12) as d:
        failures = []
        threads = [threading.Thread(target=churn, args=(d, s, failures)) for s in range(8)]
        for t in threads:
            t.start()
        most = 0
        with d.connect() as c:
            while any(t.is_alive() for t in threads):
                s = c.call(status=pb.StatusRequest()).status
                most = max(most, s.queue_length)
                check(s.queue_length <= 6 and s.running <= 2, str(s))
        check(not failures, failures[:1])
        until(lambda: d.status().connections == 1)
        n = check_counters(d)
        s = d.status()
        check((s.queue_length, s.promised_bytes) == (0, 0), str(s))
        check(most and all(n[k] for k in ("infer_ok", "superseded", "cancelled", "busy")), str(n))


def test_stop_with_streams():
    with large() as d, d.connect() as c:
        send(c, dict(infer=slow()), dict(infer=low(stream="a")),
             dict(infer=low(stream="b")))
        until(lambda: d.status().running == 1)
        d.process.send_signal(signal.SIGTERM)
        got = sorted((r.id, kind(r)) for r in replies(c, 3))
        check(got == [(1, "infer"), (2, "SHUTTING_DOWN"), (3, "SHUTTING_DOWN")], str(got))


main(sys.modules[__name__])
