"""Large pictures of the Python package: by a memfd, with the same answers as in the request; and in
the request where memfds are not taken."""

import os
import sys

sys.path.insert(0, os.environ["PYTHON_PACKAGE"])
sys.path.insert(0, os.path.join(os.environ["SOURCE_ROOT"], "tests/daemon"))

import numpy as np  # noqa: E402

import harness  # noqa: E402
import virtualnet  # noqa: E402
from fake import Fake, answer, frame, receive  # noqa: E402
from harness import check  # noqa: E402
from virtualnet import picture  # noqa: E402
from virtualnet import virtualnet_pb2 as pb  # noqa: E402

random = np.random.default_rng(5)
LARGE = [random.integers(0, 256, (400, 500), np.uint8) >> shift for shift in range(6)]


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def labels(client, images, inline):
    least, picture.MEMFD_BYTES_MIN = picture.MEMFD_BYTES_MIN, 1 << 40 if inline else 1
    try:
        return [client.infer(i, "garment", top_k=10).labels for i in images]
    finally:
        picture.MEMFD_BYTES_MIN = least


def test_same_answers():
    views = LARGE + [LARGE[0][::2, ::-1], LARGE[1].T, LARGE[2][:, :, None],
                     np.stack([LARGE[3]] * 3, axis=2)[:, :, ::-1], LARGE[0][:3, :3]]
    with harness.Daemon(harness.store("small")) as d, virtualnet.Client(d.socket_path) as c:
        tasks = [v for v in views if v.ndim == 2 or v.shape[2] == 1]
        inline = labels(c, tasks, True)
        check(len({str(l) for l in inline}) > 3, "all are alike")
        check(labels(c, tasks, False) == inline, "other answers")
        check(c._connection._memfds.wanted, "the daemon takes none")
        a = c.infer(views[9], "digit", top_k=3)
        picture.MEMFD_BYTES_MIN, least = 1 << 40, picture.MEMFD_BYTES_MIN
        check(c.infer(views[9], "digit", top_k=3).labels == a.labels, "RGB")
        picture.MEMFD_BYTES_MIN = least
        plan = c.plan(LARGE[0], "garment")
        check(plan.path == c.infer(LARGE[0], "garment").path, str(plan))
        many = c.infer_many((i for i in LARGE * 3), "garment", ahead=16, top_k=10)
        check([m.labels for m in many] == inline[:6] * 3, "infer_many")


def test_nothing_is_left_open():
    before = descriptors()
    with harness.Daemon(harness.store("small"), connection_inflight_limit=2) as d:
        start = descriptors()
        daemon = d.descriptors()
        with virtualnet.Client(d.socket_path) as c:
            for _ in range(3):
                many = c.infer_many((i for i in LARGE * 5), "garment", ahead=20)  # with BUSY
                check(len(many) == 30, str(len(many)))
            for bad in (lambda: c.infer(LARGE[0], "nose"),
                        lambda: c.infer(LARGE[0], "garment", budget_bytes=1)):
                try:
                    bad()
                    raise AssertionError("no refusal")
                except virtualnet.Refused:
                    pass
            check(descriptors() <= start + 2, f"{descriptors()} after {start}")
            check(c._connection._memfds.wanted, "the daemon takes none")
        check(descriptors() == start, f"{descriptors()} after {start}")
        harness.until(lambda: d.descriptors() == daemon, "the daemon has some left")
    check(descriptors() <= before + 1, f"{descriptors()} after {before}")


def test_one_buffer_for_all_images():
    """An iterator may use its array again as soon as the next image is asked for."""
    def frames():
        buffer = np.empty((400, 500), np.uint8)
        for i in LARGE * 4:
            buffer[:] = i
            yield buffer

    with harness.Daemon(harness.store("small"), connection_inflight_limit=2) as d:
        with virtualnet.Client(d.socket_path) as c:
            want = [c.infer(i, "garment", top_k=10).labels for i in LARGE] * 4
            got = c.infer_many(frames(), "garment", ahead=8, top_k=10)
            check([g.labels for g in got] == want, "one was overwritten")


def test_stream():
    with harness.Daemon(harness.store("small")) as d:
        start = d.descriptors()
        with virtualnet.Stream("front", "garment", socket_path=d.socket_path) as s:
            for i in range(50):
                s.put(LARGE[i % 6])
            got = []
            while (one := s.get(timeout=20)) is not None:
                got.append(one)
            check(got[-1][0] == 50 and len(got) > 1, str([n for n, _ in got]))
        harness.until(lambda: d.descriptors() == start, "descriptors are left")


def old_daemon(connection):
    """Knows nothing of memfds: what it is passed is dropped by the kernel."""
    while (r := receive(connection)) is not None:
        if len(r.infer.image.pixels) < r.infer.image.width * r.infer.image.height:
            error = pb.Error(code=pb.BAD_IMAGE, message="need more bytes")
            connection.sendall(frame(pb.Response(id=r.id, error=error)))
        else:
            name = str(sum(r.infer.image.pixels))
            connection.sendall(frame(answer(r.id, name)))


def test_a_daemon_that_takes_none():
    with Fake(old_daemon) as fake, virtualnet.Client(fake.path) as c:
        for _ in range(2):
            check(c.infer(LARGE[0]).label == str(LARGE[0].sum(dtype=np.int64)), "another image")
            check(not c._connection._memfds.wanted, "it goes on trying")
    with Fake(old_daemon) as fake, virtualnet.Client(fake.path) as c:
        many = c.infer_many(LARGE, ahead=4)
        check([a.label for a in many] == [str(i.sum(dtype=np.int64)) for i in LARGE], "many")


def always_bad(connection):
    while (r := receive(connection)) is not None:
        error = pb.Error(code=pb.BAD_IMAGE, message="too beautiful")
        connection.sendall(frame(pb.Response(id=r.id, error=error)))


def test_an_image_that_is_really_bad():
    with Fake(always_bad) as fake, virtualnet.Client(fake.path) as c:
        try:
            c.infer(LARGE[0])
            raise AssertionError("no refusal")
        except virtualnet.BadImage as e:
            check("beautiful" in str(e), str(e))


harness.main(sys.modules[__name__])
