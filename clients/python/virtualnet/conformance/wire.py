"""A connection in the protocol's own words, for clauses to play with."""

from __future__ import annotations

import array
import socket
import struct
import time
from typing import Any, Iterable

from .. import virtualnet_pb2 as pb

PATIENCE_S = 60.0
BUSY_TRIES = 100
SHOWN_BYTES = 48  # of a frame, in a trace


class NotKept(Exception):
    """What the daemon did instead."""


class NotJudged(Exception):
    """Why the clause cannot be judged here."""


def keeps(condition: Any, text: str) -> None:
    if not condition:
        raise NotKept(text)


def in_short(message: Any) -> str:
    text = " ".join(str(message).split())
    return text if len(text) <= 300 else text[:300] + " ..."


def frame(message: Any) -> bytes:
    data = message if isinstance(message, bytes) else message.SerializeToString()
    return struct.pack(">I", len(data)) + data


class Peer:
    """One connection; use it in a `with` statement."""

    def __init__(self, path: str, trace: list[str]) -> None:
        self._trace = trace
        self._last_id = 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(path)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def _note(self, mark: str, data: bytes, what: str) -> None:
        more = " ..." if len(data) > SHOWN_BYTES else ""
        self._trace.append(f"{mark} {data[:SHOWN_BYTES].hex(' ')}{more}   {what}")

    def send_bytes(self, data: bytes, fds: Iterable[int] = (), what: str = "") -> None:
        """All of it, the descriptors with the first byte."""
        fds = list(fds)
        self._note(">", data, what + (f" with {len(fds)} descriptors" if fds else ""))
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            n = self.socket.sendmsg([data], passed)
            self.socket.sendall(data[n:])
        except (BrokenPipeError, ConnectionResetError):
            pass  # what it has to say comes before the end of the stream

    def new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def send(self, id: int | None = None, fds: Iterable[int] = (), **call: Any) -> int:
        """One request, send(infer=...); returns its id."""
        request = pb.Request(id=self.new_id() if id is None else id, **call)
        self.send_bytes(frame(request), fds, f"Request {{{in_short(request)}}}")
        return request.id

    def _read(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            try:
                part = self.socket.recv(n - len(data))
            except TimeoutError:
                raise NotKept(f"no answer within {PATIENCE_S:.0f} s") from None
            except ConnectionResetError:
                part = b""
            if not part:
                raise NotKept("the daemon closed the connection without an answer")
            data += part
        return data

    def receive(self) -> Any:
        (length,) = struct.unpack(">I", self._read(4))
        data = self._read(length)
        response = pb.Response()
        try:
            response.ParseFromString(data)
        except Exception:
            raise NotKept("an answer that is no Response") from None
        self._note("<", struct.pack(">I", length) + data, f"Response {{{in_short(response)}}}")
        return response

    def call(self, fds: Iterable[int] = (), **call: Any) -> Any:
        """The answer to one request, nothing else being in flight. One that is refused because the
        daemon is busy with others is asked again."""
        for _ in range(BUSY_TRIES):
            id = self.send(fds=fds, **call)
            response = self.receive()
            keeps(response.id == id, f"the answer to {id} has the id {response.id}")
            if response.error.code == pb.NOT_ALLOWED:
                raise NotJudged(response.error.message)
            if response.error.code != pb.BUSY:
                return response
            time.sleep(max(response.error.retry_after_ms, 10) / 1000)
        raise NotJudged(f"the daemon is busy: {response.error.message}")

    def answer(self, fds: Iterable[int] = (), **call: Any) -> Any:
        """The same, which must be answered with what was asked for."""
        response = self.call(fds, **call)
        (kind,) = call
        want = "infer" if kind == "plan" else kind
        got = response.WhichOneof("result")
        keeps(got == want, f"{kind} is answered with {in_short(response)}")
        return getattr(response, want)

    def refused(self, code: int, fds: Iterable[int] = (), **call: Any) -> Any:
        """The same, which must be refused with this code; returns the error."""
        return expect_error(self.call(fds, **call), code)

    def ends(self) -> None:
        """The daemon must close the connection without another byte."""
        try:
            keeps(self.socket.recv(1) == b"", "there is another byte instead of the end")
        except ConnectionResetError:
            pass
        except TimeoutError:
            raise NotKept("the connection stays open") from None


def expect_error(response: Any, code: int) -> Any:
    want = pb.Code.Name(code)
    keeps(response.WhichOneof("result") == "error", f"no {want} but {in_short(response)}")
    error = response.error
    keeps(error.code == code, f"not {want} but {pb.Code.Name(error.code)}: {error.message}")
    keeps(len(error.message) > 10, f"{want} without a sentence")
    return error


class Daemon:
    """What is played against; what it says of itself."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.trace: list[str] = []
        with self.connect() as c:
            self.description = c.answer(describe=pb.DescribeRequest())
        if not self.description.task:
            raise NotJudged("the default store has no task")
        self.task = self.description.task[0]

    def connect(self) -> Peer:
        return Peer(self.path, self.trace)

    def infer(self, image: Any = None, **fields: Any) -> Any:
        """A request for the first task; without an image, one of the size that the network sees."""
        if image is None:
            image = self.image(self.task.width, self.task.height)
        return pb.InferRequest(task=self.task.name, image=image, **fields)

    @staticmethod
    def image(width: int, height: int, form: int = pb.GRAY8, stride: int = 0) -> Any:
        row = width * (3 if form == pb.RGB8 else 1)
        length = max(stride, row) * height
        pixels = bytes((31 * i + i // 97) & 255 for i in range(min(length, 4096)))
        pixels = (pixels * (length // max(len(pixels), 1) + 1))[:length]
        return pb.Image(format=form, width=width, height=height, stride=stride, pixels=pixels)

    def still_answers(self) -> None:
        with self.connect() as c:
            c.answer(describe=pb.DescribeRequest())
