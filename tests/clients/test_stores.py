"""Several stores through the `virtualnet` command and the Python package."""

import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.environ["PYTHON_PACKAGE"])
sys.path.insert(0, os.path.join(os.environ["SOURCE_ROOT"], "tests/daemon"))

import harness  # noqa: E402
import numpy as np  # noqa: E402
import virtualnet  # noqa: E402
from harness import Daemon, check, store  # noqa: E402
from virtualnet import types  # noqa: E402
from virtualnet import virtualnet_pb2 as pb  # noqa: E402

OK, REFUSED, USAGE = range(3)
PIXELS = np.full((28, 28), 100, np.uint8)


def run(d, *arguments, code=OK):
    """Runs the command, checks its exit code; returns (stdout, stderr)."""
    env = {**os.environ, "VIRTUALNET_SOCKET": d.socket_path, "OPENBLAS_NUM_THREADS": "1"}
    p = subprocess.run([os.environ["VIRTUALNET"], *arguments], capture_output=True, text=True,
                       env=env, timeout=100)
    said = f"{arguments}: exit code {p.returncode}, not {code}\n{p.stdout}\n{p.stderr}"
    check(p.returncode == code and "Sanitizer" not in p.stderr, said)
    return p.stdout, p.stderr


def live(name, source=None):
    """A path of its own for a store that is replaced, as stores are replaced."""
    path = os.path.join(harness.folder(), f"live-{name}.safetensors")
    if source:
        shutil.copy(source, path + ".new")
        os.rename(path + ".new", path)
    return path


def picture():
    path = os.path.join(harness.folder(), "p.pgm")
    with open(path, "wb") as f:
        f.write(b"P5\n28 28\n255\n" + PIXELS.tobytes())
    return path


def three():
    """The default one, another with the same tasks, one with its own, and one that is missing."""
    return Daemon(live("a", store("small")), store_name="first", default_budget_bytes=30000000,
                  stores={"twin": {"store_path": live("b", store("small", "twin"))},
                          "large": {"store_path": store("large")},
                          "gone": {"store_path": "/nonexistent/store"}})


def test_command_asks_a_store():
    with three() as d:
        for words, name in (((), "first"), (("--store", "twin"), "twin")):
            words = ("--task", "garment", *words)
            out, _ = run(d, "infer", *words, "--json", picture())
            check(json.loads(out)["store"] == name, out)
            out, _ = run(d, "plan", *words, "--json")
            check(json.loads(out)["store"] == name, out)
            check(f"store       {name}\n" in run(d, "plan", *words)[0], "plan")
        out, _ = run(d, "plan", "--store", "large", "--level", "2", "--json")
        check(json.loads(out)["level"] == [2] * 6, "the level of the named store's blocks")
        _, err = run(d, "infer", "--task", "garment", "--store", "x", picture(), code=REFUSED)
        check("first, twin, large, gone" in err and "virtualnet status" in err, err)
        _, err = run(d, "plan", "--store", "gone", code=REFUSED)
        check("not loaded" in err, err)


def test_describe():
    with three() as d:
        out, _ = run(d, "describe")
        check(out.startswith("store first, network small: 4 blocks"), out)
        check("store twin: tasks garment, warm, digit" in out, out)
        check("store gone: NOT LOADED" in out and "describe --store large" in out, out)
        out, _ = run(d, "describe", "--store", "large")
        check(out.startswith("store large, network large: 6 blocks") and "task big" in out, out)
        check("store first: tasks" in out, out)
        r = json.loads(run(d, "describe", "--json", "--store", "twin", "warm")[0])
        check((r["name"], r["store"], [t["name"] for t in r["task"]]) == ("twin", "twin", ["warm"]),
              str(r))
        check([(s["name"], s["loaded"]) for s in r["known"]] ==
              [("first", True), ("twin", True), ("large", True), ("gone", False)], str(r))
    with Daemon(store("small")) as d:
        check(run(d, "describe")[0].startswith("store small: 4 blocks"), "as ever for one store")


def test_status():
    with three() as d:
        out, _ = run(d, "status")
        for part in ("stores\n  first", "network twin, ", "gone           NOT LOADED", " of 17 "):
            check(part in out, f"{part}: {out}")
        out, _ = run(d, "status", "--store", "twin")
        check("twin" in out and "large" not in out, out)
        r = json.loads(run(d, "status", "--json", "--store", "large")[0])["store_status"]
        check(len(r) == 1 and r[0]["network"] == "large" and r[0]["loads"] == 1, str(r))
        run(d, "status", "--store", "x", code=REFUSED)
    with Daemon(store("small")) as d:
        check("store\n  " in run(d, "status")[0], "as ever for one store")


def test_top():
    with three() as d:
        run(d, "infer", "--task", "garment", "--store", "twin", picture())
        out, _ = run(d, "top", "--once", "--interval", "100")
        for part in ("store/task", "first/garment", "twin/garment", "large/big", "NOT LOADED"):
            check(part in out, f"{part}: {out}")
        out, _ = run(d, "top", "--once", "--interval", "100", "--store", "twin")
        check("twin/garment" in out and "first/garment" not in out, out)
        tasks = json.loads(run(d, "top", "--once", "--interval", "100", "--json")[0])["task"]
        runs = {(t["store"], t["name"]): t["runs"] for t in tasks}
        check(len(runs) == 7 and runs["twin", "garment"] == 1 and runs["first", "garment"] == 0,
              str(runs))


def test_reload():
    with three() as d:
        live("b", store("small", "twin2"))
        check("now serving twin2" in run(d, "reload", "--store", "twin")[0], "reload")
        live("a", store("small", "newer"))
        check("now serving newer" in run(d, "reload")[0], "the default one")
        _, err = run(d, "reload", "--all", code=REFUSED)
        check("1 of 4 stores: /nonexistent/store" in err and "still not served" in err, err)
        run(d, "reload", "--all", "--store", "twin", code=USAGE)
        run(d, "reload", "--store", "x", code=REFUSED)
    with Daemon(store("small"), stores={"twin": {"store_path": store("small", "twin")}}) as d:
        check("all stores" in run(d, "reload", "--all")[0], "all")
        r = json.loads(run(d, "reload", "--json", "--store", "twin")[0])
        check((r["name"], r["store"]) == ("twin", "twin"), str(r))


def raises(kind, call, *arguments, **more):
    try:
        call(*arguments, **more)
    except kind as e:
        return e
    raise AssertionError(f"no {kind}")


def test_python():
    with three() as d, virtualnet.Client(d.socket_path) as c:
        check(c.infer(PIXELS, "garment").store == "first", "infer")
        check(c.infer(PIXELS, "garment", store="twin").store == "twin", "infer")
        check(c.infer(PIXELS, "big").store == "large", "the only one with the task")
        many = c.infer_many([PIXELS] * 3, "garment", store="twin")
        check([a.store for a in many] == ["twin"] * 3, "infer_many")
        check(c.plan(task="garment", store="twin").store == "twin", "plan")
        e = raises(virtualnet.UnknownStore, c.infer, PIXELS, "garment", store="x")
        check(e.code == "UNKNOWN_STORE", str(e))
        r = c.describe(store="large")
        check((r.name, r.store, list(r.tasks)) == ("large", "large", ["big"]), str(r))
        check(list(r.stores) == ["first", "twin", "large", "gone"], str(r.stores))
        check(r.stores["twin"].tasks == ("garment", "warm", "digit"), str(r.stores))
        check(not r.stores["gone"].loaded, str(r.stores))
        check(c.describe("big").name == "large", "by its task")
        check(c.reload(store="twin").name == "twin", "reload")
        raises(virtualnet.ReloadFailed, c.reload, all_stores=True)
        with virtualnet.Stream("s", "garment", store="twin", socket_path=d.socket_path) as stream:
            stream.put(PIXELS)
            check(stream.get()[1].store == "twin", "stream")


def test_python_status():
    with three() as d, virtualnet.Client(d.socket_path) as c:
        for _ in range(3):
            c.infer(PIXELS, "garment", path=[4] * 4, store="twin")
        s = c.status()
        t = s.task("garment", "twin")
        check((t.runs, t.mean_levels, t.groups) == (3, (4,) * 4, 4), str(t))
        check(s.task("garment").store == "first" and not s.task("garment").mean_levels, "default")
        raises(KeyError, s.task, "garment", "large")
        for times in t.times.values():
            check(sum(times.counts) == 3 and times.sum_s > 0, str(t.times))
            check(len(times.counts) == len(s.bucket_s) + 1, "buckets")
        check(set(t.times) == {"queue", "agent", "page_in", "compute", "send", "total"},
              str(t.times))
        check(list(s.stores) == ["first", "twin", "large", "gone"], str(s.stores))
        twin = s.stores["twin"]
        check((twin.loaded, twin.loads, twin.tasks, twin.blocks) == (True, 1, 3, 4), str(twin))
        check(0 < twin.loaded_since_s < s.uptime_s, str(twin))
        check({t.store for t in c.status(store="twin").tasks} == {"twin"}, "of one")


def test_python_has_every_field():
    """A field of the protocol has its place in the data class: by the same name, as a list with an
    "s", or in seconds."""
    others = {"level": "path", "known": "stores", "store_status": "stores"}
    pairs = ((pb.InferResponse, types.Answer), (pb.DescribeResponse, types.Description),
             (pb.StatusResponse, types.Status), (pb.TaskStatus, types.TaskStatus),
             (pb.StoreStatus, types.StoreStatus), (pb.ReloadResponse, types.Reloaded),
             (pb.Store, types.Store), (pb.Task, types.Task), (pb.Measured, types.Measured),
             (pb.Bytes, types.Bytes), (pb.Label, types.Label))
    for message, kind in pairs:
        have = kind.__dataclass_fields__
        for f in message.DESCRIPTOR.fields_by_name:
            names = {f, f + "s", f.removesuffix("_ns") + "_s", others.get(f)}
            check(names & have.keys(), f"{kind.__name__} lacks {f}")


harness.main(sys.modules[__name__])
