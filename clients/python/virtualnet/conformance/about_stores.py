"""Stores by name: who answers when none is named, what is refused, and reloads."""

from __future__ import annotations

from typing import Any

from .. import virtualnet_pb2 as pb
from .clauses import clause
from .wire import Daemon, expect_error, in_short, keeps

STORES = "Stores"
NO_NAME = "no such store"


def loaded(d: Daemon) -> list[Any]:
    keeps(d.description.known, "the daemon lists no store")
    return [s for s in d.description.known if s.loaded]


@clause(STORES, "with a task, `infer`, `plan` and `describe` are for the default store when that "
        "has the task, else for the only other one that does. When more than one other does, the "
        "request is refused with `UNKNOWN_TASK`, and the sentence names them")
def without_a_name(d: Daemon) -> None:
    stores = loaded(d)
    with d.connect() as c:
        for task in sorted({t for s in stores for t in s.task}):
            have = [s.name for s in stores if task in s.task]
            calls: dict[str, Any] = {"plan": pb.InferRequest(task=task),
                                     "describe": pb.DescribeRequest(task=task)}
            if stores[0].name in have:
                have = [stores[0].name]
            for kind, request in calls.items():
                r = c.call(**{kind: request})
                if len(have) > 1:
                    e = expect_error(r, pb.UNKNOWN_TASK)
                    keeps(all(name in e.message for name in have), e.message)
                else:
                    by = r.describe.name if kind == "describe" else r.infer.store
                    keeps(by == have[0], f"{kind} of {task}: by {by!r}, not {have[0]!r}")


@clause(STORES, "A name that the daemon does not know is an `UNKNOWN_STORE`, and so is a store "
        "whose file could not be used when the daemon started")
def unknown_names(d: Daemon) -> None:
    absent = [s.name for s in d.description.known if not s.loaded]
    with d.connect() as c:
        for name in [NO_NAME, "/dev/null", "x" * 1000] + absent:
            request = d.infer(store=name)
            for call in ({"infer": request}, {"plan": request},
                         {"describe": pb.DescribeRequest(store=name)}):
                c.refused(pb.UNKNOWN_STORE, **call)
        c.answer(infer=d.infer())


@clause(STORES, "The answer to `infer` and `plan` says which store it is from (`store`); in the "
        "other answers, `store` is the network's name as the file has it, and `name` the store's.")
def answers_name_their_store(d: Daemon) -> None:
    with d.connect() as c:
        for s in loaded(d):
            image = d.image(8, 8)
            for kind in ("infer", "plan"):
                a = c.answer(**{kind: pb.InferRequest(store=s.name, task=s.task[0], image=image)})
                keeps((a.store, a.task) == (s.name, s.task[0]), in_short(a))
            r = c.answer(describe=pb.DescribeRequest(store=s.name))
            keeps((r.name, r.store) == (s.name, s.network), f"{r.name} {r.store}")


@clause("Describe", "`known` lists the stores: name, whether it is loaded, the network's name, and "
        "the names of the tasks.")
def known_stores(d: Daemon) -> None:
    names = [s.name for s in d.description.known]
    keeps(names and len(set(names)) == len(names), f"names {names}")
    keeps(d.description.name == names[0], "the default one is not the first")
    with d.connect() as c:
        for s in loaded(d):
            r = c.answer(describe=pb.DescribeRequest(store=s.name))
            keeps([t.name for t in r.task] == list(s.task), f"{s.name}: {list(s.task)}")
            keeps([k.name for k in r.known] == names, f"{s.name} knows others")


@clause("Status", "`store_status` has the same for each store, and whether it is loaded, how often "
        "its file was loaded (`loads`) or could not be (`failed_loads`), and how long ago the last "
        "time was that it could.")
def status_of_stores(d: Daemon) -> None:
    with d.connect() as c:
        s = c.answer(status=pb.StatusRequest())
        names = [k.name for k in d.description.known]
        keeps([t.name for t in s.store_status] == names, in_short(s))
        for t in s.store_status:
            keeps(t.loaded == (t.loads > 0) and t.loaded_since_ns <= s.uptime_ns, in_short(t))
        for field in ("parts", "parts_verified", "parts_damaged"):
            keeps(getattr(s, field) >= sum(getattr(t, field) for t in s.store_status), field)
        for k in d.description.known:
            of_one = c.answer(status=pb.StatusRequest(store=k.name)).task
            keeps([t.name for t in of_one] == list(k.task), f"tasks of {k.name}")
            keeps(all(t.store == k.name for t in of_one), f"tasks of {k.name}")
        c.refused(pb.UNKNOWN_STORE, status=pb.StatusRequest(store=NO_NAME))


@clause(STORES, "A reload loads one store, or every store one after the other (`all`), and then "
        "fails when one of them does, with the others switched.", reloads=True)
def reload_by_name(d: Daemon) -> None:
    with d.connect() as c:
        c.refused(pb.UNKNOWN_STORE, reload=pb.ReloadRequest(store=NO_NAME))
        for s in loaded(d):
            r = c.answer(reload=pb.ReloadRequest(store=s.name))
            keeps(r.name == s.name and r.file_bytes, in_short(r))
        every = c.call(reload=pb.ReloadRequest(all=True))
        if len(loaded(d)) == len(d.description.known):
            keeps(every.HasField("reload"), in_short(every))
        c.refused(pb.BAD_REQUEST, reload=pb.ReloadRequest(store=d.description.name, all=True))
