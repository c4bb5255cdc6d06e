"""The client: calls, and how many of them share one connection."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Iterable, Iterator, Literal, Optional, Sequence, Union

import numpy as np
import numpy.typing as npt

from . import types
from . import virtualnet_pb2 as _pb
from .connection import Connected
from .errors import Busy, refused
from .picture import Picture

#: Seconds; None: no limit; "default": the client's own.
TimeoutLike = Optional[Union[float, Literal["default"]]]

#: What becomes of a run that does not fit beside those that are on; None: as the daemon is
#: configured.
WhenFull = Optional[Literal["wait", "replan", "refuse"]]

_WHEN_FULL = {
    None: _pb.WHEN_FULL_UNSPECIFIED,
    "wait": _pb.WAIT,
    "replan": _pb.REPLAN,
    "refuse": _pb.REFUSE,
}


def wishes_message(
    task: str | None,
    budget_bytes: int,
    thrift: float,
    path: Sequence[int] | None,
    uniform: bool,
    top_k: int = 0,
    control: bool = False,
    store: str | None = None,
    streaming: bool = False,
    when_full: WhenFull = None,
) -> _pb.InferRequest:
    return _pb.InferRequest(
        streaming=streaming,
        when_full=_WHEN_FULL[when_full],
        request_class=_pb.CONTROL if control else _pb.CLASS_UNSPECIFIED,
        task=task or "",
        store=store or "",
        budget_bytes=budget_bytes,
        thrift=thrift,
        level=path if path is not None else (),
        uniform=uniform,
        top_k=top_k,
    )


def result_of(reply: _pb.Response) -> Any:
    """What the daemon answered; a refusal as an exception."""
    what = reply.WhichOneof("result")
    if what == "error":
        raise refused(reply.error)
    return getattr(reply, what)


class Client(Connected):
    """A connection to the daemon; use it in a `with` statement, or close() it.

    socket_path: default_socket() when None. timeout: seconds for each call, None for no limit; a
    call's own `timeout` overrules it. The daemon is told the limit and stops working then, too.

    A client may be shared between threads: its methods take turns. Where calls are to run in
    parallel in the daemon, use infer_many, or one client per thread."""

    def __init__(
        self,
        socket_path: str | os.PathLike[str] | None = None,
        timeout: float | None = 10.0,
    ) -> None:
        super().__init__(socket_path, timeout)
        self._lock = threading.Lock()

    def infer(
        self,
        image: npt.ArrayLike,
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
        timeout: TimeoutLike = "default",
    ) -> types.Answer:
        """What is in the image: uint8, (height, width) gray or (height, width, 3) RGB, any size.

        task: may be left out when the store has one. budget_bytes: most memory that the run may
        need, 0 for the daemon's default. thrift: 0 .. 1, how much to save below the budget on easy
        images. path: one level per block, instead of the agent's choice. uniform: the largest
        uniform level that fits, instead of the agent's choice. top_k: labels in the answer.
        control: before all bulk requests that wait in the daemon. store: where the daemon serves
        several; without it, the default one when it has the task, else the only other that does.
        streaming: the path may be streamed, so that it can be larger than the budget; the daemon
        does so where the budget would cost accuracy. when_full: what becomes of a run that does
        not fit beside those that are on: "wait", "replan" (with what is left) or "refuse" (Busy);
        None: as the daemon is configured."""
        wishes = wishes_message(
            task, budget_bytes, thrift, path, uniform, top_k, control, store, streaming, when_full
        )
        return types.answer(self._call("infer", wishes, timeout, Picture(image)))

    def infer_many(
        self,
        images: Iterable[npt.ArrayLike],
        task: str | None = None,
        *,
        budget_bytes: int = 0,
        thrift: float = 0.0,
        path: Sequence[int] | None = None,
        uniform: bool = False,
        top_k: int = 1,
        ahead: int = 4,
        control: bool = False,
        store: str | None = None,
        streaming: bool = False,
        when_full: WhenFull = None,
        timeout: TimeoutLike = "default",
    ) -> list[types.Answer]:
        """infer for many images, up to `ahead` of them in flight at once; answers in the order of
        the images. `timeout` counts for each image. The first refusal is raised, but one as BUSY
        while others of this call are in flight is tried again, with fewer ahead."""
        wishes = wishes_message(
            task, budget_bytes, thrift, path, uniform, top_k, control, store, streaming, when_full
        )
        with self._lock:
            try:
                return _Pipeline(self, wishes, iter(images), max(1, ahead), timeout).run()
            finally:
                self._connection.forget_all()

    def plan(
        self,
        image: npt.ArrayLike | None = None,
        task: str | None = None,
        *,
        budget_bytes: int = 0,
        thrift: float = 0.0,
        path: Sequence[int] | None = None,
        uniform: bool = False,
        store: str | None = None,
        streaming: bool = False,
        timeout: TimeoutLike = "default",
    ) -> types.Answer:
        """What infer would pick and what it would cost, without running it."""
        wishes = wishes_message(
            task, budget_bytes, thrift, path, uniform, store=store, streaming=streaming
        )
        picture = Picture(image) if image is not None else None
        return types.answer(self._call("plan", wishes, timeout, picture))

    def describe(
        self,
        task: str | None = None,
        *,
        store: str | None = None,
        timeout: TimeoutLike = "default",
    ) -> types.Description:
        """A store's tasks: labels, memory range, measured accuracy; and which stores there are.
        task None: all. store None: as for infer; without a task, the default one."""
        request = _pb.DescribeRequest(task=task or "", store=store or "")
        return types.description(self._call("describe", request, timeout))

    def status(
        self, *, store: str | None = None, timeout: TimeoutLike = "default"
    ) -> types.Status:
        """Memory promised and used, queue, counters, and what was counted of tasks: of this store,
        or of all."""
        request = _pb.StatusRequest(store=store or "")
        return types.status(self._call("status", request, timeout))

    def reload(
        self,
        *,
        store: str | None = None,
        all_stores: bool = False,
        timeout: TimeoutLike = "default",
    ) -> types.Reloaded:
        """Makes the daemon load a store's file again: the default one's, or all. Raises
        ReloadFailed when one is broken; the running store stays."""
        request = _pb.ReloadRequest(store=store or "", all=all_stores)
        return types.reloaded(self._call("reload", request, timeout))

    def _deadline(self, timeout: TimeoutLike) -> float | None:
        seconds = self.timeout if timeout == "default" else timeout
        return None if seconds is None else time.monotonic() + seconds

    def _call(
        self, kind: str, message: Any, timeout: TimeoutLike, picture: Picture | None = None
    ) -> Any:
        deadline = self._deadline(timeout)
        with self._lock:
            call = self._connection.start(kind, message, deadline, picture)
            try:
                while (reply := self._connection.take(call)) is None:
                    self._connection.pump(deadline)
            finally:
                self._connection.forget_all()
        return result_of(reply)


class _Pipeline:
    """infer_many, under the client's lock. Calls in flight are kept with what it takes to make them
    again: the daemon may refuse one as BUSY because of our own others."""

    def __init__(
        self,
        client: Client,
        wishes: _pb.InferRequest,
        images: Iterator[npt.ArrayLike],
        ahead: int,
        timeout: TimeoutLike,
    ) -> None:
        self._client = client
        self._connection = client._connection
        self._wishes = wishes
        self._images = images
        self._ahead = ahead
        self._timeout = timeout
        self._answers: list[Any] = []
        self._again: list[tuple[int, Picture]] = []  # index, picture
        # + deadline, and whether no other was in flight when it was sent
        self._flying: dict[int, tuple[int, Picture, float | None, bool]] = {}

    def run(self) -> list[types.Answer]:
        while self._launch() or self._flying:
            deadlines = [d for _, _, d, _ in self._flying.values() if d is not None]
            self._connection.pump(min(deadlines, default=None))
            for call in list(self._flying):
                reply = self._connection.take(call)
                if reply is not None:
                    self._land(call, reply)
        return self._answers

    def _launch(self) -> bool:
        """Fills the flight up; False when nothing new could be sent."""
        launched = False
        while len(self._flying) < self._ahead:
            job = self._again.pop() if self._again else self._next()
            if job is None:
                break
            deadline = self._client._deadline(self._timeout)
            call = self._connection.start("infer", self._wishes, deadline, job[1])
            self._flying[call] = (*job, deadline, not self._flying)
            launched = True
        return launched

    def _next(self) -> tuple[int, Picture] | None:
        for image in self._images:
            picture = Picture(np.array(image))  # a copy: it may be sent again later
            self._answers.append(None)
            return len(self._answers) - 1, picture
        return None

    def _land(self, call: int, reply: _pb.Response) -> None:
        index, picture, _, alone = self._flying.pop(call)
        try:
            self._answers[index] = types.answer(result_of(reply))
        except Busy:
            if alone:
                raise
            self._again.append((index, picture))
            self._ahead = max(1, len(self._flying))
