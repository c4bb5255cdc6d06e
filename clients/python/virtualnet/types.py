"""What the daemon answers, as plain frozen dataclasses. Sizes are bytes, times are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import virtualnet_pb2 as _pb

_NS = 1e-9


@dataclass(frozen=True)
class Bytes:
    """What a run needs. A budget is held against `total` = params_resident + scratch + io."""

    total: int
    params: int  #: parameters of the path, exact
    params_resident: int  #: the 64 KiB windows that they touch
    scratch: int  #: activations
    io: int  #: image and result


@dataclass(frozen=True)
class Label:
    index: int  #: in the task's list of labels
    name: str
    probability: float


@dataclass(frozen=True)
class Answer:
    """The answer of infer; of plan, with no labels."""

    task: str
    labels: tuple[Label, ...]  #: best first
    path: tuple[int, ...]  #: one level per block
    density: float  #: parameters of the path / of the full path
    bytes: Bytes  #: promised before the run
    budget_bytes: int  #: the limit that was applied; 0: none
    decided_by: str  #: "uniform", "task", "conv", "shared" or "request"
    queue_s: float  #: waiting for a worker
    agent_s: float  #: choosing the path
    compute_s: float  #: running it
    store: str  #: the name of the store that answered
    page_in_s: float  #: waiting for slices that were not in memory
    streamed: bool  #: bytes counts what was resident at the same moment, at most
    replanned: bool  #: budget_bytes is what was left, not what was asked for

    @property
    def label(self) -> str:
        """Name of the best label."""
        return self.labels[0].name

    @property
    def probability(self) -> float:
        """Probability of the best label."""
        return self.labels[0].probability


@dataclass(frozen=True)
class Measured:
    """A row of a task's accuracy table, measured on the validation split."""

    by: str  #: "uniform" or the agent's kind
    setting: float  #: the level, or the budget as a share of the full path
    accuracy: float  #: 0 .. 1
    params: float  #: mean parameters of the path
    bytes: float  #: mean resident parameter bytes
    #: The budget that makes it so, for an image of the input's own size. Rows by "uniform" also
    #: want uniform=True in the request.
    budget_bytes: int


@dataclass(frozen=True)
class Task:
    name: str
    input: str
    width: int  #: pixels the network sees; images of any size may be sent
    height: int
    color: str  #: "gray", "rgb" or "bgr": what the network sees
    labels: tuple[str, ...]
    order: tuple[int, ...]  #: the task's order of groups
    smallest: Bytes  #: of its smallest and largest path: budgets in between make a difference
    largest: Bytes
    default_budget_bytes: int  #: 0: none
    measured: tuple[Measured, ...]

    def cheapest(self, accuracy: float) -> Measured | None:
        """The measured row with the smallest budget that reaches this accuracy, if any does."""
        rows = [r for r in self.measured if r.budget_bytes and r.accuracy >= accuracy]
        return min(rows, key=lambda r: (r.budget_bytes, -r.accuracy), default=None)


@dataclass(frozen=True)
class Store:
    """One of those that the daemon serves."""

    name: str  #: what requests state
    loaded: bool  #: False: its file could not be used so far
    network: str  #: the network's name
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """Of one store, and which stores there are."""

    store: str  #: the network's name
    version: str  #: of the daemon
    agent: str
    blocks: int
    groups: int
    frame_limit_bytes: int  #: the largest request that the daemon reads
    tasks: dict[str, Task]  #: by name, in the store's order
    name: str  #: of the store, what requests state
    stores: dict[str, Store]  #: by name, the default one first
    memfd_limit_bytes: int  #: the most pixels that a memfd may bring; 0: none is taken


@dataclass(frozen=True)
class Times:
    """How long a phase of runs took."""

    sum_s: float
    counts: tuple[int, ...]  #: for each of Status.bucket_s; the last has no bound


@dataclass(frozen=True)
class TaskStatus:
    """Of answered runs, since the start or since the store has the task."""

    name: str
    store: str  #: that it belongs to
    groups: int  #: the highest level
    default_budget_bytes: int  #: 0: no limit
    runs: int
    level_sums: tuple[int, ...]  #: by block, over runs
    #: By phase: "queue", "agent", "page_in", "compute" and "send"; and "total".
    times: dict[str, Times]

    @property
    def mean_levels(self) -> tuple[float, ...]:
        """By block; nothing without runs."""
        return tuple(s / self.runs for s in self.level_sums) if self.runs else ()


@dataclass(frozen=True)
class StoreStatus:
    name: str  #: what requests state
    loaded: bool  #: False: its file could not be used so far; the numbers are 0
    network: str  #: the network's name
    file_bytes: int
    parts: int  #: as in Status, of this store alone
    parts_verified: int
    parts_damaged: int
    tasks: int
    blocks: int
    groups: int
    loads: int  #: times its file was loaded
    failed_loads: int  #: and could not be
    loaded_since_s: float  #: how long ago the last was that could
    resident_bytes: int  #: of its slices: those that run, and kept


@dataclass(frozen=True)
class Status:
    version: str
    store: str  #: the default one's network
    uptime_s: float
    promised_bytes: int  #: to the running requests: parameters, pixels, results
    fixed_bytes: int  #: PSS before the first run
    pss_bytes: int  #: what the kernel says now
    pss_anon_bytes: int
    pss_file_bytes: int
    rss_bytes: int
    cgroup_bytes: int  #: memory.current; 0: not in a memory cgroup
    queue_length: int
    queue_limit: int
    running: int
    workers: int
    connections: int
    parts: int  #: of all stores: the always-needed parts and the slices
    parts_verified: int  #: of them, compared with their checksums and good
    parts_damaged: int  #: and not good: runs that need one raise StoreDamaged
    counters: dict[str, int]  #: requests by outcome
    groups: int  #: the highest level of the default store
    memory_limit_bytes: int  #: of accounted_bytes; 0: none
    scratch_bytes: int  #: of all workers, as large as it can become
    buffer_bytes: int  #: requests that arrive or wait
    resident_bytes: int  #: of all stores' slices: those that run, and kept
    #: All of that, fixed_bytes, pixels of runs and 1 MiB: what the process holds at most.
    accounted_bytes: int
    cgroup_reclaimable_bytes: int  #: of cgroup_bytes, pages of files
    pressure_share: float  #: part of the default budgets that is in force
    pressure_events: int
    bucket_s: tuple[float, ...]  #: upper bounds of the histograms, inclusive
    tasks: tuple[TaskStatus, ...]  #: the default store's first
    stores: dict[str, StoreStatus]  #: by name, the default one first

    def task(self, name: str, store: str | None = None) -> TaskStatus:
        """The one of this name, and of this store when one is named; KeyError."""
        for t in self.tasks:
            if t.name == name and store in (None, t.store):
                return t
        raise KeyError(name)


@dataclass(frozen=True)
class Reloaded:
    store: str  #: the network's name
    file_bytes: int
    name: str  #: of the store


def _bytes(m: _pb.Bytes) -> Bytes:
    return Bytes(m.total, m.params, m.params_resident, m.scratch, m.io)


def answer(m: _pb.InferResponse) -> Answer:
    return Answer(
        task=m.task,
        labels=tuple(Label(r.index, r.name, r.probability) for r in m.label),
        path=tuple(m.level),
        density=m.density,
        bytes=_bytes(m.bytes),
        budget_bytes=m.budget_bytes,
        decided_by=m.decided_by,
        queue_s=m.queue_ns * _NS,
        agent_s=m.agent_ns * _NS,
        compute_s=m.compute_ns * _NS,
        store=m.store,
        page_in_s=m.page_in_ns * _NS,
        streamed=m.streamed,
        replanned=m.replanned,
    )


def _task(m: _pb.Task) -> Task:
    return Task(
        name=m.name,
        input=m.input,
        width=m.width,
        height=m.height,
        color=m.color,
        labels=tuple(m.label),
        order=tuple(m.order),
        smallest=_bytes(m.smallest),
        largest=_bytes(m.largest),
        default_budget_bytes=m.default_budget_bytes,
        measured=tuple(
            Measured(r.by, r.setting, r.accuracy, r.params, r.bytes, r.budget_bytes)
            for r in m.measured
        ),
    )


def description(m: _pb.DescribeResponse) -> Description:
    return Description(
        store=m.store,
        version=m.version,
        agent=m.agent,
        blocks=m.blocks,
        groups=m.groups,
        frame_limit_bytes=m.frame_limit_bytes,
        tasks={t.name: _task(t) for t in m.task},
        name=m.name,
        stores={s.name: Store(s.name, s.loaded, s.network, tuple(s.task)) for s in m.known},
        memfd_limit_bytes=m.memfd_limit_bytes,
    )


def _same(kind: Any, m: Any) -> dict[str, Any]:
    """The fields that have the same name and meaning in the dataclass and in the message."""
    same = kind.__dataclass_fields__.keys() & m.DESCRIPTOR.fields_by_name.keys()
    return {name: getattr(m, name) for name in same - {"times"}}


def _task_status(m: _pb.TaskStatus) -> TaskStatus:
    return TaskStatus(
        level_sums=tuple(m.level_sum),
        times={t.phase: Times(t.sum_ns * _NS, tuple(t.count)) for t in m.times},
        **_same(TaskStatus, m),
    )


def _store_status(m: _pb.StoreStatus) -> StoreStatus:
    return StoreStatus(loaded_since_s=m.loaded_since_ns * _NS, **_same(StoreStatus, m))


def status(m: _pb.StatusResponse) -> Status:
    return Status(
        uptime_s=m.uptime_ns * _NS,
        counters={c.name: c.value for c in m.counter},
        bucket_s=tuple(ns * _NS for ns in m.bucket_ns),
        tasks=tuple(_task_status(t) for t in m.task),
        stores={s.name: _store_status(s) for s in m.store_status},
        **_same(Status, m),
    )


def reloaded(m: _pb.ReloadResponse) -> Reloaded:
    return Reloaded(m.store, m.file_bytes, m.name)
