"""Whatever fails while a request lives: the right answer, a typed error, or the end of its
connection; never a wrong answer, never silence, and nothing is left behind."""

import errno
import fcntl
import os
import signal
import socket
import sys
import threading
import time

from injected import Injected
from harness import (Closed, Connection, check, counters, expect_error, image, infer, main, pb,
                     store, until)

SIDE = 300  # large enough to make buffers grow


def sealed(data):
    fd = os.memfd_create("faults", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.pwrite(fd, data, 0)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


PIXELS = image(SIDE, SIDE)
SMALL = image(28, 28)
MEMFD = pb.Image(format=pb.GRAY8, width=SIDE, height=SIDE, memfd_bytes=SIDE * SIDE)
ASKED = {"uniform": True, "top_k": 10}


def ask(c, img=PIXELS, fds=(), **fields):
    data = c.request(infer=infer("garment", img, **ASKED, **fields))
    n = socket.send_fds(c.socket, [data], list(fds))
    if n < len(data):
        c.send_bytes(data[n:])


# Each is one life of a request on a connection of its own: returns what came back.


def inline(d, c):
    ask(c)
    return [c.receive()]


def by_memfd(d, c):
    fd = sealed(PIXELS.pixels)
    try:
        ask(c, MEMFD, [fd])
        return [c.receive()]
    finally:
        os.close(fd)


def one(c, **call):
    """A request that could not even be read is answered with the id 0."""
    r = c.call(id=7, **call)
    check(r.id == 7 or (r.id == 0 and r.HasField("error")), str(r))
    return [r]


def plan(d, c):
    return one(c, plan=infer("garment", PIXELS, uniform=True))


def describe(d, c):
    return one(c, describe=pb.DescribeRequest())


def status(d, c):
    return one(c, status=pb.StatusRequest())


def reload(d, c):
    return one(c, reload=pb.ReloadRequest())


def several(d, c):
    """Superseded, cancelled, and in flight when the connection ends."""
    for _ in range(3):
        ask(c, stream="camera", replace=True)
    ask(c)
    c.send_bytes(c.request(cancel=pb.CancelRequest(id=c.next_id - 1)))
    return [c.receive() for _ in range(5)]


LIVES = (inline, by_memfd, plan, describe, status, reload, several)
EXPECTED = {pb.INTERNAL, pb.RELOAD_FAILED, pb.SUPERSEDED, pb.CANCELLED}


def good_answer(d):
    with d.connect() as c:
        ask(c)
        return c.receive().infer.label


def right(response, want):
    """An answer must be the right one, a refusal one that has to do with this. True when nothing
    has failed."""
    what = response.WhichOneof("result")
    if what == "error":
        check(response.error.code in EXPECTED and response.error.message, str(response))
        return response.error.code in (pb.SUPERSEDED, pb.CANCELLED)
    if what == "infer" and response.infer.label:
        check(response.infer.label == want, f"a wrong answer: {response}")
    else:
        check(what in ("infer", "describe", "status", "reload", "cancel"), str(response))
    return True


def live(d, life, want):
    """One life; True when it was as if nothing had failed."""
    try:
        with d.connect() as c:
            return all([right(r, want) for r in life(d, c)])
    except (Closed, ConnectionResetError, BrokenPipeError):
        return False
    finally:
        check(d.process.poll() is None, f"{life.__name__}: the daemon ended: {d.log.decode()}")


def at_rest(d, descriptors):
    d.faults.none()
    until(lambda: d.status().connections == 1)
    until(lambda: d.descriptors() == descriptors, "descriptors are left over")
    s = d.status()
    check((s.running, s.queue_length, s.promised_bytes) == (0, 0, 0), str(s))
    n = counters(s)
    ended = sum(v for k, v in n.items() if k not in (
        "requests_received", "connections_accepted", "connections_refused", "slow_readers_cut",
        "slow_writers_cut"))
    check(n["requests_received"] == ended + 1, f"one was not counted: {n}")


def every_allocation(d, life, want, in_a_row):
    """Returns how many there are."""
    n, whole = 1, 0
    while whole < 3:  # beyond the last one; the number differs a little from life to life
        d.faults.fail_allocation(n, in_a_row)
        unharmed = live(d, life, want)
        failed = d.faults.failed
        d.faults.none()
        check(failed or unharmed, f"{life.__name__}: nothing failed, and yet")
        whole = 0 if failed else whole + 1
        n += 1
    check(good_answer(d) == want, f"after {life.__name__}")
    return n - whole - 1


def test_every_allocation_of_every_life():
    with Injected(store("small")) as d:
        before = d.descriptors()
        want = good_answer(d)
        for life in LIVES:
            for in_a_row in (0, 1 << 30) if life is reload else (0, 2, 1 << 30):
                n = every_allocation(d, life, want, in_a_row)
            check(n > 1 or life in (describe, status), f"{life.__name__} allocates {n} times")
        at_rest(d, before)
        check(b"no memory" in d.log, "nothing of it in the log")


def test_no_memory_for_more_and_more_connections():
    """The tables of the event loop grow with them, too."""
    for first in range(1, 6):
        with Injected(store("tiny"), connections_limit=300, uid_connections_limit=300) as d:
            before = d.descriptors()
            kept = []
            for _ in range(150):
                d.faults.fail_allocation(first, 1 << 30)
                kept.append(d.connect())
                try:
                    describe(d, kept[-1])
                except (Closed, ConnectionResetError, BrokenPipeError):
                    kept.pop().close()
                    d.faults.none()
                    kept.append(d.connect())
                check(d.process.poll() is None, d.log.decode())
            d.faults.none()
            good_answer_of_tiny(d)
            for c in kept:
                c.close()
            at_rest(d, before)


def good_answer_of_tiny(d):
    with d.connect() as c:
        check(c.call(infer=infer("t", image(4, 4))).infer.label, "no answer")


def test_short_reads_and_writes():
    with Injected(store("small")) as d:
        before = d.descriptors()
        want = good_answer(d)
        for most in (4096, 61, 7):
            d.faults.bytes_once = most
            for life in LIVES:
                check(live(d, life, want), f"{life.__name__} in pieces of {most}")
        d.faults.bytes_once = 1
        for life in (describe, by_memfd, status):
            check(live(d, life, want), f"{life.__name__} byte by byte")
        at_rest(d, before)


def test_interrupted_calls():
    with Injected(store("small")) as d:
        before = d.descriptors()
        want = good_answer(d)
        for every in (2, 3, 5):
            d.faults.interrupted = every
            d.faults.bytes_once = 1000
            for life in LIVES:
                check(live(d, life, want), f"{life.__name__}, each call {every}")
        at_rest(d, before)


def test_stopped_and_continued():
    """A real storm: epoll and everything else that waits is interrupted by SIGCONT."""
    with Injected(store("small"), workers=2) as d:
        want = good_answer(d)
        end = threading.Event()

        def storm():
            while not end.is_set():
                d.process.send_signal(signal.SIGSTOP)
                time.sleep(0.0005)
                d.process.send_signal(signal.SIGCONT)
                time.sleep(0.0005)

        thread = threading.Thread(target=storm)
        thread.start()
        try:
            for life in LIVES * 5:
                check(live(d, life, want), life.__name__)
        finally:
            end.set()
            thread.join()
            d.process.send_signal(signal.SIGCONT)


def test_accepting_fails():
    """Those who are in are served; those who come wait, and are let in later."""
    with Injected(store("small")) as d:
        before = d.descriptors()
        want = good_answer(d)
        with d.connect() as inside:
            inside.call(describe=pb.DescribeRequest())
            for error in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EPERM):
                d.faults.accept_errno = error
                late = d.connect()
                ask(late, SMALL)  # it fits a socket that nobody reads
                ask(inside)
                check(inside.receive().infer.label == want, "who is in is not served")
                time.sleep(0.01)
                d.faults.none()
                check(late.receive().infer.label, f"{os.strerror(error)}: never let in")
                late.close()
        at_rest(d, before)
        check(b"resting" in d.log, "nothing in the log")


def test_no_threads():
    """Status, Reload and what closes a stranger's descriptor want one; requests do not."""
    with Injected(store("small")) as d:
        before = d.descriptors()
        want = good_answer(d)
        d.faults.thread_errno = errno.EAGAIN
        with d.connect() as c:
            c.error(pb.INTERNAL, os.strerror(errno.EAGAIN), status=pb.StatusRequest())
            c.error(pb.RELOAD_FAILED, os.strerror(errno.EAGAIN), reload=pb.ReloadRequest())
            ask(c)
            check(c.receive().infer.label == want, "no answer")
            with open("/dev/null") as f:
                ask(c, MEMFD, [f.fileno()])
                expect_error(c.receive(), pb.BAD_FRAME, "no memfd")
        at_rest(d, before)


def test_memfd_that_cannot_be_mapped():
    with Injected(store("small")) as d:
        before = d.descriptors()
        want = good_answer(d)
        for error, code in ((errno.ENOMEM, pb.INTERNAL), (errno.EACCES, pb.BAD_IMAGE),
                            (errno.ENODEV, pb.BAD_IMAGE)):
            d.faults.map_errno = error
            with d.connect() as c:
                expect_error(by_memfd(d, c)[0], code, "memfd")
                d.faults.none()
                check(by_memfd(d, c)[0].infer.label == want, "the connection goes on")
        at_rest(d, before)


def test_stuck_worker():
    """It takes its own request with it, and nobody else's: what needs no worker is answered, and
    the rest waits, is refused when the queue is full, and is told when the daemon stops."""
    d = Injected(store("small"), env={"VIRTUALNETD_TEST_HANG_TASK": "warm"}, queue_limit=4,
                 shutdown_grace_ms=10)
    d.allowed_exits = (1,)
    with d, d.connect() as stuck, d.connect() as c:
        want = good_answer(d)
        stuck.send_bytes(stuck.request(infer=infer("warm", PIXELS)))
        until(lambda: d.status().running == 1)
        check(c.call(describe=pb.DescribeRequest()).describe.store, "no Describe")
        deadline = c.request(infer=infer("garment", PIXELS, deadline_ms=50))
        c.send_bytes(deadline)
        expect_error(c.receive(), pb.DEADLINE)
        for _ in range(12):
            ask(c)
        busy = expect_error(c.receive(), pb.BUSY)
        check(busy.limit_name, str(busy))
        while d.status().queue_length < 3:
            time.sleep(0.01)
        d.process.send_signal(signal.SIGTERM)
        codes = []
        try:
            while True:
                codes.append(c.receive().error.code)
        except (Closed, ConnectionResetError):
            pass
        check(pb.SHUTTING_DOWN in codes and set(codes) <= {pb.BUSY, pb.SHUTTING_DOWN}, str(codes))
        check(len(codes) == 11, f"{len(codes)} of 11 were answered: {codes}")
        check(want, "no answer")


main(sys.modules[__name__])
