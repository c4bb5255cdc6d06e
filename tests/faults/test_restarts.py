"""The daemon is ended at random moments, asked to or not, while clients ask: each answer is the
right one, none is lost in silence, and with a socket that its manager holds nobody is turned away.
And its store is written over while it serves."""

import os
import random
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["SOURCE_ROOT"], "tests/daemon"))

from harness import (Closed, Connection, Daemon, check, folder, image, infer,  # noqa: E402
                     main, pb, store, until)

STARTER = [sys.executable, "-c", "import os, sys\n"
           "os.dup2(int(sys.argv[1]), 3)\nos.set_inheritable(3, True)\n"
           "os.environ['LISTEN_PID'] = str(os.getpid())\n"
           "os.execv(sys.argv[2], sys.argv[2:])"]
IMAGES = [image(28, 28, seed=s) for s in range(1, 5)]
ENDS = (signal.SIGTERM, signal.SIGKILL)


class Supervisor:
    """Holds the socket and keeps a daemon running behind it, as a service manager does."""

    def __init__(self, store_path, **config):
        self.store_path, self.config = store_path, config
        self.path = os.path.join(folder(), f"supervised-{os.path.basename(store_path)}")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(self.path)
        self.socket.listen(100)
        self.logs = b""
        self.start()

    def start(self):
        self.daemon = Daemon(self.store_path, command=STARTER + [str(self.socket.fileno())],
                             env={"LISTEN_FDS": "1"}, pass_fds=(self.socket.fileno(),),
                             **self.config)

    def end(self, sign, statuses):
        self.daemon.process.send_signal(sign)
        status = self.daemon.wait()
        log = self.daemon.log.decode(errors="replace")
        check(status in statuses and "Sanitizer" not in log, f"status {status}: {log}")
        self.logs += self.daemon.log


class Asker(threading.Thread):
    """A well-behaved client: asks one after the other, and connects again when it has to."""

    def __init__(self, path, want, seed):
        super().__init__(daemon=True)
        self.path, self.want, self.random = path, want, random.Random(seed)
        self.stop = threading.Event()
        self.answers = self.told = self.lost = 0
        self.failure = None

    def run(self):
        try:
            while not self.stop.is_set():
                self.session()
        except Exception as e:
            self.failure = e

    def session(self):
        """Until the daemon hangs up. What was asked and not answered is counted as lost: the
        client knows it."""
        with Connection(self.path) as c:
            c.socket.settimeout(60)
            try:
                while not self.stop.is_set():
                    self.ask(c)
            except (Closed, ConnectionResetError, BrokenPipeError):
                self.lost += 1

    def ask(self, c):
        chosen = [self.random.randrange(len(IMAGES)) for _ in range(self.random.choice((1, 1, 4)))]
        ids = {}
        data = b""
        for i in chosen:
            ids[c.next_id] = i
            data += c.request(infer=infer("garment", IMAGES[i], uniform=True, top_k=10))
        c.send_bytes(data)
        for _ in chosen:
            r = c.receive()
            if r.WhichOneof("result") == "infer":
                check(r.infer.label == self.want[ids.pop(r.id)], f"a wrong answer: {r}")
                self.answers += 1
            else:
                check(r.error.code in (pb.SHUTTING_DOWN, pb.BUSY), str(r))
                self.told += 1


def right_answers(store_path):
    with Daemon(store_path) as d, d.connect() as c:
        return [c.call(infer=infer("garment", i, uniform=True, top_k=10)).infer.label
                for i in IMAGES]


def finish(askers):
    for a in askers:
        a.stop.set()
    for a in askers:
        a.join(60)
        check(not a.is_alive(), "a client waits for an answer that never comes")
        if a.failure:
            raise a.failure


def test_ended_at_random_moments():
    rng = random.Random(7)
    want = right_answers(store("small"))
    s = Supervisor(store("small"), workers=2, shutdown_grace_ms=500)
    askers = [Asker(s.path, want, i) for i in range(6)]
    for a in askers:
        a.start()
    for i in range(16):
        before = sum(a.answers for a in askers)
        until(lambda: sum(a.answers for a in askers) > before, "nobody is answered any more")
        time.sleep(rng.random() * 0.1)
        sign = ENDS[i % 2]
        s.end(sign, (0,) if sign == signal.SIGTERM else (-signal.SIGKILL,))
        time.sleep(rng.random() * 0.02)
        s.start()
    finish(askers)
    s.end(signal.SIGTERM, (0,))
    check(all(a.answers for a in askers), str([a.answers for a in askers]))
    check(sum(a.lost for a in askers) >= 8, "nobody noticed the ends")  # SIGKILL, for one at least
    print(f"     {sum(a.answers for a in askers)} answers, {sum(a.told for a in askers)} told, "
          f"{sum(a.lost for a in askers)} hung up on")


def test_asked_to_end_tells_everybody():
    """Whoever has a request accepted when SIGTERM comes gets an answer or SHUTTING_DOWN."""
    for _ in range(10):
        with Daemon(store("small"), queue_limit=1000, connection_inflight_limit=100) as d:
            clients = [d.connect() for _ in range(5)]
            for c in clients:
                c.send_bytes(b"".join(c.request(infer=infer("garment", i)) for i in IMAGES * 5))
                c.receive()  # so the rest has been read, too: it came in the same write
            d.process.send_signal(signal.SIGTERM)
            for c in clients:
                got = [c.receive() for _ in range(19)]
                check(all(r.HasField("infer") or r.error.code == pb.SHUTTING_DOWN for r in got),
                      str(got))
                check(c.at_end(), "another byte")
            check(d.wait() == 0, d.log.decode())


def test_killed_with_a_socket_of_its_own():
    """The next one finds socket and lock of a dead one, and takes over."""
    path = os.path.join(folder(), "own.sock")
    want = right_answers(store("small"))
    for _ in range(5):
        d = Daemon(store("small"), flags=("--socket", path))
        with Connection(path) as c:
            r = c.call(infer=infer("garment", IMAGES[0], uniform=True, top_k=10))
            check(r.infer.label == want[0], "a wrong answer")
        d.process.kill()
        d.wait()
        check(os.path.exists(path), "killed, it cannot have removed it")
    os.unlink(path)
    os.unlink(path + ".lock")


def copy_of(kind, name):
    path = os.path.join(folder(), name)
    with open(store(kind), "rb") as source, open(path, "wb") as f:
        f.write(source.read())
    return path


def big(level):
    return infer("big", image(64, 64, pb.RGB8), level=[level] * 6, top_k=5)


def test_store_written_over():
    """In place, which nobody should do: what was not compared yet is found to be damaged before
    anything is answered from it."""
    path = copy_of("large", "over.safetensors")
    with Daemon(path, default_budget_bytes=1 << 25) as d, d.connect() as c:
        write_over(path)
        c.error(pb.STORE_DAMAGED, "checksum", infer=big(8))
        with Connection(d.socket_path) as other:
            other.error(pb.STORE_DAMAGED, "written to", infer=big(0))


def test_store_written_over_after_it_was_compared():
    """Its checksums were right, and what is there now is something else."""
    for verify in ("first_use", "load", "never"):
        path = copy_of("large", "over.safetensors")
        with Daemon(path, default_budget_bytes=1 << 25, verify_store=verify) as d, d.connect() as c:
            want = {level: c.call(infer=big(level)).infer.label for level in (0, 8)}
            write_over(path)
            c.error(pb.STORE_DAMAGED, "written to", infer=big(8))
            for level in (0, 8, 0):  # it may be loaded again, and then knows what is damaged
                r = c.call(infer=big(level))
                check(r.error.code == pb.STORE_DAMAGED or verify == "never" or
                      r.infer.label == want[level], f"{verify}: {r}")
            until(lambda: b"written to while" in d.log)
            if verify == "load":  # the only one that a reload finds out with in any case
                until(lambda: b"the running store stays" in d.log, "it is not loaded again")
                c.error(pb.STORE_DAMAGED, "written to", infer=big(8))
            os.rename(copy_of("large", "good.safetensors"), path)
            until(lambda: reloads(c), "it cannot be reloaded")
            check(c.call(infer=big(8)).infer.label == want[8], "another answer")


def write_over(path):
    """The last 64 MiB, which the full path needs."""
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) - (64 << 20))
        f.write(os.urandom(1 << 20) * 64)


def reloads(c):
    return c.call(reload=pb.ReloadRequest()).HasField("reload")


def test_store_touched_or_renamed():
    """The same numbers are there as before: it is loaded again by itself, or nothing happens."""
    path = copy_of("small", "touched.safetensors")
    with Daemon(path, verify_store="load") as d, d.connect() as c:
        ask = infer("garment", IMAGES[0], uniform=True, top_k=10)
        want = c.call(infer=ask).infer.label
        os.rename(path, path + ".old")
        check(c.call(infer=ask).infer.label == want, "renamed, it is the same")
        os.rename(path + ".old", path)
        os.utime(path, (1, 1))
        refused = c.call(infer=ask).error.code
        check(refused == pb.STORE_DAMAGED, f"not noticed: {refused}")
        until(lambda: c.call(infer=ask).infer.label == want, "not loaded again")
        check(d.log.count(b"written to while") == 1, d.log.decode())


def test_store_cut_short_at_random_moments():
    """A right answer, a typed refusal, or the end of the process with its reason; the next one
    serves the good file."""
    rng = random.Random(3)
    with Daemon(store("large")) as d, d.connect() as c:
        want = [c.call(infer=big(level)).infer.label for level in range(9)]
    for _ in range(4):
        path = copy_of("large", "cut.safetensors")
        d = Daemon(path, default_budget_bytes=1 << 25)
        with d.connect() as c:
            timer = threading.Timer(rng.random() * 0.3, os.truncate, (path, rng.randrange(1 << 26)))
            timer.start()
            try:
                for i in range(20):
                    r = c.call(infer=big(i % 9))
                    check(r.infer.label == want[i % 9] or r.error.code == pb.STORE_DAMAGED, str(r))
            except (Closed, ConnectionResetError, BrokenPipeError):
                check(d.wait() == 74 and b"cut short" in d.log, d.log.decode())
            timer.join()
        if d.process.poll() is None:
            d.process.send_signal(signal.SIGTERM)
            check(d.wait() in (0, 74), d.log.decode())
        os.unlink(path)
    with Daemon(copy_of("large", "cut.safetensors")) as d, d.connect() as c:
        check(c.call(infer=big(3)).infer.label == want[3], "another answer")


main(sys.modules[__name__])
