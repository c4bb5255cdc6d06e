"""Bytes on the socket that are not what they should be: each has a typed outcome, or none but the
end of that connection, and nobody else notices."""

import random
import socket
import struct
import sys

from harness import (Closed, Daemon, check, counters, expect_error, frame, image, infer, main, pb,
                     store, until)


def valid_frame(c):
    return c.request(id=9, infer=infer("garment", image(28, 28)))


def works(d):
    with d.connect() as c:
        reply = c.call(infer=infer("garment", image(28, 28)))
        check(reply.WhichOneof("result") == "infer", str(reply))


def test_cut_at_every_byte():
    with Daemon(store("small")) as d:
        before = d.descriptors()
        with d.connect() as c:
            whole = valid_frame(c)
        for n in range(len(whole)):
            with d.connect() as c:
                c.send_bytes(whole[:n])
        works(d)
        until(lambda: d.status().connections == 1, "connections are left over")
        until(lambda: d.descriptors() == before, "descriptors are left over")
        # Not one of them was a whole request: those received are the ones that works() and
        # status() sent.
        s = counters(d.status())
        check(s["requests_received"] == s["infer_ok"] + s["status_ok"] + 1, str(s))


def test_byte_by_byte():
    with Daemon(store("small")) as d, d.connect() as c:
        for byte in valid_frame(c):
            c.send_bytes(bytes([byte]))
        reply = c.receive()
        check(reply.id == 9 and reply.infer.label, str(reply))


def test_many_frames_in_one_write():
    with Daemon(store("small"), connection_inflight_limit=100, queue_limit=100) as d:
        with d.connect() as c:
            ids = range(100, 150)
            c.send_bytes(b"".join(c.request(id=i, infer=infer("garment", image(28, 28)))
                                  for i in ids))
            answered = [c.receive() for _ in ids]
            check(sorted(r.id for r in answered) == list(ids), "an answer is missing")
            check(all(r.infer.label for r in answered), "an answer is empty")


def test_length_of_4_gib():
    with Daemon(store("small")) as d, d.connect() as c, d.connect() as other:
        c.send_bytes(b"\xff\xff\xff\xff")
        expect_error(c.receive(), pb.BAD_FRAME, 4294967295, 16777216)
        check(c.at_end(), "the connection is still open")
        check(other.call(describe=pb.DescribeRequest()).describe.store == "small", "no answer")


def test_length_just_above_the_limit():
    with Daemon(store("small"), frame_limit_bytes=4096) as d:
        with d.connect() as c:
            c.send_bytes(struct.pack(">I", 4097))
            expect_error(c.receive(), pb.BAD_FRAME, 4097, 4096)
            check(c.at_end(), "the connection is still open")
        with d.connect() as c:  # 4096 bytes are allowed: an unknown field (15) as filling
            filling = b"\x7a" + b"\xfd\x1f" + b"x" * 4093
            check(len(filling) == 4096, "the filling is not 4096 bytes")
            c.send_bytes(frame(filling))
            expect_error(c.receive(), pb.BAD_REQUEST, "infer, plan, describe")
            check(c.call(status=pb.StatusRequest()).status.connections == 1, "no answer")


def test_empty_frame():
    with Daemon(store("small")) as d, d.connect() as c:
        c.send_bytes(frame(b""))
        expect_error(c.receive(), pb.BAD_REQUEST, "infer, plan, describe", "reload and cancel")
        check(c.call(status=pb.StatusRequest()).status.store == "small", "it must go on")


def test_no_protobuf():
    with Daemon(store("small")) as d, d.connect() as other:
        with d.connect() as c:
            c.send_bytes(frame(b"\xff\xff\xff\xff"))
            r = c.receive()
            check(r.id == 0, "an id from nowhere")
            expect_error(r, pb.BAD_FRAME, "4 bytes", "virtualnet.Request")
            check(c.at_end(), "the connection is still open")
        check(counters(other.call(status=pb.StatusRequest()).status)["bad_frame"] == 1, "count")


def test_message_that_grows_in_memory():
    """A MiB of one-byte levels would be 4 MiB of memory: the allocator says no."""
    with Daemon(store("small")) as d, d.connect() as c:
        c.send_bytes(frame(pb.Request(id=1, infer=infer("garment", None, level=[1] * 1048576))))
        expect_error(c.receive(), pb.BAD_FRAME, "memory")


def test_unknown_call_and_text_that_is_not_utf8():
    with Daemon(store("small")) as d:
        with d.connect() as c:
            c.send_bytes(frame(b"\x08\x05\xba\x01\x00"))  # id 5, field 23, empty
            r = c.receive()
            check(r.id == 5, "the id is lost")
            expect_error(r, pb.BAD_REQUEST)
        with d.connect() as c:  # infer {task: "\xff\n"}: comes back printable
            c.send_bytes(frame(b"\x08\x06\x12\x04\x0a\x02\xff\x0a"))
            expect_error(c.receive(), pb.UNKNOWN_TASK, '"??"', "garment, warm, digit")


def outcome(d, data):
    """Sends data, ends, reads until the daemon ends: responses and nothing else."""
    with d.connect() as c:
        try:
            c.send_bytes(data)
            c.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        replies = []
        try:
            while True:
                replies.append(c.receive())
        except (Closed, ConnectionResetError):
            return replies


def test_garbage():
    random.seed(4)
    with Daemon(store("small")) as d:
        for n in range(200):
            outcome(d, random.randbytes(random.randrange(1, 3000)))
        for n in range(200):  # garbage in a frame of the right length
            outcome(d, frame(random.randbytes(random.randrange(1, 60))))
        works(d)


def test_every_byte_flipped():
    with Daemon(store("small")) as d:
        with d.connect() as c:
            whole = c.request(id=9, infer=infer("garment", image(4, 4), thrift=0.5,
                                                budget_bytes=10 ** 9, top_k=3))
        for n in range(4, len(whole)):
            for bit in (0, 3, 7):
                data = bytearray(whole)
                data[n] ^= 1 << bit
                replies = outcome(d, bytes(data))
                check(len(replies) == 1, f"byte {n}, bit {bit}: {len(replies)} replies")
        works(d)


def test_half_closed_connection_is_answered():
    with Daemon(store("small")) as d, d.connect() as c:
        c.send_bytes(b"".join(valid_frame(c) for _ in range(3)))
        c.socket.shutdown(socket.SHUT_WR)
        for _ in range(3):
            check(c.receive().infer.label, "no answer")
        check(c.at_end(), "the connection is still open")


def test_nothing_but_a_hang_up():
    with Daemon(store("small")) as d:
        for _ in range(50):
            d.connect().close()
        check(outcome(d, b"") == [], "an answer to nothing")
        works(d)


main(sys.modules[__name__])
