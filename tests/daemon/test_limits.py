"""What may pile up, counted exactly; slow, dead and too many clients; no descriptors left."""

import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time

from harness import (Daemon, check, counters, expect_error, frame, image, infer, main, pb,
                     refuse_second_half_frame, store, until)

FULL = [8] * 6  # the whole of the large store: a tenth of a second or more
LOW = [0] * 6
SMALL_BUDGET = dict(default_budget_bytes=30000000)  # keeps the warm-up short


def slow(level=None):
    return infer("big", image(8, 8), level=FULL if level is None else level)


def large(**config):
    return Daemon(store("large"), **{**SMALL_BUDGET, **config})


def ask_at_once(c, n, **call):
    """Sends n requests in one write, so that the daemon sees them together."""
    c.send_bytes(b"".join(c.request(**call) for _ in range(n)))


def test_queue_limit_is_exact():
    # The plain kernels take long enough that one still runs when the status has been gathered.
    with large(queue_limit=4, connection_inflight_limit=100, kernels="ref") as d, d.connect() as c:
        # One runs, 4 wait; the other 6 of 11 are refused. Status comes with the same write.
        c.send_bytes(b"".join(c.request(infer=slow()) for _ in range(11)) +
                     c.request(status=pb.StatusRequest()))
        for i in range(6):
            e = expect_error(c.receive(), pb.BUSY, "queue_limit is 4")
            check((e.limit_name, e.limit, e.current) == ("queue_limit", 4, 4), str(e))
        s = c.receive().status
        check((s.running, s.queue_length, s.queue_limit) == (1, 4, 4), str(s))
        check([c.receive().id for _ in range(5)] == [1, 2, 3, 4, 5], "first in, first out")
        n = counters(d.status())
        check((n["infer_ok"], n["busy"]) == (5, 6), str(n))


def test_queue_limit_in_bytes():
    heavy = infer("big", image(700, 1000), level=LOW)  # 700,000 bytes of pixels
    with large(queue_limit_bytes=1 << 20, connection_inflight_limit=100) as d, d.connect() as c:
        ask_at_once(c, 6, infer=slow())
        ask_at_once(c, 1, infer=heavy)
        # 1,400,000 bytes and more would wait, 1,048,576 may.
        ask_at_once(c, 1, infer=heavy)
        e = expect_error(c.receive(), pb.BUSY, "queue_limit_bytes is 1048576")
        check(e.limit_name == "queue_limit_bytes" and 700000 < e.current < 1048576, str(e))
        for _ in range(7):
            check(c.receive().infer.label, "the others are answered")


def test_input_limit():
    limits = dict(frame_limit_bytes=1 << 20, input_limit_bytes=1 << 20)
    with Daemon(store("small"), **limits) as d, d.connect() as first, d.connect() as second:
        ask, rest = refuse_second_half_frame(d, first, second, "input_limit_bytes")
        first.send_bytes(rest)
        check(first.receive().infer.label, "the first has its room")
        with d.connect() as c:  # and it is given back
            check(c.call(infer=ask).infer.label, "no answer")


def test_unknown_fields_are_counted():
    """A request of a few bytes in 700,000 bytes of fields that nobody knows."""
    filling = b"\x7a\xe0\xdc\x2a" + bytes(700000)  # field 15
    heavy = pb.Request(infer=slow(LOW), id=9).SerializeToString() + filling
    with large(queue_limit_bytes=1 << 20, connection_inflight_limit=100) as d, d.connect() as c:
        ask_at_once(c, 6, infer=slow())
        c.send_bytes(frame(heavy))
        c.send_bytes(frame(heavy))
        expect_error(c.receive(), pb.BUSY, "queue_limit_bytes is 1048576")
        for _ in range(7):
            check(c.receive().infer.label, "the others are answered")


def test_in_flight_limit_is_per_connection():
    with large(connection_inflight_limit=3) as d, d.connect() as c, d.connect() as other:
        ask_at_once(c, 5, infer=slow())
        for _ in range(2):
            e = expect_error(c.receive(), pb.BUSY, "connection_inflight_limit is 3")
            check((e.limit_name, e.limit, e.current) == ("connection_inflight_limit", 3, 3), str(e))
        other.send_bytes(other.request(infer=slow(LOW)))
        check(other.receive().infer.label, "another connection has its own")
        for _ in range(3):
            check(c.receive().infer.label, "no answer")
        ask_at_once(c, 3, infer=slow(LOW))
        for _ in range(3):
            check(c.receive().infer.label, "answered requests do not count any more")


def test_memory_limit():
    with large(workers=2) as d, d.connect() as c:
        need = c.call(plan=slow()).infer.bytes
        need = need.params_resident + need.io
        base = d.status().accounted_bytes
    with large(workers=2, memory_limit_bytes=base + need * 3 // 2) as d, d.connect() as c:
        # Two workers, but room for one and a half: the second waits.
        c.send_bytes(c.request(infer=slow(), id=1) + c.request(infer=slow(), id=2) +
                     c.request(status=pb.StatusRequest(), id=3))
        replies = {r.id: r for r in (c.receive() for _ in range(3))}
        s = replies[3].status
        check((s.running, s.queue_length, s.promised_bytes) == (1, 1, need), str(s))
        check(replies[1].infer.label and replies[2].infer.label, "both are answered")
    # One worker: the next run is handed to it early when both fit, and else when the first is done.
    for room, promised in ((need * 3 // 2, need), (need * 5 // 2, need * 2)):
        with large(memory_limit_bytes=base + room) as d, d.connect() as c:
            c.send_bytes(b"".join(c.request(infer=slow(), id=i) for i in (1, 2, 3)) +
                         c.request(status=pb.StatusRequest(), id=4))
            replies = {r.id: r for r in (c.receive() for _ in range(4))}
            s = replies[4].status
            check((s.running, s.queue_length, s.promised_bytes) == (1, 2, promised), str(s))
            check(all(replies[i].infer.label for i in (1, 2, 3)), "all are answered")
            check(d.status().promised_bytes == 0, "something is still promised")


def test_deadlines():
    with large() as d, d.connect() as c:
        late = slow()
        late.deadline_ms = 1
        # The first takes a tenth of a second: the second's millisecond passes in the queue.
        c.send_bytes(c.request(infer=slow(), id=1) + c.request(infer=late, id=2))
        e = expect_error(c.receive(), pb.DEADLINE, "1 ms", "queue")
        check(e.phase == "queue", str(e))
        check(c.receive().infer.label, "no answer")
        # Alone it starts in time, unless this machine is busy, and is stopped between branches.
        phases = phases_until("compute", c, slow(), 10)
        check(phases <= {"queue", "compute"}, str(phases))
        late.deadline_ms = 4000000000  # 46 days
        check(c.call(infer=late).infer.label, "a long deadline")


def phases_until(wanted, c, ask, ms):
    """Asks with a deadline until it ends in the wanted phase; the phases that were seen."""
    phases = set()
    ask.deadline_ms = ms
    for _ in range(50):
        phases.add(c.error(pb.DEADLINE, f"{ms} ms", infer=ask).phase)
        if wanted in phases:
            return phases
    raise AssertionError(f"only {phases}")


def test_deadline_while_deciding():
    """The agent looks at the answer of the lowest path, which takes longer than this deadline."""
    with Daemon(store("large", "large", "shared"), **SMALL_BUDGET) as d, d.connect() as c:
        phases = phases_until("agent", c, infer("big", image(8, 8)), 1)
        check(phases <= {"queue", "agent"}, str(phases))


def test_answers_overtake():
    """The small run is done first by far, unless this machine has no processor for it."""
    with large(workers=2) as d, d.connect() as c:
        for _ in range(20):
            c.send_bytes(c.request(infer=slow(), id=1) + c.request(infer=slow(LOW), id=2) +
                         c.request(describe=pb.DescribeRequest(), id=3))
            ids = [c.receive().id for _ in range(3)]
            check(ids[0] == 3 and sorted(ids) == [1, 2, 3], f"order {ids}")
            if ids == [3, 2, 1]:
                return
        check(False, "never")


def test_many_clients_same_answers():
    tasks = ["garment", "warm", "digit"]
    with Daemon(store("small"), workers=3, queue_limit=1000) as d:
        asks = [infer(tasks[i % 3], image(20 + i, 30, pb.RGB8 if i % 2 else pb.GRAY8, seed=i + 1),
                      top_k=10, level=[i % 5, 4 - i % 5, 2, 3]) for i in range(24)]
        with d.connect() as c:
            expected = [list(c.call(infer=a).infer.label) for a in asks]
        wrong = []

        def client(seed):
            rng = random.Random(seed)
            with d.connect() as c:
                for _ in range(10):
                    chosen = {1000 + k: rng.randrange(len(asks)) for k in range(10)}
                    c.send_bytes(b"".join(c.request(infer=asks[k], id=i)
                                          for i, k in chosen.items()))
                    while chosen:
                        r = c.receive()
                        if list(r.infer.label) != expected[chosen.pop(r.id)]:
                            wrong.append(str(r))

        threads = [threading.Thread(target=client, args=(s,)) for s in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        check(not wrong, wrong[:1])
        n = counters(d.status())
        check(n["infer_ok"] == 24 + 6 * 10 * 10, str(n))


def test_slow_reader_is_cut_off():
    with Daemon(store("small"), reply_backlog_bytes=65536) as d, d.connect() as good:
        with d.connect() as c:
            ask = c.request(describe=pb.DescribeRequest(), id=1) * 100
            try:
                while True:  # the socket's own buffers take some first
                    c.send_bytes(ask)
            except (BrokenPipeError, ConnectionResetError):
                pass
        check(good.call(describe=pb.DescribeRequest()).describe.store == "small", "no answer")
        n = counters(good.call(status=pb.StatusRequest()).status)
        check(n["slow_readers_cut"] == 1, str(n))
        until(lambda: b"reply_backlog_bytes is 65536" in d.log, "nothing in the log")


def test_reader_that_sleeps_is_cut_off():
    """With less unread than it may leave; one that reads a little at a time may stay."""
    with Daemon(store("small"), reply_timeout_ms=500, reply_backlog_bytes=1 << 20) as d:
        with d.connect() as sleeper, d.connect() as slow_one, d.connect() as good:
            for c in (sleeper, slow_one):
                fill(c)
            start = time.monotonic()
            while counters(good.call(status=pb.StatusRequest()).status)["slow_readers_cut"] == 0:
                check(len(slow_one.socket.recv(4096)) > 0, "the slow one was cut off")
                check(time.monotonic() - start < 60, "the sleeper is never cut off")
                time.sleep(0.02)
            check(time.monotonic() - start > 0.2, "too soon")
            check(len(slow_one.socket.recv(4096)) > 0, "the slow one was cut off")
        until(lambda: b"reply_timeout_ms is 500" in d.log, "nothing in the log")


def fill(c):
    """Asks until the socket is full of answers, and some of them wait in the daemon."""
    ask = c.request(describe=pb.DescribeRequest(), id=1)
    length = len(frame(c.call(describe=pb.DescribeRequest()))) * 50
    sent = 0
    while sent < 700000:  # the socket takes some 210,000 bytes, 1 MiB may wait
        c.send_bytes(ask * 50)
        sent += length


def killed_client(d, n):
    """A client process that has n requests in flight when it is killed."""
    ready, told = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            c = d.connect()
            ask_at_once(c, n, infer=slow())
            os.write(told, b"x")
            time.sleep(600)
        finally:
            os._exit(1)
    os.close(told)
    os.read(ready, 1)
    os.close(ready)
    return pid


def test_killed_client():
    with large(connection_inflight_limit=100) as d:
        pid = killed_client(d, 20)
        until(lambda: d.status().running == 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        until(lambda: d.status().connections == 1)
        s = d.status()
        check(s.queue_length == 0, "its waiting requests are still there")
        until(lambda: d.status().running == 0)
        n = counters(d.status())
        check(n["abandoned"] + n["infer_ok"] == 20 and n["abandoned"] >= 18, str(n))
        with d.connect() as c:
            check(c.call(infer=slow(LOW)).infer.label, "no answer")


def memory_while_next(d, c):
    """(running, waiting, promised) while a request is next behind one of c's, and after its client
    left, both while that one runs, unless this machine is busy."""
    ask_at_once(c, 1, infer=slow())
    with d.connect() as other:
        other.send_bytes(other.request(infer=slow()) + other.request(status=pb.StatusRequest()))
        r = other.receive()
        before = r.status if r.WhichOneof("result") == "status" else other.receive().status
    after = d.status()
    check(c.receive().infer.label, "no answer")
    until(lambda: d.status().running == 0)
    return [(s.running, s.queue_length, s.promised_bytes) for s in (before, after)]


def test_client_leaves_while_its_request_is_next():
    """A worker has it already, behind what it runs; it is taken back."""
    with large() as d, d.connect() as c:
        need = c.call(plan=slow()).infer.bytes
        need = need.params_resident + need.io
        seen = []
        while [(1, 1, 2 * need), (1, 0, need)] not in seen:
            check(len(seen) < 100, str(seen))
            seen.append(memory_while_next(d, c))
        s = d.status()
        n = counters(s)
        check(n["infer_ok"] + n["abandoned"] == 2 * len(seen), str(n))
        check((s.queue_length, s.promised_bytes) == (0, 0), str(s))


def test_worker_goes_on_without_the_loop():
    """With others waiting, a worker that is done has its next job; it does not sleep until the
    loop has looked."""
    with Daemon(store("small"), connection_inflight_limit=1000, queue_limit=1000) as d:
        tasks = [t for t in os.listdir(f"/proc/{d.process.pid}/task") if int(t) != d.process.pid]
        check(len(tasks) == 1, str(tasks))
        counts = []
        while not counts or min(counts) >= 100:  # a busy machine keeps the loop away
            check(len(counts) < 10, f"sleeps for 500 runs: {counts}")
            counts.append(sleeps_for_500_runs(d, tasks[0]))


def sleeps_for_500_runs(d, task):
    before = sleeps(d, task)
    with d.connect() as c:
        ask_at_once(c, 500, infer=infer("garment", image(28, 28), level=[4] * 4))
        for _ in range(500):
            check(c.receive().infer.label, "no answer")
    return sleeps(d, task) - before


def sleeps(d, task):
    with open(f"/proc/{d.process.pid}/task/{task}/status") as f:
        return int(next(line.split()[1] for line in f if line.startswith("voluntary")))


def test_clients_killed_at_any_moment():
    with Daemon(store("small"), workers=2) as d:
        whole = None
        for i in range(200):
            c = d.connect()
            whole = whole or c.request(infer=infer("garment", image(28, 28)))
            c.send_bytes(whole * (i % 7) + whole[:i * 3])
            if i % 2:  # closing with unread answers resets the connection
                c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.close()
        until(lambda: d.status().connections == 1)
        until(lambda: d.status().running == 0)
        n = counters(d.status())
        outcomes = sum(v for k, v in n.items()
                       if not k.startswith("connections") and k not in
                       ("requests_received", "slow_readers_cut", "slow_writers_cut"))
        # The status request that asks is received, and not yet counted as answered.
        check(n["requests_received"] == outcomes + 1, str(n))


def test_connections_limit():
    with Daemon(store("small"), connections_limit=3) as d:
        open_ones = [d.connect() for _ in range(3)]
        for c in open_ones:
            c.call(describe=pb.DescribeRequest())
        with d.connect() as c:
            r = c.receive()
            check(r.id == 0, str(r))
            e = expect_error(r, pb.BUSY, "connections_limit is 3")
            check((e.limit_name, e.limit, e.current) == ("connections_limit", 3, 3), str(e))
            check(c.at_end(), "the connection is still open")
        s = open_ones[0].call(status=pb.StatusRequest()).status
        check(counters(s)["connections_refused"] == 1 and s.connections == 3, str(s))
        open_ones.pop().close()
        until(lambda: open_ones[0].call(status=pb.StatusRequest()).status.connections == 2)
        check(d.status().connections == 3, "there is room again")
        for c in open_ones:
            c.close()


def test_out_of_descriptors():
    """40 clients and 28 descriptors: those that are in are served, the others later."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (28, 28))

    with Daemon(store("small"), preexec=few) as d:
        clients = [d.connect() for _ in range(40)]
        good = clients[0]
        until(lambda: b"resting" in d.log, "the listener never rests")
        check(good.call(infer=infer("garment", image(28, 28))).infer.label, "no answer")
        good.error(pb.RELOAD_FAILED, "Too many open files", "the running store stays",
                   reload=pb.ReloadRequest())
        inside = good.call(status=pb.StatusRequest()).status.connections
        check(10 <= inside < 28, f"{inside} of 28 descriptors are connections")
        for c in clients[1:inside]:
            c.close()
        late = clients[inside]
        check(late.call(infer=infer("garment", image(28, 28))).infer.label, "never let in")
        check(d.log.count(b"resting") == 1, "a line per attempt")
        for c in clients:
            c.close()


def test_slow_writer_is_cut_off():
    """However it doles its bytes out; one that sends whole requests, or nothing, may stay."""
    ask = infer("garment", image(28, 28))
    with Daemon(store("small"), frame_timeout_ms=500) as d:
        with d.connect() as idle, d.connect() as slow_one, d.connect() as good:
            whole = slow_one.request(infer=ask, id=7)
            start = time.monotonic()
            slow_one.send_bytes(whole + whole[:1])
            check(slow_one.receive().id == 7, "what was whole is answered")
            answered, sent = 0, 1
            while not slow_one_is_told(slow_one):
                slow_one.send_bytes(whole[sent:sent + 1])
                good.send_bytes(whole + whole[:20])  # always the start of the next
                check(good.receive().infer.label, "no answer")
                good.send_bytes(whole[20:])
                check(good.receive().infer.label, "no answer")
                answered, sent = answered + 2, sent + 1
                time.sleep(0.01)
            took = time.monotonic() - start
            e = expect_error(r := slow_one.receive(), pb.DEADLINE, "frame_timeout_ms (500)")
            check(e.phase == "arrival" and r.id == 0, str(r))
            check(slow_one.at_end() and 0.4 < took < 60 and answered, f"{took:.2f} s")
            check(idle.call(infer=ask).infer.label, "silence is no offence")
            n = counters(good.call(status=pb.StatusRequest()).status)
            check((n["slow_writers_cut"], n["deadline"]) == (1, 1), str(n))
            check(n["requests_received"] == n["infer_ok"] + n["deadline"] + 1, str(n))
        until(lambda: b"arrived in frame_timeout_ms" in d.log, "nothing in the log")


def slow_one_is_told(c):
    return bool(select.select([c.socket], [], [], 0)[0])


def test_silent_client_at_the_end_of_its_frame():
    """A half frame holds nothing but its own connection."""
    with Daemon(store("small")) as d, d.connect() as half, d.connect() as c:
        half.send_bytes(half.request(infer=infer("garment", image(28, 28)))[:-1])
        check(c.call(infer=infer("garment", image(28, 28))).infer.label, "no answer")
        half.send_bytes(b"\0")
        check(half.receive().id == 1, "the rest came")


main(sys.modules[__name__])
