"""What one user may hold over all its connections, and what the others notice of it. Needs root, as
./check has it, to be several users."""

import os
import signal
import sys
import time

from harness import (Closed, Daemon, as_user, check, counters, expect_error, for_everybody, frame,
                     image, infer, main, pb, refuse_second_half_frame, store, until)

ASK = dict(infer=infer("garment", image(28, 28)))
FULL = [8] * 6  # of the large store: a tenth of a second or more


def small(**config):
    return for_everybody(store("small"), **config)


def large(**config):
    return for_everybody(store("large"), default_budget_bytes=30000000,
                         connection_inflight_limit=100, **config)


def slow(level=None, **fields):
    return infer("big", image(8, 8), level=FULL if level is None else level, **fields)


def turned_away(d, name, limit, current):
    """A new connection is told so, and closed."""
    with d.connect() as c:
        e = expect_error(r := c.receive(), pb.BUSY, f"user 0 has {current} ", f"{name} is {limit}")
        check((r.id, e.limit_name, e.limit, e.current) == (0, name, limit, current), str(r))
        check(e.retry_after_ms > 0 and c.at_end(), str(r))
        return e


def served(c):
    check(c.call(**ASK).infer.label, "no answer")


def test_connections():
    with small(uid_connections_limit=2) as d:
        with d.connect() as a, d.connect() as b:
            served(a)
            served(b)
            turned_away(d, "uid_connections_limit", 2, 2)
            as_user(4000, served, d)
            check(counters(a.call(status=pb.StatusRequest()).status)["connections_refused"] == 1,
                  "count")
        until(lambda: d_is_free(d), "never free again")


def d_is_free(d):
    with d.connect() as c:
        try:
            c.send_bytes(c.request(**ASK))
            return c.receive().WhichOneof("result") == "infer"
        except (Closed, BrokenPipeError, ConnectionResetError):
            return False


def test_a_quarter_of_the_connections_is_for_others():
    with small(connections_limit=16) as d:
        mine = [d.connect() for _ in range(12)]  # three times the 4 that are left
        served(mine[-1])
        turned_away(d, "uid_connections_limit", 12, 12)
        as_user(4000, served, d)
        for c in mine:
            c.close()


def test_connection_rate():
    with small(uid_connections_per_s=10) as d:
        start = time.monotonic()
        for _ in range(10):  # a second's worth at once; one more takes a tenth of a second
            with d.connect() as c:
                served(c)
        if time.monotonic() - start < 0.09:
            e = turned_away(d, "uid_connections_per_s", 10, 9)
            check(e.retry_after_ms <= 101, str(e))
            as_user(4000, served, d)
            time.sleep(e.retry_after_ms / 1000 + 0.01)
            with d.connect() as c:
                served(c)


def test_requests_in_flight():
    # the plain kernels: what a asks for first must run until the others were refused
    with large(kernels="ref", uid_inflight_limit=3,
               uid_limits={"4000": {"uid_inflight_limit": 5}}) as d:
        with d.connect() as a, d.connect() as b:
            a.send_bytes(b"".join(a.request(infer=slow()) for _ in range(2)))
            until(lambda: in_flight(d) == 2)
            b.send_bytes(b"".join(b.request(infer=slow([0] * 6)) for _ in range(3)))
            for _ in range(2):
                e = expect_error(b.receive(), pb.BUSY, "uid_inflight_limit is 3")
                check((e.limit_name, e.limit, e.current) == ("uid_inflight_limit", 3, 3), str(e))
                check(e.retry_after_ms > 0, str(e))
            as_user(4000, lambda c: answered(c, 5, 6), d)
            check(all(c.receive().infer.label for c in (a, a, b)), "no answer")
            until(lambda: d.status().running == 0)
            check(b.call(infer=slow([0] * 6)).infer.label, "it is given back")


def in_flight(d):
    """Asked as somebody else, who may."""
    n = []

    def ask(c):
        s = c.call(status=pb.StatusRequest()).status
        n.append(s.running + s.queue_length)
        check(s.running + s.queue_length == 2, str(s))

    as_user(4001, ask, d)
    return 2


def answered(c, n, of):
    """Of so many requests at once, n are answered and the others are too many."""
    # the first runs until all have come
    c.send_bytes(b"".join(c.request(infer=slow() if i == 0 else slow([0] * 6)) for i in range(of)))
    kinds = [c.receive().WhichOneof("result") for _ in range(of)]
    check(kinds.count("infer") == n, str(kinds))


def test_a_user_alone_may_have_all():
    with large(queue_limit=4) as d, d.connect() as c:
        answered(c, 5, 9)  # one runs and 4 wait


def test_who_has_less_displaces_who_has_most():
    with large(queue_limit=4, kernels="ref") as d, d.connect() as c:
        c.send_bytes(b"".join(c.request(infer=slow()) for _ in range(9)))
        for i in range(6, 10):  # one runs and 4 wait
            expect_error(r := c.receive(), pb.BUSY, "queue_limit is 4")
            check(r.id == i, str(r))
        as_user(4001, lambda o: check(o.call(infer=slow([0] * 6)).infer.label, "no answer"), d)
        kinds = {}
        for _ in range(5):
            r = c.receive()
            kinds[r.id] = r.WhichOneof("result")
            if r.id == 5:
                e = expect_error(r, pb.BUSY, "user 0 has 4", "made room", "queue_limit is 4")
                check((e.limit_name, e.limit, e.current) == ("queue_limit", 4, 4), str(e))
                check(e.retry_after_ms > 0, str(e))
        check(kinds == {1: "infer", 2: "infer", 3: "infer", 4: "infer", 5: "error"}, str(kinds))
        check(counters(d.status())["busy"] == 5, "counted")


def test_who_has_fewer_bytes_displaces():
    heavy = infer("big", image(700, 1000), level=[0] * 6)  # 700,000 bytes of pixels
    with large(queue_limit_bytes=2 << 20, kernels="ref") as d, d.connect() as c:
        c.send_bytes(b"".join(c.request(infer=i) for i in [slow()] + [heavy] * 2))
        until(lambda: d.status().queue_length == 2)
        as_user(4001, lambda o: check(o.call(infer=heavy).infer.label, "no answer"), d)
        e = expect_error(r := c.receive(), pb.BUSY, "user 0 has 1", "queue_limit_bytes is 2097152")
        check(r.id == 3 and e.limit_name == "queue_limit_bytes" and e.current > 1400000, str(e))
        check(all(c.receive().infer.label for _ in range(2)), "the others are answered")


def test_displacing_is_no_use_among_equals():
    """Nor for one who has as much himself, nor to come before the control class."""
    control = slow(request_class=pb.CONTROL)
    with large(queue_limit=4, kernels="ref") as d, d.connect() as c:
        c.send_bytes(b"".join(c.request(infer=i) for i in [slow()] + [control] * 4))
        until(lambda: d.status().queue_length == 4)
        as_user(4001, lambda o: o.error(pb.BUSY, "4 requests wait", infer=slow()), d)
        check(all(c.receive().infer.label for _ in range(5)), "refused")


def ask_for_too_much(told):
    """A test of a user: asks for more than there is room for, and stays with what it got."""
    def ask(c):
        c.send_bytes(b"".join(c.request(infer=slow()) for _ in range(60)))
        first = c.receive()
        check(first.WhichOneof("result") == "error" and first.error.code == pb.BUSY, str(first))
        os.write(told, b"x")
        while True:
            c.receive()
    return ask


def test_many_who_take_all_they_can_leave_room():
    """Five users fill the queue again and again; the sixth has its place."""
    ready, told = os.pipe()
    with large(queue_limit=64, kernels="ref") as d, d.connect() as c:
        pids = []
        for uid in range(4000, 4005):
            pids.append(as_user(uid, ask_for_too_much(told), d, wait=False))
            os.read(ready, 1)
        check(d.status().queue_length > 40, str(d.status()))
        c.send_bytes(c.request(infer=slow([0] * 6), id=7) + c.request(infer=slow([0] * 6), id=8))
        until(lambda: d.status().queue_length)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        check([(r.id, bool(r.infer.label)) for r in (c.receive(), c.receive())] ==
              [(7, True), (8, True)], "refused")


def test_bytes_that_wait():
    heavy = infer("big", image(700, 1000), level=[0] * 6)  # 700,000 bytes of pixels
    with large(uid_queue_limit_bytes=1 << 20) as d, d.connect() as c:
        c.send_bytes(b"".join(c.request(infer=i) for i in [slow()] * 6 + [heavy]))
        c.send_bytes(c.request(infer=heavy))
        e = expect_error(c.receive(), pb.BUSY, "uid_queue_limit_bytes is 1048576")
        check(e.limit_name == "uid_queue_limit_bytes" and 700000 < e.current < 1 << 20, str(e))
        for _ in range(7):
            check(c.receive().infer.label, "the others are answered")
        check(c.call(infer=heavy).infer.label, "it is given back")
    with large(uid_queue_limit_bytes=1) as d, d.connect() as c:
        check(c.call(infer=heavy).infer.label, "one may always wait")


def test_bytes_that_arrive():
    with small(uid_input_limit_bytes=1 << 20) as d, d.connect() as first, d.connect() as second:
        ask, rest = refuse_second_half_frame(d, first, second, "uid_input_limit_bytes")
        as_user(4000, lambda c: check(c.call(infer=ask).infer.label, "no answer"), d)
        first.send_bytes(rest)
        check(first.receive().infer.label, "the first has its room")


def test_replies_that_nobody_reads():
    """Two connections, each within its own limit."""
    with small(reply_backlog_bytes=1 << 20, uid_reply_backlog_bytes=100000) as d:
        with d.connect() as a, d.connect() as b, d.connect() as good:
            ask = a.request(describe=pb.DescribeRequest(), id=1) * 100
            cut = 0
            for c in (a, b):
                c.socket.settimeout(0.2)
                try:
                    while True:  # the socket's own buffers take some first
                        c.send_bytes(ask)
                except TimeoutError:
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    cut += 1
            check(cut >= 1, "nobody was cut off")
            check(good.call(describe=pb.DescribeRequest()).describe.store == "small", "no answer")
            n = counters(good.call(status=pb.StatusRequest()).status)
            check(n["slow_readers_cut"] == cut, str(n))
        until(lambda: b"uid_reply_backlog_bytes is 100000" in d.log, "nothing in the log")


def test_one_log_line_for_a_burst():
    with small(uid_inflight_limit=1, connection_inflight_limit=100) as d, d.connect() as c:
        for _ in range(20):
            c.send_bytes(c.request(status=pb.StatusRequest()) * 5)
            [c.receive() for _ in range(5)]
        until(lambda: b"refused user 0: uid_inflight_limit is 1 and 1 are in use" in d.log)
        check(d.log.count(b"refused user") == 1, d.log.decode())


def test_many_users_are_forgotten():
    with small() as d:
        for uid in range(5000, 5100):
            as_user(uid, served, d)
        with d.connect() as c:
            served(c)


def test_churn_leaves_nothing_behind():
    """Limits of one, after connections that ended in every way."""
    with small(uid_inflight_limit=16, connections_limit=20, uid_connections_limit=16) as d:
        whole = frame(pb.Request(id=1, **ASK))
        for i in range(300):
            with d.connect() as c:
                try:
                    c.send_bytes(whole * (i % 12) + whole[:i % 50])
                except (BrokenPipeError, ConnectionResetError):
                    pass
        until(lambda: d_is_free(d))
        with d.connect() as c:
            until(lambda: c.call(status=pb.StatusRequest()).status.running == 0)
            c.send_bytes(b"".join(c.request(**ASK) for _ in range(16)))
            check(all(c.receive().infer.label for _ in range(16)), "something is still counted")


if os.geteuid():
    print("not root: skipped")
    sys.exit(77)
main(sys.modules[__name__])
