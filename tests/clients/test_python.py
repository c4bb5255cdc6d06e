"""The Python package: against the real daemon, and against a fake one that misbehaves."""

import os
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

sys.path.insert(0, os.environ["PYTHON_PACKAGE"])
sys.path.insert(0, os.path.join(os.environ["SOURCE_ROOT"], "tests/daemon"))

import numpy as np  # noqa: E402

import harness  # noqa: E402
import virtualnet  # noqa: E402
from fake import Fake, all_but_the_first_are_busy, answer, frame, receive  # noqa: E402
from harness import check  # noqa: E402
from virtualnet import virtualnet_pb2 as pb  # noqa: E402

GRAY = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
RGB = np.zeros((20, 30, 3), np.uint8)


def raises(kind, call, *words):
    try:
        call()
    except kind as e:
        for word in words:
            check(word in str(e), f'"{e}" lacks "{word}"')
        return e
    raise AssertionError(f"no {kind.__name__}")


# ---- the real daemon ----


def test_all_calls():
    with harness.Daemon(harness.store("small")) as d, virtualnet.Client(d.socket_path) as c:
        description = c.describe()
        check(list(description.tasks) == ["garment", "warm", "digit"], str(description))
        task = description.tasks["garment"]
        check(len(task.labels) == 10 and task.labels[1] == "trouser", str(task))
        check(0 < task.smallest.total < task.largest.total, str(task))
        check(c.describe("warm").tasks.keys() == {"warm"}, "one task")
        check(description.tasks["warm"].cheapest(0) is None, "it has no table")
        row = task.cheapest(0.72)  # level 4 and the agent without a limit: the latter is better
        check((row.by, row.accuracy) == ("shared", 0.8), str(row))
        check(task.cheapest(0.4).budget_bytes < row.budget_bytes == task.largest.total, str(task))

        a = c.infer(GRAY, "garment", top_k=10)
        check(len(a.labels) == 10 and abs(sum(l.probability for l in a.labels) - 1) < 1e-4, str(a))
        check(a.label == a.labels[0].name and len(a.path) == description.blocks, str(a))
        check(a.bytes.total == a.bytes.params_resident + a.bytes.scratch + a.bytes.io, str(a))
        check(c.infer(RGB, "digit").label in ("null", "eins", "fünf"), "names are UTF-8")
        check(c.infer(GRAY[:, :, None], "garment").label == a.label, "(h, w, 1) is gray")

        fixed = c.infer(GRAY, "garment", path=[1, 2, 0, 4])
        check(fixed.path == (1, 2, 0, 4) and fixed.decided_by == "request", str(fixed))
        plan = c.plan(task="garment", path=[1, 2, 0, 4])
        check(plan.labels == () and plan.bytes.params == fixed.bytes.params, str(plan))
        uniform = c.infer(GRAY, "garment", uniform=True)
        check(uniform.decided_by == "uniform" and len(set(uniform.path)) == 1, str(uniform))
        budget = (task.smallest.total + task.largest.total) // 2
        check(c.infer(GRAY, "garment", budget_bytes=budget).bytes.total <= budget, "budget")

        status = c.status()
        check(status.counters["infer_ok"] >= 5 and status.rss_bytes > 0, str(status))
        check(c.reload().store == "small", "reload")


def test_a_view_is_sent_as_it_looks():
    """Strided views, as cut-outs and mirrored images are, give the answer of their copy."""
    with harness.Daemon(harness.store("small")) as d, virtualnet.Client(d.socket_path) as c:
        big = np.random.default_rng(1).integers(0, 256, (100, 120), np.uint8)
        for view in (big[10:38, 20:48], big[:, ::-1], big.T, big[::3, ::2]):
            a, b = (c.infer(i, "garment", top_k=10).labels for i in (view, view.copy()))
            check(a == b, f"{view.shape}")


def test_refusals_are_typed():
    with harness.Daemon(harness.store("small")) as d, virtualnet.Client(d.socket_path) as c:
        e = raises(virtualnet.BudgetTooSmall, lambda: c.infer(GRAY, "garment", budget_bytes=1))
        check(c.infer(GRAY, "garment", budget_bytes=e.needed_bytes).label != "", "needed_bytes")
        raises(virtualnet.BudgetTooSmall,
               lambda: c.infer(GRAY, "garment", budget_bytes=e.needed_bytes - 1))
        raises(virtualnet.UnknownTask, lambda: c.infer(GRAY, "nose"), "garment")
        raises(virtualnet.BadRequest, lambda: c.infer(GRAY, "garment", path=[1, 2]))
        raises(virtualnet.BadRequest, lambda: c.infer(GRAY, "garment", thrift=2.0))
        check(e.code == "BUDGET_TOO_SMALL", e.code)
        raises(virtualnet.VirtualnetError, lambda: c.infer(GRAY, "nose"))


def test_images_that_are_none():
    with harness.Daemon(harness.store("small")) as d, virtualnet.Client(d.socket_path) as c:
        raises(ValueError, lambda: c.infer(GRAY / 255.0, "garment"), "uint8", "float64")
        raises(ValueError, lambda: c.infer(np.zeros((4, 4, 4), np.uint8), "garment"), "(4, 4, 4)")
        raises(ValueError, lambda: c.infer(np.zeros(9, np.uint8), "garment"), "(9,)")
        raises(virtualnet.BadImage, lambda: c.infer(np.zeros((0, 9), np.uint8), "garment"))
        check(c.infer(GRAY, "garment").label != "", "the connection is as good as before")


def test_infer_many():
    with harness.Daemon(harness.store("small")) as d, virtualnet.Client(d.socket_path) as c:
        images = [np.full((28, 28), v, np.uint8) for v in range(0, 250, 10)]
        one_by_one = [c.infer(i, "garment") for i in images]
        for ahead in (1, 4, 16):
            many = c.infer_many((i for i in images), "garment", ahead=ahead)
            check([a.labels for a in many] == [a.labels for a in one_by_one], f"ahead {ahead}")
        check(c.infer_many([], "garment") == [], "none")
        raises(virtualnet.BudgetTooSmall, lambda: c.infer_many(images, "garment", budget_bytes=1))
        check(c.infer(GRAY, "garment").label != "", "dropped replies do not disturb the next call")


def test_infer_many_within_small_limits():
    """More in flight than the daemon takes: BUSY is answered by sending fewer ahead."""
    with harness.Daemon(harness.store("small"), connection_inflight_limit=2) as d:
        with virtualnet.Client(d.socket_path) as c:
            answers = c.infer_many([GRAY] * 40, "garment", ahead=16)
            check(len(answers) == 40 and all(a.label for a in answers), "all are answered")


def test_stream():
    """Answers come in the order of the pictures, the last one's among them."""
    with harness.Daemon(harness.store("large"), default_budget_bytes=30000000) as d:
        with virtualnet.Stream("front", "big", path=[8] * 6, socket_path=d.socket_path) as s:
            check(s.get() is None, "nothing was put")
            numbers = [s.put(RGB) for _ in range(20)]
            check(s.get(timeout=0.0) is None, "so soon")
            got = []
            while (answer := s.get(timeout=60)) is not None:
                got.append(answer)
            answered = [n for n, _ in got]
            check(answered == sorted(answered) and answered[-1] == numbers[-1], str(answered))
            check(len(answered) < 5 and all(a.label for _, a in got), str(answered))
        counters = d.status()
        n = harness.counters(counters)
        check((n["infer_ok"], n["superseded"]) == (len(got), 20 - len(got)), str(n))
        with virtualnet.Stream("x" * 65, "big", socket_path=d.socket_path) as s:
            s.put(RGB)
            raises(virtualnet.BadRequest, s.get, "65 bytes")


def test_control():
    with harness.Daemon(harness.store("small")) as d, virtualnet.Client(d.socket_path) as c:
        check(c.infer(GRAY, "garment", control=True).label, "no answer")
        check(len(c.infer_many([GRAY] * 3, "garment", control=True)) == 3, "no answers")


def test_busy_says_when():
    with harness.Daemon(harness.store("small"), connection_inflight_limit=2) as d:
        with virtualnet.Stream("a", "garment", socket_path=d.socket_path) as s:
            s._wishes.stream, s._wishes.replace = "", False
            for _ in range(3):
                s.put(GRAY)
            while True:
                try:
                    if s.get(timeout=10) is None:
                        break
                except virtualnet.Busy as e:
                    check(e.retry_after_s > 0 and e.limit == 2, f"{e!r}")


def test_threads_take_turns():
    with harness.Daemon(harness.store("small")) as d, virtualnet.Client(d.socket_path) as c:
        wrong = []

        def ask(v):
            image = np.full((28, 28), v, np.uint8)
            expected = c.infer(image, "garment").labels
            wrong.extend(1 for _ in range(20) if c.infer(image, "garment").labels != expected)

        threads = [threading.Thread(target=ask, args=(v,)) for v in (0, 100, 200)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        check(not wrong, "an answer went to the wrong thread")


def test_daemon_that_ends():
    with harness.Daemon(harness.store("small")) as d:
        c = virtualnet.Client(d.socket_path)
        c.status()
    raises(virtualnet.ConnectionLost, c.status)
    raises(virtualnet.ConnectionLost, c.status, "closed")
    raises(ConnectionError, lambda: virtualnet.Client(d.socket_path), d.socket_path)


def test_example():
    with tempfile.NamedTemporaryFile(suffix=".pgm") as f:
        f.write(b"P5\n28 28\n255\n" + GRAY.tobytes())
        f.flush()
        with harness.Daemon(harness.store("small")) as d:
            example = os.path.join(os.environ["PYTHON_PACKAGE"], "example.py")
            said = subprocess.run(
                [sys.executable, example, f.name, "garment"], check=True, capture_output=True,
                text=True, env={**os.environ, "VIRTUALNET_SOCKET": d.socket_path,
                                "PYTHONPATH": os.environ["PYTHON_PACKAGE"]}).stdout
    check(len(said.splitlines()) == 4 and "refused" in said, said)


def test_quickstart():
    with harness.Daemon(harness.store("small")) as d:
        script = os.path.join(os.environ["PYTHON_PACKAGE"], "quickstart.py")
        said = subprocess.run(
            [sys.executable, script], check=True, capture_output=True, text=True,
            env={**os.environ, "VIRTUALNET_SOCKET": d.socket_path,
                 "PYTHONPATH": os.environ["PYTHON_PACKAGE"]}).stdout
    # a heading, 2 tasks x 3 budgets of a title and 6 images, a blank and the legend
    check(len(said.splitlines()) == 1 + 2 * 3 * (1 + 6) + 2, said)
    check(said.count("Ankle boot") == 3, said)


# ---- a daemon that misbehaves ----


def misbehaves(reply):
    """A fake that answers the first request with these bytes and hangs up."""

    def handler(connection):
        receive(connection)
        connection.sendall(reply)

    return Fake(handler)


def test_bytes_that_are_no_reply():
    for reply in (
        b"\xff\xff\xff\xff",  # 4 GiB
        b"\x01\x00\x00\x01",  # a byte above the limit
        frame(b"\xff\xff\xff"),  # not protobuf
        frame(b""),  # id 0, no error
        frame(pb.Response(id=7, status=pb.StatusResponse())),  # never given out
        frame(pb.Response(id=1)),  # no result
        frame(pb.Response(id=1, reload=pb.ReloadResponse())),  # of another kind
    ):
        with misbehaves(reply) as fake, virtualnet.Client(fake.path, timeout=20) as c:
            raises(virtualnet.ProtocolError, c.status)
            raises(virtualnet.ConnectionLost, c.status)


def test_hang_up_at_every_byte():
    whole = frame(pb.Response(id=1, status=pb.StatusResponse(store="s")))
    for n in range(len(whole)):
        with misbehaves(whole[:n]) as fake, virtualnet.Client(fake.path, timeout=20) as c:
            raises(virtualnet.ConnectionLost, c.status)


def test_farewell():
    error = pb.Error(code=pb.BAD_FRAME, message="no request")
    with misbehaves(frame(pb.Response(error=error))) as fake:
        with virtualnet.Client(fake.path) as c:
            raises(virtualnet.BadFrame, c.status, "no request")


def test_unknown_code():
    error = pb.Error(message="from a later version")
    error.ParseFromString(error.SerializeToString() + b"\x08\x4d")  # code 77
    with misbehaves(frame(pb.Response(id=1, error=error))) as fake:
        with virtualnet.Client(fake.path) as c:
            e = raises(virtualnet.Refused, c.status, "later version")
            check(type(e) is virtualnet.Refused, repr(e))


def test_replies_out_of_order():
    def handler(connection):
        requests = [receive(connection) for _ in range(4)]
        for r in reversed(requests):
            connection.sendall(frame(answer(r.id, str(r.infer.image.width))))
        receive(connection)

    with Fake(handler) as fake, virtualnet.Client(fake.path) as c:
        images = [np.zeros((1, w), np.uint8) for w in (5, 6, 7, 8)]
        answers = c.infer_many(images, ahead=4)
        check([a.label for a in answers] == ["5", "6", "7", "8"], str(answers))


def test_busy_is_raised_when_it_is_not_our_own():
    def handler(connection):
        while (r := receive(connection)) is not None:
            error = pb.Error(code=pb.BUSY, message="full", limit_name="queue", limit=4, current=4)
            connection.sendall(frame(pb.Response(id=r.id, error=error)))

    with Fake(handler) as fake, virtualnet.Client(fake.path) as c:
        e = raises(virtualnet.Busy, lambda: c.infer_many([GRAY] * 9, ahead=4))
        check((e.limit_name, e.limit, e.current) == ("queue", 4, 4), str(vars(e)))


def test_busy_that_arrives_with_what_was_in_the_way():
    with Fake(all_but_the_first_are_busy) as fake, virtualnet.Client(fake.path) as c:
        check(len(c.infer_many([GRAY] * 9, ahead=4)) == 9, "all are answered")


def test_timeout_and_the_late_reply():
    go = threading.Event()

    def handler(connection):
        first = receive(connection)
        go.wait(20)
        connection.sendall(frame(answer(first.id, "late")))
        connection.sendall(frame(answer(receive(connection).id, "in time")))
        receive(connection)

    with Fake(handler) as fake, virtualnet.Client(fake.path, timeout=20) as c:
        since = time.monotonic()
        raises(virtualnet.Timeout, lambda: c.infer(GRAY, timeout=0.05))
        check(time.monotonic() - since < 10, "it took its time")
        raises(TimeoutError, lambda: c.infer(GRAY, timeout=0.0))
        go.set()
        # the zero timeout's request was queued but never sent whole: that client is closed
        raises(virtualnet.ConnectionLost, lambda: c.infer(GRAY))


def test_late_replies_are_dropped():
    go = threading.Event()

    def handler(connection):
        first = receive(connection)
        go.wait(20)
        connection.sendall(frame(answer(first.id, "late")))
        connection.sendall(frame(answer(receive(connection).id, "in time")))
        receive(connection)

    with Fake(handler) as fake, virtualnet.Client(fake.path, timeout=20) as c:
        raises(virtualnet.Timeout, lambda: c.infer(GRAY, timeout=0.05))
        go.set()
        check(c.infer(GRAY).label == "in time", "the late one was taken")


def test_daemon_that_does_not_read():
    """A request larger than the socket's buffers, to somebody who sleeps."""
    with Fake(lambda connection: time.sleep(1)) as fake, virtualnet.Client(fake.path) as c:
        raises(virtualnet.Timeout, lambda: c.infer(np.zeros((3000, 3000), np.uint8), timeout=0.2))
        raises(virtualnet.ConnectionLost, c.status)


def test_deadline_is_the_timeout():
    def handler(connection):
        r = receive(connection)
        check(4000 < r.infer.deadline_ms <= 5000, f"{r.infer.deadline_ms}")
        connection.sendall(frame(answer(r.id)))
        r = receive(connection)
        check(r.infer.deadline_ms == 0, f"{r.infer.deadline_ms}")
        connection.sendall(frame(answer(r.id)))

    with Fake(handler) as fake, virtualnet.Client(fake.path) as c:
        c.infer(GRAY, timeout=5)
        c.infer(GRAY, timeout=None)


# ---- the package itself ----


def test_generated_code_is_that_of_the_proto():
    with open(os.path.join(os.environ["PYTHON_PACKAGE"], "virtualnet/virtualnet_pb2.py")) as f:
        committed = f.read()
    with open(os.path.join(os.environ["PROTO_PYTHON"], "virtualnet_pb2.py")) as f:
        fresh = f.read()
    check(committed == fresh, "run protoc: clients/python/meson.build says how")


def test_versions_agree():
    with open(os.path.join(os.environ["PYTHON_PACKAGE"], "pyproject.toml"), "rb") as f:
        project = tomllib.load(f)["project"]
    check(project["version"] == virtualnet.__version__ == os.environ["VERSION"], str(project))


def test_every_code_has_a_class():
    for name, code in pb.Code.items():
        e = virtualnet.errors.refused(pb.Error(code=code, message="m"))
        check(e.code == name or code == 0, f"{name}: {e!r}")
        check(type(e) is not virtualnet.Refused or code == 0, name)


harness.main(sys.modules[__name__])
