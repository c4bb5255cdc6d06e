"""The metrics of a real daemon: form, numbers, the file, the socket, and what they cost."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import time

from harness import (Daemon, check, counters, fails_to_start, folder, image, infer, main, pb, store,
                     until)
from prometheus import Wrong, ask, parse

EVENTS = ("requests_received", "connections_accepted", "connections_refused", "slow_readers_cut",
          "slow_writers_cut")


def scrape(d):
    status, body = ask(d.metrics)
    check(status == "HTTP/1.0 200 OK", status)
    return parse(body)


def daemon(**config):
    path = os.path.join(folder("metrics"), f"s{time.monotonic_ns()}")
    d = Daemon(store("small"), metrics_socket=path, **config)
    d.metrics = path
    return d


def single(metrics, name):
    return metrics["virtualnetd_" + name].value()


def test_the_reader_is_strict():
    good = ('# HELP a_seconds A sentence that says enough.\n# TYPE a_seconds histogram\n'
            'a_seconds_bucket{t="x\\"",le="1"} 1\na_seconds_bucket{t="x\\"",le="+Inf"} 2\n'
            'a_seconds_sum{t="x\\""} 0.5\na_seconds_count{t="x\\""} 2\n')
    check(parse(good)["a_seconds"].value("_count", t='x"') == 2, "value")
    for before, after in (
            (" A sentence that says enough.", ""), ("histogram", "summary"), ('"1"} 1', '"1"} 3'),
            ("_count{", "_counts{"), ("} 0.5", "} 0,5"), ("} 0.5", "} -1"), ('le="1"', 'le="+Inf"'),
            ("# TYPE a_seconds histogram\n", ""), ('\\"', '"'), ('{t="x\\""} 2\n', '{t="y"} 2\n'),
            ("count{t=\"x\\\"\"} 2\n", "count{t=\"x\\\"\"} 2")):
        check(before in good, before)
        try:
            parse(good.replace(before, after))
        except (Wrong, KeyError):
            continue
        raise AssertionError(f"taken: {before} -> {after}")


def test_counters_agree_with_status():
    with daemon() as d, d.connect() as c:
        for level in (1, 4, 4):
            c.call(infer=infer("garment", image(28, 28), level=[level] * 4))
        c.call(plan=infer("garment"))
        c.error(pb.UNKNOWN_TASK, infer=infer("nothing", image(28, 28)))
        before = counters(c.call(status=pb.StatusRequest()).status)
        m = scrape(d)
        outcomes = {dict(labels)["outcome"]: int(v)
                    for (_, labels), v in m["virtualnetd_requests_total"].samples.items()}
        before["status_ok"] += 1  # itself
        check(outcomes == {k: v for k, v in before.items() if k not in EVENTS},
              f"{outcomes} {before}")
        for name in EVENTS:
            check(single(m, name + "_total") == before[name], name)
        check(sum(outcomes.values()) == single(m, "requests_received_total"), str(outcomes))
        check(single(m, "requests_in_flight") == 0 and single(m, "connections") == 1, "gauges")
        check(single(m, "memory_pss_bytes") > 100000 < single(m, "memory_fixed_bytes"), "memory")
        runs, levels = m["virtualnetd_runs_total"], m["virtualnetd_run_levels_total"]
        check(runs.value(task="garment") == 3 and runs.value(task="digit") == 0, "runs")
        for block in "0123":
            check(levels.value(task="garment", block=block) == 1 + 4 + 4, "levels")


def test_times_add_up():
    """Each run is in one bucket of each phase, and the phases are the whole."""
    with daemon() as d, d.connect() as c:
        seen = 0
        for _ in range(20):
            r = c.call(infer=infer("garment", image(28, 28))).infer
            seen += r.queue_ns + r.agent_ns + r.page_in_ns + r.compute_ns
        m = scrape(d)
        total, phase = m["virtualnetd_run_seconds"], m["virtualnetd_run_phase_seconds"]
        parts = [phase.value("_sum", task="garment", phase=p)
                 for p in ("queue", "agent", "page_in", "compute", "send")]
        check(abs(sum(parts[:4]) - seen / 1e9) < 1e-6, f"{parts} {seen}")
        whole = total.value("_sum", task="garment")
        check(sum(parts) <= whole < sum(parts) * 1.5 + 0.01, f"{parts} {whole}")
        check(total.value("_count", task="garment") == 20, "count")
        check(phase.value("_count", task="garment", phase="send") == 20, "count")


def test_sending_takes_as_long_as_the_reader():
    """Answers that wait in the daemon are timed to their last byte, each of them once."""
    with daemon(connection_inflight_limit=4000, queue_limit=4000, reply_backlog_bytes=1 << 20) as d:
        with d.connect() as c:
            c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            n = 3000
            one = infer("garment", image(28, 28), level=[0] * 4, top_k=10)
            c.send_bytes(b"".join(c.request(infer=one) for _ in range(n)))
            until(lambda: scrape(d)["virtualnetd_runs_total"].value(task="garment") == n)
            time.sleep(0.6)
            send = ("virtualnetd_run_phase_seconds", "_count", "send")
            waiting = n - scrape(d)[send[0]].value(send[1], task="garment", phase=send[2])
            check(waiting > 100, f"only {waiting} answers wait: the test tests nothing")
            for _ in range(n):
                c.receive()
            m = scrape(d)[send[0]]
            check(m.value("_count", task="garment", phase="send") == n, "count")
            late = n - m.value("_bucket", task="garment", phase="send", le="0.5")
            check(waiting <= late + 1, f"{waiting} waited half a second, {late} say so")


def test_reload_keeps_what_it_can():
    """A task that stays goes on counting; one that is new begins, one that is gone goes."""
    path = os.path.join(folder("metrics"), "reloaded.safetensors")
    shutil.copy(store("small"), path)

    def replace(*words):
        store(*words, file=path + ".new")
        os.rename(path + ".new", path)
        check(c.call(reload=pb.ReloadRequest()).HasField("reload"), "reload")
        return scrape(d)

    with Daemon(path, metrics_socket=os.path.join(folder("metrics"), "r")) as d, d.connect() as c:
        d.metrics = os.path.join(folder("metrics"), "r")
        c.call(infer=infer("garment", image(28, 28)))
        m = replace("small", "other")
        names = list(m["virtualnetd_store_info"].samples)[0][1]
        check(names == (("network", "other"), ("store", "default")), str(names))
        check(m["virtualnetd_runs_total"].value(task="garment") == 1, "begun anew")
        runs = replace("large")["virtualnetd_runs_total"].samples
        labels = (("store", "default"), ("task", "big"))
        check(runs == {("virtualnetd_runs_total", labels): 0}, str(runs))


def test_file_is_replaced():
    path = os.path.join(folder("file"), "virtualnet.prom")
    with Daemon(store("small"), metrics_file=path, metrics_interval_ms=100,
                metrics_mode="0644") as d, d.connect() as c:
        until(lambda: os.path.exists(path))
        first = os.stat(path)
        check(stat.S_IMODE(first.st_mode) == 0o644, oct(first.st_mode))
        c.call(infer=infer("garment", image(28, 28)))

        def runs():
            with open(path) as f:
                return parse(f.read())["virtualnetd_runs_total"].value(task="garment")

        until(lambda: runs() == 1)
        check(os.stat(path).st_ino != first.st_ino, "written in place")
        check(os.listdir(folder("file")) == ["virtualnet.prom"], str(os.listdir(folder("file"))))
    check(os.listdir(folder("file")) == [], "numbers of nobody are left behind")


def test_file_that_cannot_be_written():
    """One log line, and service as ever; once the folder is there, so is the file."""
    path = os.path.join(folder(), "missing", "x.prom")
    with Daemon(store("small"), metrics_file=path, metrics_interval_ms=100) as d:
        until(lambda: b"writing metrics" in d.log)
        time.sleep(0.5)
        check(d.log.count(b"writing metrics") == 1, d.log.decode())
        with d.connect() as c:
            check(c.call(infer=infer("garment", image(28, 28))).infer.label, "no answer")
        folder("missing")
        until(lambda: os.path.exists(path))


def test_socket_answers_http_only():
    with daemon() as d:
        check(ask(d.metrics, b"GET / HTTP/1.0\n\n")[0] == "HTTP/1.0 200 OK", "/")
        check(" 404 " in ask(d.metrics, b"GET /x HTTP/1.1\r\n\r\n")[0], "404")
        check(" 405 " in ask(d.metrics, b"POST /metrics HTTP/1.1\r\n\r\n")[0], "405")
        check(" 431 " in ask(d.metrics, b"GET /metrics HTTP/1.1\r\n".ljust(8192, b"x"))[0], "431")
        check(ask(d.metrics, bytes(8192))[0].startswith("HTTP/1.0 431"), "garbage")
        check(single(scrape(d), "requests_received_total") == 0, "counted as requests")


def test_socket_holds_little():
    """Those who say nothing, or leave, keep nobody out for long and take nothing with them."""
    with daemon() as d:
        before = d.descriptors()
        silent = []
        for _ in range(40):
            s = socket.socket(socket.AF_UNIX)
            s.connect(d.metrics)
            silent.append(s)
        with d.connect() as c:
            check(c.call(infer=infer("garment", image(28, 28))).infer.label, "no answer")
        check(d.descriptors() <= before + 17, f"{d.descriptors()} descriptors, {before} before")
        for s in silent:
            s.close()
        until(lambda: d.descriptors() == before)
        for _ in range(50):  # leave while the text is made
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(d.metrics)
                try:
                    s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
                except BrokenPipeError:
                    pass  # turned away: too many others are still being counted

        def answers():
            try:
                return single(scrape(d), "workers") == 1
            except (BrokenPipeError, ConnectionResetError):
                return False  # those who left are still being counted

        until(answers)
        until(lambda: d.descriptors() == before)


def test_stops_while_it_is_scraped():
    for _ in range(5):
        with daemon() as d:
            s = socket.socket(socket.AF_UNIX)
            s.connect(d.metrics)
            s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        s.close()
        check(not os.path.exists(d.metrics), "the socket is left behind")
        check(not os.path.exists(d.metrics + ".lock"), "the lock is left behind")


def test_socket_path_is_judged():
    fails_to_start(store("small"), "metrics_socket", status=2, metrics_socket="/" + "x" * 107)
    fails_to_start(store("small"), "no-such-folder", metrics_socket="/no-such-folder/s")
    with daemon() as d:
        fails_to_start(store("small"), "another virtualnetd", "metrics_socket",
                       metrics_socket=d.metrics)


def test_log_lines_carry_the_request():
    with daemon(log_level="debug") as d, d.connect() as c:
        r = c.call(id=7, infer=infer("garment", image(28, 28), level=[1, 2, 3, 4]))
        check(r.id == 7, "id")
        c.call(id=8, infer=infer("nothing", image(28, 28)))
        until(lambda: b"request 8 of connection 1" in d.log)
        line = next(x for x in d.log.decode().splitlines() if "request 7 " in x)
        for part in ("<7>", f"(uid {os.getuid()}): infer_ok", "task garment", "path 1,2,3,4",
                     f"promised {r.infer.bytes.total} bytes",
                     f"compute {r.infer.compute_ns / 1e6:.3f} ms"):
            check(part in line, f"{line} lacks {part}")
        check("unknown_task" in next(x for x in d.log.decode().splitlines() if "request 8 " in x),
              "outcome")


def cpu_seconds(d):
    with open(f"/proc/{d.process.pid}/stat") as f:
        fields = f.read().rsplit(")")[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_scrape_costs_little():
    """At one scrape in 15 s, far below a hundredth of one processor."""
    with daemon() as d:
        n = 300
        before = cpu_seconds(d)
        for _ in range(n):
            ask(d.metrics)
        each = (cpu_seconds(d) - before) / n
        print(f"a scrape takes {each * 1e6:.0f} us of processor time")
        check(each < 0.15, f"{each} s")  # 1 % of 15 s; sanitizers included


def promtool():
    with daemon() as d, d.connect() as c:
        c.call(infer=infer("garment", image(28, 28)))
        p = subprocess.run(["promtool", "check", "metrics"], input=ask(d.metrics)[1], text=True,
                           capture_output=True)
        check(p.returncode == 0 and not p.stdout + p.stderr, f"{p}")
        p = subprocess.run(["promtool", "check", "metrics"], input="a{b=1} 2\n", text=True,
                           capture_output=True)
        check(p.returncode != 0, "promtool takes everything")


if sys.argv[1:] == ["promtool"] and not shutil.which("promtool"):
    sys.exit(77)
main(sys.modules[__name__])
