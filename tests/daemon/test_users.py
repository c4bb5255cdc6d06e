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


def test_an_eighth_of_the_connections_is_for_others():
    with small(connections_limit=16) as d:
        mine = [d.connect() for _ in range(14)]  # 16 - 16 / 8
        served(mine[-1])
        turned_away(d, "uid_connections_limit", 14, 14)
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
    c.send_bytes(b"".join(c.request(infer=slow([0] * 6)) for _ in range(of)))
    kinds = [c.receive().WhichOneof("result") for _ in range(of)]
    check(kinds.count("infer") == n, str(kinds))


def test_a_user_alone_may_have_all():
    with large(queue_limit=4) as d, d.connect() as c:
        answered(c, 5, 9)  # one runs and 4 wait


def test_a_user_who_is_not_alone_leaves_a_quarter():
    """It may have three requests in flight where four may wait, and the other is served."""
    ready, told = os.pipe()

    def other(c):
        c.call(status=pb.StatusRequest())
        os.write(told, b"x")
        c.socket.recv(1)  # until the daemon ends, or this process is killed

    with large(queue_limit=4) as d, d.connect() as c:
        pid = as_user(4000, other, d, wait=False)
        os.read(ready, 1)
        c.send_bytes(b"".join(c.request(infer=slow()) for _ in range(9)))
        for _ in range(6):
            e = expect_error(c.receive(), pb.BUSY, "uid_inflight_limit is 3", "user 0 has 3")
        as_user(4001, lambda o: check(o.call(infer=slow([0] * 6)).infer.label, "no answer"), d)
        check(all(c.receive().infer.label for _ in range(3)), "no answer")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        until(lambda: d.status().connections == 2)
        answered(c, 5, 9)  # alone again: one runs and 4 wait


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
