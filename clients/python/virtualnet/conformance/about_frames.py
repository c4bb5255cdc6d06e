"""Frames, ids, and bytes that are none of these."""

from __future__ import annotations

import random
import socket
import struct

from .. import virtualnet_pb2 as pb
from .clauses import clause
from .wire import Daemon, NotKept, expect_error, frame, in_short, keeps

UNKNOWN_FIELD = 15  # of a Request


def filled(length: int) -> bytes:
    """A Describe of so many bytes: the rest is a field that nobody knows."""
    start = pb.Request(id=5, describe=pb.DescribeRequest()).SerializeToString()
    left = length - len(start) - 1
    size = b""
    for digits in range(1, 6):  # a varint of `digits` bytes that says what is left after it
        n = left - digits
        if n < 1 << 7 * digits:
            size = bytes((n >> 7 * i & 127) | (128 if i < digits - 1 else 0)
                         for i in range(digits))
            break
    return start + bytes([UNKNOWN_FIELD << 3 | 2]) + size + b"x" * (left - len(size))


@clause("Frames", "00 00 00 04  08 07 22 00        Request {id: 7, describe: {}}")
def the_example(d: Daemon) -> None:
    with d.connect() as c:
        c.send_bytes(bytes.fromhex("00000004 08072200"), what="the example")
        r = c.receive()
        keeps(r.id == 7 and r.HasField("describe"), in_short(r))


@clause("Frames", "every request is answered by exactly one response with the same id")
def one_answer_each(d: Daemon) -> None:
    ids = [3, 2**64 - 1, 1, 2**63, 77, 2**32]
    with d.connect() as c:
        calls = [{"describe": pb.DescribeRequest()}, {"plan": d.infer()},
                 {"describe": pb.DescribeRequest(task="no such task")}]
        requests = [pb.Request(id=id, **calls[i % 3]) for i, id in enumerate(ids)]
        c.send_bytes(b"".join(map(frame, requests)), what="six requests in one write")
        got = [c.receive().id for _ in ids]
        keeps(sorted(got) == sorted(ids), f"asked with the ids {ids}, answered with {got}")
        c.send(id=9, describe=pb.DescribeRequest())
        keeps(c.receive().id == 9, "one was answered twice")


@clause("Frames", "the daemon only echoes it, and Cancel finds requests by it")
def ids_are_not_looked_at(d: Daemon) -> None:
    with d.connect() as c:
        for id in (0, 5, 5, 5):
            c.send(id=id, describe=pb.DescribeRequest())
        got = [c.receive() for _ in range(4)]
        keeps([r.id for r in got].count(5) == 3, f"ids {[r.id for r in got]}")
        keeps(all(r.HasField("describe") for r in got), in_short(got))


@clause("Frames", "carries frames in both directions: a length in 4 bytes, big-endian, then so "
        "many bytes of protobuf")
def cut_anywhere(d: Daemon) -> None:
    whole = frame(pb.Request(id=4, describe=pb.DescribeRequest()))
    with d.connect() as c:
        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for byte in whole * 2:
            c.send_bytes(bytes([byte]))
        keeps([c.receive().id, c.receive().id] == [4, 4], "sent byte by byte")


@clause("Frames", "A frame of length 0 is an empty `Request`, which is a `BAD_REQUEST`.")
def empty_frame(d: Daemon) -> None:
    with d.connect() as c:
        c.send_bytes(bytes(4), what="a frame of length 0")
        expect_error(c.receive(), pb.BAD_REQUEST)
        c.answer(describe=pb.DescribeRequest())


@clause("Frames", "A frame may be at most `frame_limit_bytes` long")
def the_longest_frame(d: Daemon) -> None:
    with d.connect() as c:
        whole = filled(d.description.frame_limit_bytes)
        keeps(len(whole) == d.description.frame_limit_bytes, "this program made it too short")
        c.send_bytes(frame(whole), what=f"a frame of {len(whole)} bytes")
        r = c.receive()
        keeps(r.HasField("describe"), f"the longest frame is answered with {in_short(r)}")


@clause("Errors", "a length above the limit, or bytes that are no `Request`; the response's id is "
        "0")
def bad_frames(d: Daemon) -> None:
    limit = d.description.frame_limit_bytes
    for what, data in (("one byte too long", struct.pack(">I", limit + 1)),
                       ("4 GiB", b"\xff" * 4),
                       ("no protobuf", frame(b"\xff" * 9)),
                       ("a field cut short", frame(b"\x12\x7f\x0a"))):
        with d.connect() as c:
            c.send_bytes(data, what=what)
            r = c.receive()
            keeps(r.id == 0, f"{what}: the id {r.id}")
            expect_error(r, pb.BAD_FRAME)
            c.ends()
    d.still_answers()


@clause("Errors", "An unknown field is ignored, as protobuf has it; an unknown call is a "
        "`BAD_REQUEST`.")
def unknown_fields(d: Daemon) -> None:
    with d.connect() as c:
        c.send_bytes(frame(filled(40)), what="a Describe with an unknown field")
        keeps(c.receive().HasField("describe"), "the field is not ignored")
        c.send_bytes(frame(b"\x08\x06\xba\x01\x00"), what="a call that is none")
        r = c.receive()
        keeps(r.id == 6, f"the id {r.id}")
        expect_error(r, pb.BAD_REQUEST)
        c.answer(describe=pb.DescribeRequest())


@clause("Frames", "A client may shut down its sending side and still reads its answers.")
def half_closed(d: Daemon) -> None:
    with d.connect() as c:
        for _ in range(3):
            c.send(plan=d.infer())
        c.socket.shutdown(socket.SHUT_WR)
        for _ in range(3):
            c.receive()
        c.ends()


@clause("Frames", "When it closes, or dies, its waiting requests are dropped and its running ones "
        "stop at the next convolution of the network.")
def clients_that_die(d: Daemon) -> None:
    whole = frame(pb.Request(id=1, infer=d.infer()))
    for n in (1, 3, 4, 5, len(whole) // 2, len(whole) - 1, len(whole)):
        with d.connect() as c:
            c.send_bytes(whole * 2 + whole[:n], what="and hangs up")
    d.still_answers()


@clause("What the daemon does with hostile bytes", "Unpacking a frame stops at its length and 256 "
        "KiB of heap.")
def swelling(d: Daemon) -> None:
    """A MiB of one-byte levels would be four of memory."""
    if d.description.frame_limit_bytes < 2 << 20:
        return
    with d.connect() as c:
        c.send_bytes(frame(pb.Request(id=1, infer=pb.InferRequest(level=[1] * (1 << 20)))))
        expect_error(c.receive(), pb.BAD_FRAME)
        c.ends()


@clause("What the daemon does with hostile bytes", "Text that comes back in a sentence is cut and "
        "made printable.")
def hostile_names(d: Daemon) -> None:
    with d.connect() as c:
        e = c.refused(pb.UNKNOWN_TASK, describe=pb.DescribeRequest(task="\n\x1b" + "x" * 5000))
        keeps(e.message.isprintable() and len(e.message) < 2000, repr(e.message))


@clause("What the daemon does with hostile bytes", "The length is judged before any memory is "
        "taken for it, and memory grows with the bytes that arrive, not with those that are "
        "announced.")
def noise(d: Daemon) -> None:
    """Random bytes: whatever they are taken for, others are answered."""
    rng = random.Random(1)
    for _ in range(30):
        with d.connect() as c:
            c.send_bytes(rng.randbytes(rng.randrange(1, 3000)), what="noise")
            c.socket.shutdown(socket.SHUT_WR)
            try:
                while True:
                    c.receive()
            except NotKept as e:
                if "closed" not in str(e):
                    raise
    d.still_answers()
