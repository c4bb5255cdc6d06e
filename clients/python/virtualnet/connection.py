"""The stream: frames out, frames in, replies by id.

A reply whose call has timed out meanwhile is dropped when it comes, so that a connection survives a
timeout; a reply that nobody asked for, or that cannot be read, ends it."""

from __future__ import annotations

import array
import collections
import math
import os
import select
import socket
import struct
import time
from typing import Any, TypeVar

from . import virtualnet_pb2 as _pb
from .errors import ConnectionLost, ProtocolError, Timeout, VirtualnetError, refused
from .picture import Memfds, Picture

DEFAULT_SOCKET = "/run/virtualnet/virtualnet.sock"
REPLY_BYTES_MAX = 16 << 20  # the wire's default limit of a frame

_HEADER = struct.Struct(">I")
_SEND_BYTES = 1 << 20
_RECEIVE_BYTES = 1 << 16


def default_socket() -> str:
    """$VIRTUALNET_SOCKET, else where the service listens."""
    return os.environ.get("VIRTUALNET_SOCKET") or DEFAULT_SOCKET


class Connection:
    def __init__(self, path: str, timeout: float | None) -> None:
        self._last_id = 0
        self._open: dict[int, _pb.Response | None] = {}  # calls in flight and their replies
        self._kind: dict[int, str] = {}  # of the calls in flight: what answers them
        self._in = bytearray()
        # what is to be sent, and the descriptor that goes with its first byte, or -1
        self._out: collections.deque[tuple[memoryview, int]] = collections.deque()
        self._memfds = Memfds()
        self._socket: socket.socket | None = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(path)
            self._socket.setblocking(False)
        except OSError as e:
            self.close()
            raise ConnectionLost(f"cannot connect to {path}: {e.strerror or e}") from e

    def close(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None
        self._memfds.close()
        self._drop_unsent()

    def start(
        self, kind: str, message: Any, deadline: float | None, picture: Picture | None = None
    ) -> int:
        """Queues one request; returns its id. deadline: time.monotonic() clock."""
        if not self._socket:
            raise ConnectionLost("the client is closed")
        if kind in ("infer", "plan") and deadline is not None:
            left_ms = int((deadline - time.monotonic()) * 1000)
            message.deadline_ms = min(max(left_ms, 1), 2**32 - 1)
        request = _pb.Request(id=self._last_id + 1)
        getattr(request, kind).CopyFrom(message)
        self._queue(request, self._attach(request, kind, picture))
        self._last_id += 1
        self._open[self._last_id] = None
        self._kind[self._last_id] = "infer" if kind == "plan" else kind
        return self._last_id

    def _attach(self, request: _pb.Request, kind: str, picture: Picture | None) -> int:
        """Puts the picture into the request, or beside it: then returns a descriptor for it."""
        if not picture:
            return -1
        image = getattr(request, kind).image
        image.CopyFrom(picture.header)
        image.memfd_bytes = len(picture.pixels)
        fd = self._memfds.fill(request.id, picture, request)
        if fd is not None:
            return fd
        image.memfd_bytes = 0
        image.pixels = picture.pixels.tobytes()
        return -1

    def _queue(self, request: _pb.Request, fd: int) -> None:
        frame = request.SerializeToString()
        self._out.append((memoryview(_HEADER.pack(len(frame)) + frame), fd))

    def _drop_unsent(self) -> None:
        for _, fd in self._out:
            if fd >= 0:
                os.close(fd)
        self._out.clear()

    def take(self, call: int) -> _pb.Response | None:
        """The reply of a call, once, or None while it is in flight."""
        reply = self._open[call]
        if reply is not None:
            del self._open[call], self._kind[call]
        return reply

    def forget_all(self) -> None:
        """Nobody waits any more; what is in flight is dropped when it comes."""
        self._open.clear()
        self._kind.clear()
        self._memfds.forget_all()

    def unsent(self) -> bool:
        """Whether bytes of requests wait to be sent."""
        return bool(self._out)

    def look(self) -> None:
        """Reads and writes what can be done now."""
        if not self._socket:
            raise ConnectionLost("the client is closed")
        self._work(0)

    def pump(self, deadline: float | None) -> None:
        """Waits until something can be read or written, and does it. Raises Timeout."""
        if not self._socket:
            raise ConnectionLost("the client is closed")
        wait_ms = None
        if deadline is not None:
            wait_ms = math.ceil((deadline - time.monotonic()) * 1000)
            if wait_ms <= 0:
                raise self._too_late()
        self._work(wait_ms)

    def _work(self, wait_ms: int | None) -> None:
        assert self._socket
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._out else 0))
        for _, events in poll.poll(wait_ms):
            if events & ~select.POLLOUT:  # first: a daemon that hangs up has said why
                self._receive()
            else:
                self._transmit()

    def _break_off(self, error: VirtualnetError) -> VirtualnetError:
        self.close()
        self.forget_all()
        self._in.clear()
        return error

    def _too_late(self) -> VirtualnetError:
        if not self._out:
            return Timeout("no reply came within the timeout")
        return self._break_off(  # half a request cannot be taken back
            Timeout("the daemon did not read the request within the timeout; the client is closed")
        )

    def _transmit(self) -> None:
        assert self._socket
        try:
            data, fd = self._out[0]
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
            sent = self._socket.sendmsg(
                [data[:_SEND_BYTES]], passed if fd >= 0 else [], socket.MSG_NOSIGNAL
            )
            self._take_sent(sent)
        except BlockingIOError:
            pass
        except OSError:
            self._receive()  # the farewell, if there is one

    def _take_sent(self, n: int) -> None:
        data, fd = self._out.popleft()
        if fd >= 0:
            os.close(fd)
        if n < len(data):
            self._out.appendleft((data[n:], -1))

    def _receive(self) -> None:
        assert self._socket
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as e:
            raise self._break_off(ConnectionLost(f"the connection broke: {e.strerror}")) from e
        if not data:
            raise self._break_off(ConnectionLost("the daemon closed the connection"))
        self._in += data
        while self._take_frame():
            pass

    def _take_frame(self) -> bool:
        if len(self._in) < _HEADER.size:
            return False
        (length,) = _HEADER.unpack_from(self._in)
        if length > REPLY_BYTES_MAX:
            raise self._break_off(ProtocolError(f"the daemon announced a reply of {length} bytes"))
        if len(self._in) < _HEADER.size + length:
            return False
        reply = _pb.Response()
        try:
            reply.ParseFromString(bytes(self._in[_HEADER.size : _HEADER.size + length]))
        except Exception as e:  # DecodeError; runtimes also raise others
            raise self._break_off(
                ProtocolError("the daemon sent a reply that cannot be decoded")
            ) from e
        del self._in[: _HEADER.size + length]
        self._take_reply(reply)
        return True

    def _take_reply(self, reply: _pb.Response) -> None:
        if reply.id == 0 and reply.WhichOneof("result") == "error":
            raise self._break_off(refused(reply.error))
        if not 0 < reply.id <= self._last_id:
            raise self._break_off(ProtocolError("the daemon answered a call that was never made"))
        if self._open.get(reply.id, reply) is not None:
            return  # late: its call has ended
        if reply.error.code == _pb.BAD_IMAGE and self._sent_again(reply.id):
            return
        self._memfds.answered(reply.id)
        if reply.WhichOneof("result") not in (self._kind[reply.id], "error"):
            raise self._break_off(
                ProtocolError(f"the daemon sent no answer to the call, {self._kind[reply.id]}")
            )
        self._open[reply.id] = reply

    def _sent_again(self, call: int) -> bool:
        """Sends the request of a picture in a memfd again, with its pixels. False: it had them."""
        request = self._memfds.inline(call)
        if request is None:
            return False
        self._queue(request, -1)
        return True


_Self = TypeVar("_Self", bound="Connected")


class Connected:
    """What has a connection of its own, for a `with` statement. socket_path: default_socket() when
    None."""

    def __init__(self, socket_path: str | os.PathLike[str] | None, timeout: float | None) -> None:
        path = os.fspath(socket_path) if socket_path is not None else default_socket()
        self.timeout = timeout
        self._connection = Connection(path, timeout)

    def close(self) -> None:
        """Hangs up: the daemon drops what is open, and further calls raise ConnectionLost."""
        self._connection.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()
