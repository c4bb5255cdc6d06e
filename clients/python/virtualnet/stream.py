"""A stream of pictures of which the latest wins."""

from __future__ import annotations

import os
import time
from typing import Sequence

import numpy.typing as npt

from . import types
from .client import TimeoutLike, WhenFull, result_of, wishes_message
from .connection import Connected
from .errors import Superseded, Timeout
from .picture import Picture


class Stream(Connected):
    """The pictures of a camera, for which an old answer is worth nothing. put() sends one and does
    not wait for its answer; one that still waits in the daemon when the next comes is dropped.

        with virtualnet.Stream("front", task="garment") as stream:
            while True:
                stream.put(camera.read())
                if (got := stream.get(timeout=0.0)) is not None:
                    number, answer = got

    A stream has a connection of its own. name: at most 64 bytes. control: before all bulk requests
    that wait in the daemon. timeout: seconds for put and get; None: no limit. What is asked is as
    in Client.infer. For one thread."""

    def __init__(
        self,
        name: str,
        task: str | None = None,
        *,
        budget_bytes: int = 0,
        thrift: float = 0.0,
        path: Sequence[int] | None = None,
        uniform: bool = False,
        top_k: int = 1,
        control: bool = False,
        store: str | None = None,
        streaming: bool = False,
        when_full: WhenFull = None,
        socket_path: str | os.PathLike[str] | None = None,
        timeout: float | None = 10.0,
    ) -> None:
        self._wishes = wishes_message(
            task, budget_bytes, thrift, path, uniform, top_k, control, store, streaming, when_full
        )
        self._wishes.stream = name
        self._wishes.replace = True
        self._flying: list[int] = []
        super().__init__(socket_path, timeout)

    def put(self, image: npt.ArrayLike) -> int:
        """Sends one; returns its number, which get() gives with its answer. Waits only for a daemon
        that does not read."""
        number = self._connection.start("infer", self._wishes, None, Picture(image))
        self._flying.append(number)
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        while self._connection.unsent():
            self._connection.pump(deadline)
        return number

    def get(self, *, timeout: TimeoutLike = "default") -> tuple[int, types.Answer] | None:
        """The next answer and the number of its picture; None when none comes in time, or none is
        open. Pictures that were superseded are left out; other refusals are raised."""
        seconds = self.timeout if timeout == "default" else timeout
        deadline = None if seconds is None else time.monotonic() + seconds
        self._connection.look()
        while self._flying:
            for number in self._flying:
                reply = self._connection.take(number)
                if reply is None:
                    continue
                self._flying.remove(number)
                try:
                    return number, types.answer(result_of(reply))
                except Superseded:
                    break  # the list has changed: look again
            else:
                try:
                    self._connection.pump(deadline)
                except Timeout:
                    return None
        return None
