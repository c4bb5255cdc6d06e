"""The `virtualnet` command against a real daemon: what it prints, and its exit codes."""

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib

sys.path.insert(0, os.environ["PYTHON_PACKAGE"])
sys.path.insert(0, os.path.join(os.environ["SOURCE_ROOT"], "tests/daemon"))

import harness  # noqa: E402
from fake import Fake, all_but_the_first_are_busy, answer, frame, pb, receive  # noqa: E402
from harness import check  # noqa: E402

OK, REFUSED, USAGE, CONNECTION, INPUT, SYSTEM = range(6)
COMMANDS = ("infer", "plan", "describe", "status", "reload", "inspect", "verify")


def run(*arguments, code=OK, socket="/nonexistent/socket", stdout=subprocess.PIPE):
    """Runs the command, checks its exit code; returns (stdout, stderr)."""
    env = {**os.environ, "VIRTUALNET_SOCKET": socket, "OPENBLAS_NUM_THREADS": "1"}
    p = subprocess.run([os.environ["VIRTUALNET"], *arguments], stdout=stdout,
                       stderr=subprocess.PIPE, text=True, env=env, timeout=100)
    said = f"{arguments}: exit code {p.returncode}, not {code}\n{p.stdout}\n{p.stderr}"
    check(p.returncode == code, said)
    check("Sanitizer" not in p.stderr and "runtime error" not in p.stderr, said)
    return p.stdout, p.stderr


def write(name, data):
    path = os.path.join(harness.folder(), name)
    with open(path, "wb") as f:
        f.write(data)
    return path


def pgm(name, value=100, side=28):
    return write(name, b"P5\n%d %d\n255\n" % (side, side) + bytes([value]) * side * side)


def png(name, value=100, side=28):
    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    rows = (b"\0" + bytes([value]) * side) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return write(name, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
                 + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


# ---- without a daemon ----


def test_help():
    out, _ = run("--help")
    table = out.split("examples):\n")[1].split("\n\n")[0]
    listed = [line.split()[0] for line in table.splitlines()]
    check(set(COMMANDS) <= set(listed), f"{listed}")
    for command in listed:
        help_text, _ = run(command, "--help")
        check("usage: virtualnet " + command in help_text, help_text)
        check("examples:\n  virtualnet " + command in help_text, f"{command}: no examples")
        check(max(map(len, help_text.splitlines())) <= 100, f"{command}: a long line")
        check(run("help", command)[0] == help_text, f"help {command}")
    check(run("--version")[0] == f"virtualnet {os.environ['VERSION']}\n", "version")


def test_usage_errors():
    for arguments in (
        (), ("no-such-command",), ("help", "nothing"), ("infer",), ("infer", "--nothing", "x"),
        ("infer", "--budget", "much", "x"), ("infer", "--budget", "0", "x"),
        ("infer", "--thrift", "1.5", "x"), ("infer", "--thrift", "nan", "x"),
        ("infer", "--path", "1,,2", "x"), ("infer", "--path", "1,2,", "x"),
        ("infer", "--path", "17", "x"), ("infer", "--path", ",".join(["1"] * 65), "x"),
        ("infer", "--level", "-1", "x"), ("infer", "--top", "0", "x"), ("infer", "--top"),
        ("infer", "--class", "first", "x"), ("infer", "--class", "", "x"),
        ("infer", "--stream", "", "x"), ("infer", "--stream", "s" * 65, "x"),
        ("infer", "--timeout", "1s", "x"), ("plan", "a", "b"), ("describe", "a", "b"),
        ("status", "x"), ("reload", "x"), ("inspect",), ("inspect", "a", "b"), ("verify",),
    ):
        out, err = run(*arguments, code=USAGE)
        check(out == "" and "--help" in err or not arguments, f"{arguments}: {err}")


def test_no_daemon():
    image = pgm("a.pgm")
    for command in (("infer", image), ("plan",), ("describe",), ("status",), ("reload",)):
        _, err = run(*command, code=CONNECTION)
        check("/nonexistent/socket" in err and "systemctl" in err, err)
        out, err = run(*command, "--json", code=CONNECTION)
        check("error" in json.loads(out) and err == "", out + err)
    _, err = run("status", "--socket", "/" + "x" * 200, code=CONNECTION)
    check("107" in err, err)


# ---- infer ----


def test_infer():
    images = [pgm("a.pgm", 10), png("b.png", 10), pgm("large.pgm", 90, 300)]
    with harness.Daemon(harness.store("small")) as d:
        out, err = run("infer", "--task", "garment", *images, socket=d.socket_path)
        heading, *rows = out.splitlines()
        check(heading.split() == "IMAGE ANSWER PROB PATH DENSITY PROMISED TIME".split(), heading)
        check([r.split()[0] for r in rows] == [i[:] for i in images], out)
        check(len({r.index("iB ") for r in rows}) == 1, f"columns are not aligned:\n{out}")
        check(rows[0].split()[1:4] == rows[1].split()[1:4], "PGM and PNG of the same pixels")

        out, _ = run("infer", "--task", "garment", "--top", "3", "--json", *images,
                     socket=d.socket_path)
        for image, r in zip(images, lines(out), strict=True):
            check(r["image"] == image and len(r["label"]) == 3 and r["task"] == "garment", str(r))
            b = r["bytes"]
            check(b["total"] == b["params_resident"] + b["scratch"] + b["io"], str(b))
        out, _ = run("infer", "--task", "garment", "--top", "3", images[0], socket=d.socket_path)
        check(len(out.splitlines()) == 4, out)  # heading, best, two more


def test_infer_paths():
    image = pgm("a.pgm")
    with harness.Daemon(harness.store("small")) as d:
        def path(*options, task="warm"):
            out, _ = run("infer", "--json", "--task", task, *options, image, socket=d.socket_path)
            return lines(out)[0]

        check(path("--level", "2")["level"] == [2, 2, 2, 2], "--level")
        check(path("--path", "1,2,0,4")["level"] == [1, 2, 0, 4], "--path")
        check(path("--uniform")["decided_by"] == "uniform", "--uniform")
        # 900 KiB and 921600 bytes are the same
        for size in ("900KiB", "921600", "0.87890625MiB"):
            r = path("--budget", size, task="garment")
            check(r["budget_bytes"] == 921600 >= r["bytes"]["total"], str(r))
        run("infer", "--level", "1", "--uniform", image, code=USAGE, socket=d.socket_path)
        _, err = run("infer", "--task", "warm", "--level", "9", image, code=REFUSED,
                     socket=d.socket_path)
        check("0 to 4" in err, err)


def test_infer_many_stay_in_order():
    images = [pgm(f"{i}.pgm", i * 5) for i in range(50)]
    for limits in ({}, {"connection_inflight_limit": 1}):
        with harness.Daemon(harness.store("small"), **limits) as d:
            out, _ = run("infer", "--task", "garment", "--json", *images, socket=d.socket_path)
            check([r["image"] for r in lines(out)] == images, f"{limits}: {out}")
            check(all("label" in r for r in lines(out)), f"{limits}: {out}")


def test_busy_that_arrives_with_what_was_in_the_way():
    images = [pgm(f"{i}.pgm", i * 5) for i in range(9)]
    with Fake(all_but_the_first_are_busy) as fake:
        out, _ = run("infer", "--json", *images, socket=fake.path)
        check([r["image"] for r in lines(out)] == images, out)


def busy_at_first(after_ms, times):
    """A fake that refuses so many times; the times of the requests."""
    asked = []

    def handler(connection):
        while (r := receive(connection)) is not None:
            asked.append(time.monotonic())
            error = pb.Error(code=pb.BUSY, message="full", limit_name="queue_limit", limit=1,
                             current=1, retry_after_ms=after_ms)
            connection.sendall(frame(pb.Response(id=r.id, error=error) if len(asked) <= times
                                     else answer(r.id)))

    return Fake(handler), asked


def test_busy_is_tried_again_when_the_daemon_says():
    fake, asked = busy_at_first(100, 2)
    with fake:
        out, _ = run("infer", "--json", pgm("a.pgm"), socket=fake.path)
        check("label" in lines(out)[0] and len(asked) == 3, out)
        check(asked[1] - asked[0] >= 0.1 and asked[2] - asked[1] >= 0.1, str(asked))
    for after_ms, timeout in ((0, 10000), (5000, 1000)):  # no use, or too late
        fake, asked = busy_at_first(after_ms, 1)
        with fake:
            _, err = run("infer", "--timeout", str(timeout), pgm("a.pgm"), socket=fake.path,
                         code=REFUSED)
            check(len(asked) == 1 and "Limit queue_limit: 1 of 1" in err, err)


def test_class_and_stream():
    seen = []

    def handler(connection):
        first, second = receive(connection), receive(connection)
        seen.extend([first.infer, second.infer])
        error = pb.Error(code=pb.SUPERSEDED, message="a newer one came")
        connection.sendall(frame(pb.Response(id=first.id, error=error)) +
                           frame(answer(second.id)))

    images = [pgm("a.pgm"), pgm("b.pgm")]
    with Fake(handler) as fake:
        out, err = run("infer", "--class", "control", "--stream", "front", *images,
                       socket=fake.path)
        check("b.pgm" in out and "a.pgm" not in out, out)
        check("a.pgm" in err and "a newer one came" in err, err)
    for i in seen:
        check((i.request_class, i.stream, i.replace) == (pb.CONTROL, "front", True), str(i)[:200])
    with harness.Daemon(harness.store("small")) as d:
        run("infer", "--task", "garment", "--class", "bulk", "--stream", "x", *images * 5,
            socket=d.socket_path)
        n = harness.counters(d.status())
        check(n["infer_ok"] + n["superseded"] == 10, str(n))


def test_interrupt_cancels():
    """One was answered, three are open, one is not sent yet."""
    cancelled, sent = [], threading.Event()

    def handler(connection):
        requests = [receive(connection) for _ in range(4)]
        connection.sendall(frame(answer(requests[0].id)))
        requests.append(receive(connection))
        sent.set()
        while (r := receive(connection)) is not None:
            cancelled.append((r.WhichOneof("call"), r.cancel.id))
        check(cancelled == [("cancel", r.id) for r in requests[1:]], str(cancelled))

    images = [pgm(f"{i}.pgm") for i in range(6)]
    with Fake(handler) as fake:
        p = subprocess.Popen([os.environ["VIRTUALNET"], "infer", "--socket", fake.path, *images],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        check(sent.wait(60), "the requests never come")
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        check(p.returncode == 6 and "5 images were not answered" in err, f"{p.returncode} {err}")
        check(len(out.splitlines()) == 2, out)


def test_bad_images_do_not_stop_the_others():
    good, bad = pgm("good.pgm"), write("bad.png", b"\x89PNG\r\n\x1a\nrest")
    with harness.Daemon(harness.store("small")) as d:
        for broken, words in (
            (bad, "PNG"), ("/nonexistent.png", "No such file"), (write("e.png", b""), "empty"),
            (write("t.txt", b"text"), "not a PNG, JPEG, PGM or PPM"), ("/", "directory"),
        ):
            out, err = run("infer", "--task", "garment", good, broken, good, code=INPUT,
                           socket=d.socket_path)
            check(len(out.splitlines()) == 3, out)
            check(words in err and broken in err, err)
            out, err = run("infer", "--task", "garment", "--json", broken, good, code=INPUT,
                           socket=d.socket_path)
            first, second = lines(out)
            check(first["image"] == broken and words in first["error"]["message"], out)
            check("label" in second and err == "", out)


def test_refusals_say_what_to_do():
    image = pgm("a.pgm")
    with harness.Daemon(harness.store("small")) as d:
        def refused(*options, task="garment"):
            return run("infer", "--task", task, *options, image, code=REFUSED,
                       socket=d.socket_path)[1]

        err = refused("--budget", "1KiB")
        advice = err.split("--budget ")[1].split()[0]
        run("infer", "--task", "garment", "--budget", advice, image, socket=d.socket_path)
        check("virtualnet describe" in refused(task="nose"), "no advice")
        check("virtualnet describe" in refused("--level", "1", task="nose"), "no advice")
        out, err = run("infer", "--task", "garment", "--budget", "1KiB", "--json", image,
                       code=REFUSED, socket=d.socket_path)
        error = lines(out)[0]["error"]
        check(error["code"] == "BUDGET_TOO_SMALL" and error["needed_bytes"] > 1024, out)


def test_image_larger_than_a_frame():
    with harness.Daemon(harness.store("small")) as d:
        large = pgm("large.pgm", 1, 4200)  # 17.6 MB, above 16 MiB
        _, err = run("infer", "--task", "garment", large, code=REFUSED, socket=d.socket_path)
        check("scale it down" in err, err)


# ---- the other calls ----


def test_plan():
    image = pgm("a.pgm")
    with harness.Daemon(harness.store("small")) as d:
        out, _ = run("plan", "--task", "garment", "--path", "1,2,0,4", socket=d.socket_path)
        check("1,2,0,4" in out and "promised" in out and "64 KiB windows" in out, out)
        out, _ = run("plan", "--task", "garment", "--json", image, socket=d.socket_path)
        plan = json.loads(out)
        out, _ = run("infer", "--task", "garment", "--json", image, socket=d.socket_path)
        check(plan["level"] == json.loads(out)["level"] and not plan["label"], str(plan))
        run("plan", "--task", "nose", code=REFUSED, socket=d.socket_path)
        run("plan", "/nonexistent.png", code=INPUT, socket=d.socket_path)


def test_describe():
    with harness.Daemon(harness.store("small")) as d:
        out, _ = run("describe", socket=d.socket_path)
        for word in ("garment", "trouser", "fünf", "28 x 28", "smallest path"):
            check(word in out, f"no {word}: {out}")
        out, _ = run("describe", "--json", "warm", socket=d.socket_path)
        (task,) = json.loads(out)["task"]
        check(task["name"] == "warm" and task["label"] == ["no", "yes"], out)
        check(task["smallest"]["total"] < task["largest"]["total"], out)
        run("describe", "nose", code=REFUSED, socket=d.socket_path)


def test_accuracy():
    """A budget is chosen by the accuracy that was measured within it."""
    image, large = pgm("a.pgm"), pgm("large.pgm", 1, 300)
    with harness.Daemon(harness.store("small")) as d:
        def plan(*options, task="garment", **more):
            out, _ = run("plan", "--json", "--task", task, *options, socket=d.socket_path, **more)
            return json.loads(out)

        out, _ = run("describe", "garment", socket=d.socket_path)
        table = [line.split() for line in out.split("RESIDENT\n")[1].splitlines()]
        budgets = [int(row[0].removesuffix("KiB")) for row in table]
        check(budgets == sorted(budgets) and len(set(budgets)) == 4, out)
        # the full level has the budget of the agent without a limit, which is more accurate
        check(["*" in row for row in table] == [True, True, True, False, True], out)
        (task,) = json.loads(run("describe", "--json", "garment", socket=d.socket_path)[0])["task"]
        rows = {(m["by"], m["setting"]): m["budget_bytes"] for m in task["measured"]}
        check(rows["uniform", 0] == task["smallest"]["total"], str(task))
        check(rows["uniform", 4] == rows["shared", 1] == task["largest"]["total"], str(task))
        for wanted, by, setting, accuracy in (
            ("0.3", "uniform", 1, 0.5), ("50%", "uniform", 1, 0.5), ("60%", "shared", 0.8, 0.7),
            ("0.75", "shared", 1, 0.8),
        ):
            r = plan("--accuracy", wanted, image)
            check((r["measured"]["by"], r["measured"]["setting"]) == (by, setting), str(r))
            check(r["measured"]["accuracy"] == accuracy, str(r))
            check(r["budget_bytes"] == rows[by, setting], str(r))
            check((r["decided_by"] == "uniform") == (by == "uniform"), str(r))
        r = plan("--accuracy", "0.3", large)
        check(r["budget_bytes"] == rows["uniform", 1] + 300 * 300 - 28 * 28, str(r))
        check(r["level"] == [1] * 4 and r["measured"]["accuracy"] == 0.5, str(r))
        out, _ = run("infer", "--json", "--task", "garment", "--accuracy", "0.3", image, large,
                     socket=d.socket_path)
        check([r["level"] for r in lines(out)] == [[1] * 4] * 2, out)

        r = plan("--accuracy", "60%")  # the agent would look at an image, and there is none
        check(r["decided_by"] == "uniform" and r["measured"]["by"] == "shared", str(r))
        check(plan("--path", "4,4,4,4")["measured"]["accuracy"] == 0.75, "level 4")
        check(plan("--level", "2")["measured"] is None, "a level that is not in the table")
        check(plan("--path", "1,2,0,4")["measured"] is None, "a path of many levels")
        check(plan("--thrift", "1", image)["measured"] is None, "thrift was not measured")
        check(plan(image)["measured"]["accuracy"] == 0.8, "no limit")
        check(plan(image, task="warm")["measured"] is None, "no table")
        out, _ = run("plan", "--task", "garment", "--accuracy", "0.3", socket=d.socket_path)
        check("accuracy    50.00 % of the validation images, level 1 in every block" in out, out)
        check("measured" not in run("describe", "warm", socket=d.socket_path)[0], "no table")

        for task, wanted, words in (("garment", "0.81", "the best is 80 %"),
                                    ("warm", "0.1", "no accuracy table")):
            _, err = run("plan", "--task", task, "--accuracy", wanted, code=REFUSED,
                         socket=d.socket_path)
            check(words in err, err)
        for bad in (("--accuracy", "1.1"), ("--accuracy", "0"), ("--accuracy", "101%"),
                    ("--accuracy", "%"), ("--accuracy", "0.5", "--budget", "1MiB"),
                    ("--accuracy", "0.5", "--level", "1"), ("--accuracy", "0.5", "--uniform"),
                    ("--accuracy", "0.5", "--thrift", "1")):
            run("plan", "--task", "garment", *bad, code=USAGE, socket=d.socket_path)
        _, err = run("plan", "--accuracy", "0.5", code=USAGE, socket=d.socket_path)
        check("3 tasks" in err, err)


def test_status_and_reload():
    with harness.Daemon(harness.store("small")) as d:
        run("infer", "--task", "warm", pgm("a.pgm"), socket=d.socket_path)
        out, _ = run("status", socket=d.socket_path)
        for word in ("promised", "PSS", "RSS", "cgroup", "MiB", "infer_ok", "queue"):
            check(word in out, f"no {word}: {out}")
        status = json.loads(run("status", "--json", socket=d.socket_path)[0])
        check(status["counter"]["infer_ok"] == 1 and status["rss_bytes"] > 0, str(status))
        check(0 < status["parts_verified"] <= status["parts"] == 17, str(status))  # 1 + 4 x 4
        check(status["parts_damaged"] == 0 and "DAMAGED" not in out, str(status))
        check(f"{status['parts_verified']} of 17 parts" in out, out)
        out, _ = run("reload", socket=d.socket_path)
        check("now serving small" in out, out)
        check(json.loads(run("reload", "--json", socket=d.socket_path)[0])["store"] == "small", "")


def test_timeout():
    def handler(connection):
        while connection.recv(4096):  # until the client leaves
            pass

    with Fake(handler) as fake:
        _, err = run("status", "--timeout", "50", socket=fake.path, code=CONNECTION)
        check("--timeout" in err, err)
    with Fake(handler) as fake:
        out, err = run("infer", "--timeout", "50", pgm("a.pgm"), pgm("b.pgm"), socket=fake.path,
                       code=CONNECTION)
        check(err.count("timeout of the call") == 2 and out == "", err)


def test_daemon_that_dies():
    """Four images are in flight when it goes, the rest is never sent: each failure is said."""
    images = [pgm(f"{i}.pgm") for i in range(9)]

    def handler(connection):
        connection.sendall(frame(answer(receive(connection).id)))
        [receive(connection) for _ in range(3)]

    with Fake(handler) as fake:
        out, err = run("infer", *images, socket=fake.path, code=CONNECTION)
        check(len(out.splitlines()) == 2 and "label" in out, out)
        check("were not sent" in err and "closed the connection" in err, err)


def test_hostile_texts_do_not_reach_the_terminal():
    def handler(connection):
        connection.sendall(frame(answer(receive(connection).id, "\x1b[2Jlabel\n", float("nan"))))

    with Fake(handler) as fake:
        out, _ = run("infer", pgm("a.pgm"), socket=fake.path)
        check("?[2Jlabel?" in out and "\x1b" not in out, repr(out))
    with Fake(handler) as fake:
        (r,) = lines(run("infer", "--json", pgm("a.pgm"), socket=fake.path)[0])
        check(r["label"][0]["probability"] is None, str(r))


def test_a_hostile_table():
    """Rows that no store could have neither stop describe nor are they taken by --accuracy."""
    rows = [pb.Measured(by="\x1b[2J", setting=float("nan"), accuracy=float("nan"), params=-1,
                        bytes=float("inf"), budget_bytes=2**64 - 1),
            pb.Measured(by="uniform", setting=1e300, accuracy=1e300, budget_bytes=0),
            pb.Measured(by="shared", setting=-1, accuracy=-5, bytes=-1, budget_bytes=1)]
    task = pb.Task(name="t", measured=rows * 50, smallest=pb.Bytes(), largest=pb.Bytes())

    def handler(connection):
        while (r := receive(connection)) is not None:
            connection.sendall(frame(pb.Response(id=r.id, describe=pb.DescribeResponse(
                store="s", blocks=2**32 - 1, agent="?", task=[task]))))

    with Fake(handler) as fake:
        out, _ = run("describe", socket=fake.path)
        check("?[2J" in out and "\x1b" not in out and "18014398509481984KiB" in out, repr(out))
        (t,) = json.loads(run("describe", "--json", socket=fake.path)[0])["task"]
        check(len(t["measured"]) == 150 and t["measured"][0]["accuracy"] is None, str(t)[:300])
        _, err = run("plan", "--accuracy", "0.5", socket=fake.path, code=REFUSED)
        check("no budget reached" in err, err)


def test_output_that_cannot_be_written():
    with open("/dev/full", "w") as full:
        _, err = run("--help", code=SYSTEM, stdout=full)
        check("cannot be written" in err, err)


# ---- stores ----


def test_inspect():
    store = harness.store("small")
    out, _ = run("inspect", store)
    for word in ("small", "garment", "4 blocks of 4 groups", "RESIDENT"):
        check(word in out, f"no {word}: {out}")
    # the table: three levels and two rows of the agent; the other tasks have none
    garment, others = out.split("task warm")
    check(garment.count("ACCURACY") == 1 and "ACCURACY" not in others, out)
    rows = [line.split() for line in garment.splitlines() if line.endswith(" %")]
    check([(r[0], r[-2]) for r in rows] == [("0", "25.00"), ("1", "50.00"), ("4", "75.00"),
                                            ("agent", "70.00"), ("agent", "80.00")], out)
    check(len(run("inspect", "--slices", store)[0].splitlines()) >= len(out.splitlines()) + 16,
          "4 blocks x 4 groups are 16 slices")
    r = json.loads(run("inspect", "--json", store)[0])
    check(r["file_bytes"] == os.path.getsize(store) and len(r["slices"]) == 16, str(r)[:200])
    levels = r["levels"]["garment"]
    check(len(levels) == 5 and levels[4]["density"] == 1, str(levels))
    totals = [level["total"] for level in levels]
    check(totals == sorted(totals) and totals[0] < totals[4], str(totals))
    for bad in ("/nonexistent", "/", write("x", b"no store"), write("y", b"")):
        _, err = run("inspect", bad, code=INPUT)
        check(bad in err, err)


def test_verify():
    store = harness.store("small")
    check("intact" in run("verify", store)[0], "text")
    check(json.loads(run("verify", "--json", store)[0])["intact"], "json")
    run("verify", "/nonexistent", code=INPUT)
    with open(store, "rb") as f:
        data = bytearray(f.read())
    slices = json.loads(run("inspect", "--json", store)[0])
    at = len(data) - slices["data_bytes"] + slices["slices"][5]["offset"]
    data[at] ^= 1
    _, err = run("verify", write("flipped", data), code=REFUSED)
    check("checksum" in err.lower(), err)
    run("verify", write("cut", data[:-1]), code=REFUSED)
    run("verify", write("text", b"no store"), code=REFUSED)


def test_example():
    with harness.Daemon(harness.store("small")) as d:
        p = subprocess.run([os.environ["EXAMPLE"], pgm("a.pgm"), "garment"], text=True,
                           env={**os.environ, "VIRTUALNET_SOCKET": d.socket_path},
                           capture_output=True, check=True)
        check(len(p.stdout.splitlines()) == 4 and "promised" in p.stdout, p.stdout)
        p = subprocess.run([os.environ["EXAMPLE"], pgm("a.pgm"), "garment", "1"], text=True,
                           env={**os.environ, "VIRTUALNET_SOCKET": d.socket_path},
                           capture_output=True)
        check(p.returncode == 1 and "smallest path needs" in p.stderr, p.stderr)


harness.main(sys.modules[__name__])
