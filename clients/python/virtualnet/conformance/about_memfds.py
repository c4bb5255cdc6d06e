"""Pixels in sealed memfds, and descriptors that are something else."""

from __future__ import annotations

import fcntl
import os
from typing import Any

from .. import virtualnet_pb2 as pb
from .clauses import clause
from .wire import Daemon, NotJudged, Peer, expect_error, frame, keeps

SECTION = "Pixels in a memfd"
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
SIDE = 64


class Sealed:
    """A memfd with an image in it, from `offset` on."""

    def __init__(self, pixels: bytes, offset: int = 0, seals: int = SEALS) -> None:
        self.fd = os.memfd_create("conformance", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.pwrite(self.fd, bytes(offset) + pixels, 0)
        if seals:
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)

    def __enter__(self) -> int:
        return self.fd

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def there(offset: int = 0, n: int = SIDE * SIDE, pixels: bytes = b"") -> Any:
    return pb.Image(format=pb.GRAY8, width=SIDE, height=SIDE, memfd_offset=offset, memfd_bytes=n,
                    pixels=pixels)


def must_take_them(d: Daemon) -> None:
    if not d.description.memfd_limit_bytes:
        raise NotJudged("the daemon takes no memfds")


@clause(SECTION, "passes the descriptor (`SCM_RIGHTS`) with the first byte of the frame: one "
        "descriptor, with the frame that names it")
def good_ones(d: Daemon) -> None:
    must_take_them(d)
    image = d.image(SIDE, SIDE)
    with d.connect() as c:
        want = c.answer(infer=d.infer(image, uniform=True, top_k=5))
        for offset in (0, 1, 4095, 4096, 10000):
            for seals in (SEALS, SEALS | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL):
                with Sealed(image.pixels, offset, seals) as fd:
                    got = c.answer([fd], infer=d.infer(there(offset), uniform=True, top_k=5))
                    keeps(got.label == want.label, f"another answer at offset {offset}")
                    keeps(got.bytes == want.bytes, f"another promise at offset {offset}")


@clause(SECTION, "`memfd_bytes` and no descriptor; a memfd without these seals, of huge pages, or "
        "that cannot be read; bytes that it does not have; `pixels` as well")
def bad_ones(d: Daemon) -> None:
    must_take_them(d)
    pixels = d.image(SIDE, SIDE).pixels
    n = len(pixels)
    with d.connect() as c:
        c.refused(pb.BAD_IMAGE, infer=d.infer(there()))
        for seals in (0, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE):
            with Sealed(pixels, 0, seals) as fd:
                c.refused(pb.BAD_IMAGE, [fd], infer=d.infer(there()))
        with Sealed(pixels) as fd:
            for image in (there(1), there(n), there(2**64 - 1), there(2**64 - n), there(0, n - 1),
                          there(0, n + 1), there(1, 2**64 - 1), there(0, 2**63),
                          there(0, d.description.memfd_limit_bytes + 1), there(0, n, b"x")):
                c.refused(pb.BAD_IMAGE, [fd], infer=d.infer(image))
            blind = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
            try:
                c.refused(pb.BAD_IMAGE, [blind], infer=d.infer(there()))
            finally:
                os.close(blind)
            c.answer([fd], infer=d.infer(there()))


def must_hang_up(c: Peer, data: bytes, fds: list[int], what: str) -> None:
    c.send_bytes(data, fds, what)
    r = c.receive()
    while r.id:  # what came before it may be answered yet
        r = c.receive()
    expect_error(r, pb.BAD_FRAME)
    c.ends()


@clause(SECTION, "more than one descriptor at once; one that is no memfd; one with a frame that "
        "does not name it")
def descriptors_that_make_no_sense(d: Daemon) -> None:
    must_take_them(d)
    named = frame(pb.Request(id=1, infer=d.infer(there())))
    silent = frame(pb.Request(id=1, describe=pb.DescribeRequest()))
    null = os.open("/dev/null", os.O_RDONLY)
    try:
        with Sealed(d.image(SIDE, SIDE).pixels) as fd:
            for what, data, fds in (("two", named, [fd, fd]), ("three", named, [fd] * 3),
                                    ("/dev/null", named, [null]), ("not named", silent, [fd])):
                with d.connect() as c:
                    must_hang_up(c, data, fds, what)
    finally:
        os.close(null)
    d.still_answers()


@clause(SECTION, "The client may close its descriptor once the frame is sent, or use the memfd "
        "again for the next image when the answer is there.")
def again_and_again(d: Daemon) -> None:
    must_take_them(d)
    images = [d.image(SIDE, SIDE), d.image(SIDE, SIDE)]
    images[1].pixels = bytes(255 - b for b in images[0].pixels)
    with d.connect() as c:
        want = [c.answer(infer=d.infer(i, uniform=True, top_k=5)).label for i in images]
        with Sealed(images[0].pixels) as fd:
            for i in (0, 1, 0, 1):
                os.pwrite(fd, images[i].pixels, 0)
                got = c.answer([fd], infer=d.infer(there(), uniform=True, top_k=5))
                keeps(got.label == want[i], f"the answer to image {i} is another one's")
        ids = []
        for i in (0, 1, 1, 0):
            with Sealed(images[i].pixels) as fd:
                ids.append(c.send(fds=[fd], infer=d.infer(there(), uniform=True, top_k=5)))
        got = {r.id: r for r in (c.receive() for _ in ids)}
        keeps(sorted(got) == ids, f"asked {ids}, answered {sorted(got)}")
        for id, i in zip(ids, (0, 1, 1, 0)):
            keeps(got[id].infer.label == want[i] or got[id].error.code == pb.BUSY,
                  "an answer of another's memfd")
