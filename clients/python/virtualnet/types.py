"""What the daemon answers, as plain frozen dataclasses. Sizes are bytes, times are seconds."""

from __future__ import annotations

from dataclasses import dataclass

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
class Description:
    store: str  #: the network's name
    version: str  #: of the daemon
    agent: str
    blocks: int
    groups: int
    frame_limit_bytes: int  #: the largest request that the daemon reads
    tasks: dict[str, Task]  #: by name, in the store's order


@dataclass(frozen=True)
class Status:
    version: str
    store: str
    uptime_s: float
    promised_bytes: int  #: sum over the running requests
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
    parts: int  #: of the store: the always-needed part and the slices
    parts_verified: int  #: of them, compared with their checksums and good
    parts_damaged: int  #: and not good: runs that need one raise StoreDamaged
    counters: dict[str, int]  #: requests by outcome


@dataclass(frozen=True)
class Reloaded:
    store: str
    file_bytes: int


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
    )


def status(m: _pb.StatusResponse) -> Status:
    same = Status.__dataclass_fields__.keys() & m.DESCRIPTOR.fields_by_name.keys()
    return Status(
        uptime_s=m.uptime_ns * _NS,
        counters={c.name: c.value for c in m.counter},
        **{name: getattr(m, name) for name in same},
    )


def reloaded(m: _pb.ReloadResponse) -> Reloaded:
    return Reloaded(m.store, m.file_bytes)
