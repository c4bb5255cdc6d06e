"""Pixels in a sealed memfd: the same answers as inline, every bad one refused with its reason, and
no descriptor and no mapping left behind by any of them."""

import fcntl
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time

import fuse
from harness import (Closed, Daemon, check, counters, expect_error, frame, image, infer, main, pb,
                     store, until)

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
WIDE = 100  # pixels of a row


def sealed(data, seals=SEALS, flags=0):
    fd = os.memfd_create("pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | flags)
    os.truncate(fd, len(data))
    if not flags:
        os.pwrite(fd, data, 0)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def pixels(rows, seed=1):
    return image(WIDE, rows, seed=seed).pixels


def there(n, rows=50, offset=0, **fields):
    """An image whose n bytes are in a memfd."""
    return pb.Image(format=pb.GRAY8, width=WIDE, height=rows, memfd_offset=offset, memfd_bytes=n,
                    **fields)


def send(c, img, fds, call="infer", **fields):
    socket.send_fds(c.socket, [c.request(**{call: infer("garment", img, **fields)})], fds)


def ask(c, img, fds, **fields):
    send(c, img, fds, **fields)
    return c.receive()


def at_rest(d, descriptors):
    """Nothing is held any more: no descriptor, no mapping, no request."""
    until(lambda: d.descriptors() == descriptors,
          f"{d.descriptors()} descriptors, not {descriptors}")
    until(lambda: not maps(d), str(maps(d)))


def maps(d):
    with open(f"/proc/{d.process.pid}/maps") as f:
        return [line for line in f if "memfd:pixels" in line]


def test_same_answer_as_inline():
    data = pixels(50)
    with Daemon(store("small")) as d:
        with d.connect() as c:
            inline = c.call(infer=infer("garment", image(WIDE, 50), top_k=10)).infer
            before = d.descriptors()
            for offset in (0, 1, 4095, 4096, 5000):
                for seals in (SEALS, SEALS | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL):
                    fd = sealed(b"x" * offset + data + b"y", seals)
                    r = ask(c, there(len(data), offset=offset), [fd], top_k=10).infer
                    check(r.label == inline.label, f"offset {offset}: {r}")
                    check(r.bytes == inline.bytes, "another promise")
                    os.close(fd)
            fd = sealed(data)
            send(c, there(len(data)), [fd], call="plan")
            check(c.receive().infer.level == inline.level, "another plan")
            at_rest(d, before)


def test_describe_says_so():
    with Daemon(store("small"), frame_limit_bytes=8192) as d, d.connect() as c:
        says = c.call(describe=pb.DescribeRequest()).describe
        check(says.memfd_limit_bytes == 8192, str(says.memfd_limit_bytes))


def test_stride_and_size():
    data = pixels(50)
    with Daemon(store("small")) as d, d.connect() as c:
        for rows, stride, fits in ((50, 0, True), (49, 102, True), (50, 101, False),
                                   (51, 0, False), (50, 99, False), (2, 2 ** 32 - 1, False)):
            fd = sealed(data)
            r = ask(c, there(5000, rows=rows, stride=stride), [fd])
            check((r.WhichOneof("result") == "infer") == fits, f"{rows}, {stride}: {r}")
            if not fits:
                expect_error(r, pb.BAD_IMAGE)
            os.close(fd)


def test_bounds():
    data = pixels(50)
    with Daemon(store("small"), frame_limit_bytes=8192) as d, d.connect() as c:
        c.call(describe=pb.DescribeRequest())
        before = d.descriptors()
        fd = sealed(data * 2)
        for n, offset, *words in (
                (5001, 5000, "memfd_offset 5000", "has 10000"),
                (1, 10000), (1, 2 ** 63), (5000, 2 ** 64 - 5000), (5000, 2 ** 64 - 1),
                (8193, 0, "1 to 8192"), (2 ** 64 - 1, 0), (2 ** 64 - 1, 1), (2 ** 63, 2 ** 63)):
            expect_error(ask(c, there(n, offset=offset), [fd]), pb.BAD_IMAGE, *words)
        check(ask(c, there(5000, offset=5000), [fd]).infer.label, "the last byte is there")
        at_rest(d, before)


def test_seals():
    data = pixels(50)
    with Daemon(store("small")) as d, d.connect() as c:
        c.call(describe=pb.DescribeRequest())
        before = d.descriptors()
        for seals in (0, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE):
            fd = sealed(data, seals)
            expect_error(ask(c, there(5000), [fd]), pb.BAD_IMAGE, "F_SEAL_SHRINK", "its seals are")
            os.close(fd)
        huge = sealed(b"\0" * (2 << 20), SEALS, os.MFD_HUGETLB)
        expect_error(ask(c, there(5000), [huge]), pb.BAD_IMAGE, "no memfd of ordinary pages")
        deaf = sealed(data)
        blind = os.open(f"/proc/self/fd/{deaf}", os.O_WRONLY)
        expect_error(ask(c, there(5000), [blind]), pb.BAD_IMAGE, "cannot be mapped")
        check(ask(c, there(5000), [deaf]).infer.label, "the connection goes on")
        at_rest(d, before)


def test_named_and_not_passed():
    with Daemon(store("small")) as d, d.connect() as c:
        c.error(pb.BAD_IMAGE, "no descriptor came", infer=infer("garment", there(5000)))
        fd = sealed(pixels(50))
        expect_error(ask(c, there(5000, pixels=b"x"), [fd]), pb.BAD_IMAGE, "exclude each other")
        check(ask(c, there(5000), [fd]).infer.label, "the connection goes on")
        # Refused before anybody looks at the image: the descriptor goes with the request.
        for fields in ({"budget_bytes": 1}, {"thrift": 7.0}, {"level": [9]}, {"stream": "x" * 65}):
            check(ask(c, there(5000), [fd], **fields).WhichOneof("result") == "error", "no error")
        check(ask(c, there(5000), [fd]).infer.label, "the connection goes on")


def hangs_up(d, before, data, fds, code, *words):
    with d.connect() as c:
        socket.send_fds(c.socket, [data], fds)
        r = c.receive()
        check(r.id == 0, str(r))
        expect_error(r, code, *words)
        check(c.at_end(), "the connection is still open")
    at_rest(d, before)


def test_passed_and_not_named():
    with Daemon(store("small")) as d:
        before = d.descriptors()
        fd = sealed(pixels(50))
        for data in (frame(pb.Request(id=1, status=pb.StatusRequest())),
                     frame(pb.Request(id=1, infer=infer("garment", image(28, 28))))):
            with d.connect() as c:
                socket.send_fds(c.socket, [data], [fd])
                replies = {r.id: r for r in all_replies(c)}
                expect_error(replies[0], pb.BAD_FRAME, "memfd_bytes")
            at_rest(d, before)


def all_replies(c):
    try:
        while True:
            yield c.receive()
    except (Closed, ConnectionResetError):
        pass


def test_more_than_one():
    fds = [sealed(pixels(50)) for _ in range(3)]
    whole = frame(pb.Request(id=5, infer=infer("garment", there(5000))))
    with Daemon(store("small")) as d:
        before = d.descriptors()
        for n in (2, 3):
            hangs_up(d, before, whole, fds[:n], pb.BAD_FRAME, "more than one descriptor")
        # One with each byte of the same frame.
        with d.connect() as c:
            try:
                for byte in whole:
                    socket.send_fds(c.socket, [bytes([byte])], fds[:1])
            except (BrokenPipeError, ConnectionResetError):
                pass
            expect_error(c.receive(), pb.BAD_FRAME)
        at_rest(d, before)


def test_no_memfd():
    whole = frame(pb.Request(id=5, infer=infer("garment", there(5000))))
    with Daemon(store("small")) as d, tempfile.TemporaryFile() as file:
        before = d.descriptors()
        file.write(pixels(50))
        file.flush()
        a, b = socket.socketpair()
        for fd in (file.fileno(), a.fileno(), os.open("/", os.O_RDONLY),
                   os.open("/dev/null", os.O_RDWR), select.epoll().fileno()):
            try:
                hangs_up(d, before, whole, [fd], pb.BAD_FRAME, "no memfd")
            except OSError:
                pass  # an epoll that is collected already
        check(a.fileno() and b.fileno(), "open until here")


def test_a_close_that_never_ends():
    """A descriptor whose close() waits for the client's own file system holds up neither the loop
    nor another user's memfd; when all that may wait for one user do, it is sent none any more."""
    if not fuse.possible():
        print("     (no FUSE here)")
        return
    whole = frame(pb.Request(id=5, infer=infer("garment", there(5000))))
    with Daemon(store("small")) as d:
        with fuse.Stuck() as stuck:
            for _ in range(4):
                with d.connect() as c:
                    socket.send_fds(c.socket, [whole], [stuck.open()])
                    r = c.receive()
                    check(r.error.code in (pb.BAD_FRAME, pb.INTERNAL), str(r))
            check(stuck.wait_for_close(), "nobody closes it")
            with d.connect() as c:
                check(c.call(infer=infer("garment", image(28, 28))).infer.label, "no answer")
                expect_error(ask(c, there(5000), [sealed(pixels(50))]), pb.INTERNAL,
                             "no descriptor free")
        with d.connect() as c:
            until(lambda: works(d))


def works(d):
    with d.connect() as c:
        return ask(c, there(5000), [sealed(pixels(50))]).WhichOneof("result") == "infer"


def test_out_of_descriptors():
    """Not one is free for what comes: a typed error for this client, and nothing for others."""
    whole = frame(pb.Request(id=5, infer=infer("garment", there(5000))))
    with Daemon(store("small")) as d:
        clients = [d.connect() for _ in range(3)]
        for c in clients:
            c.call(describe=pb.DescribeRequest())
        few = d.descriptors()
        resource_limit(d, few)
        socket.send_fds(clients[0].socket, [whole], [sealed(pixels(50))])
        r = clients[0].receive()
        check(r.id == 0, str(r))
        expect_error(r, pb.INTERNAL, "no descriptor free")
        clients[0].close()
        until(lambda: d.descriptors() == few - 1)
        check(ask(clients[1], there(5000), [sealed(pixels(50))]).infer.label, "there is one free")
        check(clients[2].call(infer=infer("garment", image(28, 28))).infer.label, "no answer")
        resource_limit(d, 1024)


def resource_limit(d, n):
    import resource
    resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (n, n if n > 900 else 1024))


def test_in_pieces_and_many_at_once():
    """However the bytes are cut: each request has its own descriptor's pixels."""
    with Daemon(store("small"), connection_inflight_limit=100, queue_limit=100) as d:
        before = d.descriptors()
        with d.connect() as c:
            shots = [pixels(50, seed) for seed in range(1, 6)]
            want = [c.call(infer=infer("garment", image(WIDE, 50, seed=s), top_k=10)).infer.label
                    for s in range(1, 6)]
            check(len({str(w) for w in want}) > 3, "all are alike")
            for cut in (1, 3, 4, 5, 17, None):
                ids = {}
                for i in range(20):
                    ids[c.next_id] = i % 5
                    data = c.request(infer=infer("garment", there(5000), top_k=10))
                    fd = sealed(shots[i % 5])
                    socket.send_fds(c.socket, [data[:cut]], [fd])
                    os.close(fd)
                    if cut and i % 3:
                        time.sleep(0.001)  # mostly read before the rest comes
                    if cut:
                        c.send_bytes(data[cut:])
                    if i % 4 == 0:  # one without between them
                        c.send_bytes(frame(pb.Request(id=0x7777, describe=pb.DescribeRequest())))
                got = [c.receive() for _ in range(25)]
                for r in got:
                    check(r.id == 0x7777 or r.infer.label == want[ids[r.id]], f"cut {cut}: {r}")
        at_rest(d, before)


def test_limits_count_it():
    """What is mapped waits as what is inline does: against queue_limit_bytes."""
    with Daemon(store("large"), queue_limit_bytes=1 << 20, workers=1) as d, d.connect() as c:
        fd = sealed(b"z" * 1000 * 700)
        img = pb.Image(format=pb.GRAY8, width=1000, height=700, memfd_bytes=700000)
        for _ in range(8):
            socket.send_fds(c.socket, [c.request(infer=infer("big", img, level=[8] * 6))], [fd])
        replies = [c.receive() for _ in range(8)]
        busy = [r.error for r in replies if r.WhichOneof("result") == "error"]
        check(busy and all(e.limit_name == "queue_limit_bytes" for e in busy), str(busy))
        at_rest(d, d.descriptors())


def test_pixels_that_change_while_they_are_read():
    """Nobody's trouble but the client's own: an answer, whichever."""
    with Daemon(store("small")) as d:
        before = d.descriptors()
        with d.connect() as c:
            fd = sealed(b"\0" * 4000000)
            img = pb.Image(format=pb.GRAY8, width=2000, height=2000, memfd_bytes=4000000)
            stop = threading.Event()

            def scribble():
                while not stop.is_set():
                    os.pwrite(fd, os.urandom(1 << 16) * 61, 0)
                    fallocate_hole(fd, 4000000)

            thread = threading.Thread(target=scribble)
            thread.start()
            for _ in range(20):
                check(ask(c, img, [fd]).infer.label, "no answer")
            stop.set()
            thread.join()
        at_rest(d, before)


def fallocate_hole(fd, n):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate(fd, 3, ctypes.c_int64(0), ctypes.c_int64(n))  # PUNCH_HOLE | KEEP_SIZE


def test_clients_killed_at_any_moment():
    with Daemon(store("small"), workers=2) as d:
        before = d.descriptors()
        fd = sealed(pixels(50))
        for i in range(200):
            c = d.connect()
            whole = c.request(infer=infer("garment", there(5000)))
            try:
                for _ in range(i % 4):
                    socket.send_fds(c.socket, [whole], [fd])
                socket.send_fds(c.socket, [whole[:1 + i % len(whole)]], [fd])
            except OSError:
                pass  # too many at a time: turned away
            c.close()
        at_rest(d, before)
        s = counters(d.status())
        check(s["bad_frame"] == 0 and s["bad_image"] == 0, str(s))


main(sys.modules[__name__])
