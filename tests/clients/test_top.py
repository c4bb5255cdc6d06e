"""`virtualnet top`: its numbers from a daemon that the test plays, its screen on a terminal."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.environ["PYTHON_PACKAGE"])
sys.path.insert(0, os.path.join(os.environ["SOURCE_ROOT"], "tests/daemon"))

import harness  # noqa: E402
from fake import Fake, frame, pb, receive  # noqa: E402
from harness import Daemon, check, image, infer, store, until  # noqa: E402

TOP = [os.environ["VIRTUALNET"], "top"]
S = 10**9
BOUNDS = [S // 1000, S // 500, S // 100]  # 1, 2, 10 ms
PHASES = ("queue", "agent", "page_in", "compute", "send", "total")


def run(socket, *words, code=0, charset="C.UTF-8"):
    p = subprocess.run([*TOP, "--socket", socket, *words], capture_output=True, text=True,
                       timeout=100, env={**os.environ, "LC_ALL": charset})
    said = f"exit code {p.returncode}\n{p.stdout}\n{p.stderr}"
    check(p.returncode == code and "Sanitizer" not in p.stderr, said)
    return p.stdout, p.stderr


def task(name, runs, levels, counts, sum_ns=0):
    times = [pb.Times(phase=p, sum_ns=sum_ns, count=counts) for p in PHASES]
    return pb.TaskStatus(name=name, runs=runs, level_sum=levels, times=times)


def status(seconds, tasks, received=0, **fields):
    fields = {"version": "1", "store": "s", "groups": 4, "workers": 1, **fields}
    return pb.StatusResponse(uptime_ns=int(seconds * S), task=tasks, bucket_ns=BOUNDS,
                             counter=[pb.Counter(name="requests_received", value=received)],
                             **fields)


def plays(*statuses):
    """A daemon that answers with those, one after the other, and then with the last again."""
    left = list(statuses)

    def serve(connection):
        while (r := receive(connection)) is not None:
            now = left.pop(0) if len(left) > 1 else left[0]
            connection.sendall(frame(pb.Response(id=r.id, status=now)))

    return Fake(serve)


def once(*statuses):
    with plays(*statuses) as fake:
        return json.loads(run(fake.path, "--once", "--json", "--interval", "100")[0])


def near(a, b):
    return abs(a - b) < 1e-9 + 1e-6 * abs(b)


# ---- numbers ----


def test_difference_of_two_readings():
    t = once(status(10, [task("a", 100, [400, 0], [100, 0, 0, 0], S)], received=1000),
             status(12, [task("a", 110, [420, 5], [100, 4, 4, 2], S + S // 10)], received=1050))
    check(near(t["seconds"], 2) and near(t["per_second"]["requests_received"], 25), str(t))
    a = t["task"][0]
    check(a["runs"] == 110 and near(a["runs_per_second"], 5), str(a))
    check(near(a["mean_level"][0], 2) and near(a["mean_level"][1], 0.5), str(a))
    # 10 new runs: 4 of 1 to 2 ms, 4 of 2 to 10 ms, 2 of more. The median is the fifth: a quarter
    # of the way from 2 to 10 ms.
    check(near(a["p50_ms"], 4) and near(a["p99_ms"], 10), str(a))
    check(near(a["mean_ms"]["queue"], 10) and near(a["mean_ms"]["total"], 10), str(a))


def test_daemon_that_was_started_anew():
    """Its counters are smaller than before: they are taken from zero, not below it."""
    t = once(status(1000, [task("a", 500, [1000], [500, 0, 0, 0])], received=600),
             status(2, [task("a", 4, [12], [0, 4, 0, 0])], received=8))
    check(near(t["per_second"]["requests_received"], 4), str(t))
    a = t["task"][0]
    check(near(a["runs_per_second"], 2) and near(a["mean_level"][0], 3), str(a))
    check(near(a["p50_ms"], 1.5), str(a))


def test_tasks_are_matched_by_name():
    t = once(status(1, [task("a", 7, [7], [7, 0, 0, 0])]),
             status(2, [task("b", 3, [9], [3, 0, 0, 0]), task("a", 8, [11], [8, 0, 0, 0])]))
    check([(x["name"], x["runs_per_second"]) for x in t["task"]] == [("b", 3), ("a", 1)], str(t))
    check(t["task"][1]["mean_level"] == [4], str(t))


def test_nothing_runs():
    tasks = [task("a", 5, [10], [5, 0, 0, 0]), task("b", 0, [0], [0, 0, 0, 0])]
    t = once(status(1, tasks), status(2, tasks))
    check(t["task"][0]["mean_level"] == [2] and t["task"][0]["p50_ms"] is None, str(t))
    check(t["task"][1]["mean_level"] == [None], str(t))


def test_daemon_that_lies():
    """Whatever comes is shown or refused: nothing is read past its end, no control character gets
    through."""
    most = 2**64 - 1
    strange = [
        status(0, []),
        status(1, [pb.TaskStatus(name="x"), pb.TaskStatus()]),
        status(1, [task("\x1b[2J\n" + "y" * 3000, 1, [most] * 300, [1])], groups=0),
        status(2, [task("a", most, [most], [most] * 4, most)], received=most, accounted_bytes=most,
               promised_bytes=most, memory_limit_bytes=1, pss_bytes=most),
        status(3, [task("a", 1, [], [1] * 500), task("a", 0, [1, 2, 3], [])] * 20),
        pb.StatusResponse(task=[task("a", 1, [1], [1, 2, 3])]),
    ]
    for before in strange:
        for now in strange:
            with plays(before, now) as fake:
                out, _ = run(fake.path, "--once", "--interval", "100")
                check("\x1b" not in out, repr(out))
            once(before, now)


# ---- text ----


def test_screen_as_text():
    reading = status(3661, [task("garment", 10, [0, 20, 40], [0, 10, 0, 0], 10 * S // 500)],
                     memory_limit_bytes=4 << 20, accounted_bytes=1 << 20, pss_bytes=1 << 20)
    with plays(reading) as fake:
        out, _ = run(fake.path, "--once", "--interval", "100")
        plain, _ = run(fake.path, "--once", "--interval", "100", charset="C")
    check("up 1:01:01" in out and "1.00 MiB of 4.00 MiB" in out, out)
    check("\u2581\u2585\u2588 level 2.0 of 4" in out, out)
    check("[" + "\u2588" * 6 + " " * 18 + "]" in out, out)
    check("059 level 2.0 of 4" in plain and "[######" in plain and plain.isascii(), plain)


def test_not_a_terminal():
    with plays(status(1, []), status(2, [])) as fake:
        p = subprocess.Popen([*TOP, "--socket", fake.path, "--interval", "100"],
                             stdout=subprocess.PIPE, text=True)
        seen = ""
        while seen.count("requests") < 3:
            seen += p.stdout.readline()
        p.terminate()
        p.communicate()
        check("\x1b" not in seen, repr(seen))


def test_errors():
    check("cannot connect" in run("/nonexistent/s", "--once", code=3)[1], "no daemon")
    check(json.loads(run("/nonexistent/s", "--once", "--json", code=3)[0])["error"], "no daemon")
    for words in (("x",), ("--interval", "99"), ("--interval", "soon"), ("--twice",)):
        run("/nonexistent/s", *words, code=2)


# ---- a terminal ----


class Terminal:
    def __init__(self, socket, interval="100"):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.seen = ""
        self.process = subprocess.Popen(
            [*TOP, "--socket", socket, "--interval", interval], stdin=self.slave,
            stdout=self.slave, stderr=self.slave, env={**os.environ, "LC_ALL": "C.UTF-8"})

    def read(self):
        while select.select([self.master], [], [], 0.02)[0]:
            self.seen += os.read(self.master, 65536).decode(errors="replace")
        return self.seen

    def wait_for(self, *parts):
        until(lambda: all(p in self.read() for p in parts), f"never seen: {parts}")
        self.seen = ""

    def ends(self):
        code = self.process.wait(harness.PATIENCE)
        check(code == 0, f"exit code {code}")
        check(self.read().endswith("\x1b[?1049l"), repr(self.seen[-100:]))
        check(termios.tcgetattr(self.slave) == self.before, "the terminal is left strange")
        os.close(self.master)
        os.close(self.slave)


def test_live_screen_and_its_end():
    for end in (lambda t: os.write(t.master, b"xq"),
                lambda t: t.process.send_signal(signal.SIGINT),
                lambda t: t.process.send_signal(signal.SIGTERM)):
        with Daemon(store("small")) as d, d.connect() as c:
            c.call(infer=infer("garment", image(28, 28), level=[0, 1, 2, 4]))
            t = Terminal(d.socket_path)
            t.wait_for("virtualnetd", "garment", "\u2581\u2583\u2585\u2588 level 1.8 of 4")
            t.wait_for("\x1b[H")  # another reading
            end(t)
            t.ends()


def test_daemon_that_comes_back():
    with Daemon(store("small")) as d:
        t = Terminal(d.socket_path)
        t.wait_for("garment")
        d.allowed_exits = (-signal.SIGKILL,)
        d.kill()
        t.wait_for("NO NEW READING", "garment")
        again = Daemon(store("small"), flags=("--socket", d.socket_path))
        until(lambda: re.search(r"\x1b\[Hvirtualnetd[^\n]*\n(?!NO NEW)", t.read()[-3000:]))
        os.write(t.master, b"q")
        t.ends()
        again.process.terminate()
        check(again.wait() == 0, again.log.decode())


def test_real_numbers():
    with Daemon(store("small"), task_budgets={"digit": 900000}) as d, d.connect() as c:
        p = subprocess.Popen([*TOP, "--socket", d.socket_path, "--json", "--interval", "300"],
                             stdout=subprocess.PIPE, text=True)
        first = json.loads(p.stdout.readline())
        for _ in range(30):
            c.call(infer=infer("garment", image(28, 28), level=[3] * 4))
        seen, start = 0, time.monotonic()
        while seen < 30 and time.monotonic() - start < harness.PATIENCE:
            now = json.loads(p.stdout.readline())
            garment, warm, digit = now["task"]
            if garment["runs_per_second"]:
                seen += round(garment["runs_per_second"] * now["seconds"])
                check(garment["mean_level"] == [3] * 4, str(garment))
                check(0 < garment["p50_ms"] <= garment["p99_ms"], str(garment))
                check(garment["mean_ms"]["total"] >= garment["mean_ms"]["compute"] > 0, "mean")
        p.terminate()
        p.communicate()
        check(seen == 30 and first["task"][0]["runs"] == 0, f"{seen} runs")
        check(digit["default_budget_bytes"] == 900000 and warm["runs"] == 0, str(now))


harness.main(sys.modules[__name__])
