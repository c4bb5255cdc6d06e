"""Starting, refusing to start, stopping; the socket and its lock; a store cut short underneath."""

import os
import signal
import socket
import stat
import subprocess
import sys

from harness import (Closed, Daemon, check, expect_error, fails_to_start, folder, image, infer,
                     main, pb, store, until)


def run(*args):
    return subprocess.run([os.environ["VIRTUALNETD"], *args], capture_output=True, text=True)


def asks_one(d):
    with d.connect() as c:
        check(c.call(infer=infer("garment", image(28, 28))).infer.label, "no answer")


# --- flags ----------------------------------------------------------------------------------------


def test_flags():
    r = run("--version")
    check(r.returncode == 0 and r.stdout.startswith("virtualnetd "), str(r))
    r = run("--help")
    check(r.returncode == 0 and "--check-config" in r.stdout, str(r))
    for args in (["--nonsense"], ["stray"], ["--config"], ["--version=3"]):
        r = run(*args)
        check(r.returncode == 2 and "--help" in r.stderr, str(r))


def test_check_config():
    path = os.path.join(folder(), "c.json")
    with open(path, "w") as f:
        f.write('{"workers": 2}')
    r = run("--config", path, "--check-config", "--socket", "/run/x")
    check(r.returncode == 0, str(r))
    check('"workers": 2' in r.stdout and '"socket_path": "/run/x"' in r.stdout, r.stdout)
    for text, part in (('{"workers": 2,\n "workers": 3}', "line 2"), ('{"worker": 2}', "unknown"),
                       ("{", "line 1")):
        with open(path, "w") as f:
            f.write(text)
        r = run("--config", path, "--check-config")
        check(r.returncode == 2 and part in r.stderr and path in r.stderr, str(r))
        check(run("--config", path).returncode == 2, "it must not start either")
    r = run("--config", "/nonexistent", "--check-config")
    check(r.returncode == 2 and "/nonexistent" in r.stderr, str(r))
    r = run("--check-config", "--socket", "/" + "x" * 107)
    check(r.returncode == 2 and "107" in r.stderr, str(r))


# --- stores that are refused ----------------------------------------------------------------------


def damaged(change):
    path = os.path.join(folder(), "damaged.safetensors")
    with open(store("small"), "rb") as f:
        data = bytearray(f.read())
    data = change(data)
    with open(path, "wb") as f:
        f.write(data)
    return path


def flip(position):
    def change(data):
        data[position] ^= 1
        return data
    return change


def test_missing_store():
    fails_to_start("/nonexistent/store", "/nonexistent/store", "No such file")
    fails_to_start(folder(), folder())


def test_truncated_store():
    size = os.path.getsize(store("small"))
    for n in (0, 1, 7, 8, 100, 65535, 65536, 65537, size // 2, size - 65536, size - 1):
        path = damaged(lambda data: data[:n])
        fails_to_start(path, path)
    path = damaged(lambda data: data + b"\0")
    fails_to_start(path, path)


def test_bit_flipped_store():
    size = os.path.getsize(store("small"))
    for position in (0, 3, 8, 200, 65536 + 5, size // 2, size - 1):
        path = damaged(flip(position))
        fails_to_start(path, path, verify_store="load")


def test_damage_is_found_by_verification():
    path = damaged(lambda data: flip(len(data) - 1)(data))
    text = fails_to_start(path, "checksum", verify_store="load")
    check("<3>" in text, "not logged as an error")
    with Daemon(path, verify_store="never") as d:
        asks_one(d)


def test_configuration_that_does_not_fit_the_store():
    fails_to_start(store("small"), 'task_budgets names "nobody"', "garment, warm, digit",
                   task_budgets={"nobody": 1000000})
    fails_to_start(store("small"), 'task "garment"', "budget of 1 bytes", "needs",
                   default_budget_bytes=1)


# --- what is loaded -------------------------------------------------------------------------------


def test_openblas_is_loaded_for_gemm_alone():
    """It costs 3 MB and, unless told not to, brings a thread per processor."""
    found = {}
    for kernels in ("auto", "gemm"):
        with Daemon(store("small"), kernels=kernels) as d, d.connect() as c:
            asks_one(d)
            ask = infer("garment", image(28, 28), level=[4] * 4, top_k=10)
            labels = {x.name: x.probability for x in c.call(infer=ask).infer.label}
            with open(f"/proc/{d.process.pid}/maps") as f:
                loaded = "openblas" in f.read()
            found[kernels] = loaded, len(os.listdir(f"/proc/{d.process.pid}/task")), labels
    check(not found["auto"][0] and found["gemm"][0], str(found))
    check(found["auto"][1] == found["gemm"][1], f"threads: {found}")
    for name, probability in found["auto"][2].items():
        check(abs(found["gemm"][2][name] - probability) < 1e-4, str(found))


def test_waiting_holds_little_of_the_store():
    """The warm-up reads and runs the default path, here the full one, and lets go of it."""
    file = store("large")
    with Daemon(file) as d, d.connect() as c:
        ask = infer("big", image(8, 8), level=[8] * 6)
        resident = [d.status().pss_file_bytes]
        needed = c.call(infer=ask).infer.bytes.params_resident
        resident.append(d.status().pss_file_bytes)
        check(needed > 0.9 * os.path.getsize(file), f"the full path needs {needed}")
        check(resident[0] < 0.1 * needed, f"{resident[0]} bytes of files before the first run")
        check(resident[1] > 0.9 * needed, f"{resident[1]} of {needed} after it")  # it can be seen


# --- the socket -----------------------------------------------------------------------------------


def test_mode_of_the_socket():
    with Daemon(store("small"), socket_mode="0600") as d:
        check(stat.S_IMODE(os.stat(d.socket_path).st_mode) == 0o600, "mode")
    with Daemon(store("small")) as d:
        check(stat.S_IMODE(os.stat(d.socket_path).st_mode) == 0o660, "mode")


def test_group_of_the_socket():
    fails_to_start(store("small"), 'no group "nogroup-x"', socket_group="nogroup-x")
    import grp
    name = grp.getgrgid(os.getgid()).gr_name
    with Daemon(store("small"), socket_group=name) as d:
        check(os.stat(d.socket_path).st_gid == os.getgid(), "group")


def test_second_daemon_on_the_same_socket():
    with Daemon(store("small")) as d:
        path = os.path.join(folder(), "same.json")
        with open(path, "w") as f:
            f.write("{}")
        r = run("--config", path, "--store", store("small"), "--socket", d.socket_path)
        check(r.returncode == 1 and "another virtualnetd serves" in r.stderr, str(r))
        asks_one(d)


def test_socket_of_a_dead_daemon():
    d = Daemon(store("small"))
    path = d.socket_path
    d.process.kill()
    d.wait()
    check(os.path.exists(path), "kill -9 leaves the socket")
    with Daemon(store("small"), socket_path=path) as again:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
        check(again.process.poll() is None, "no start")
    check(not os.path.exists(path) and not os.path.exists(path + ".lock"), "something is left")


def test_what_is_not_ours_is_left_alone():
    path = os.path.join(folder(), "file")
    with open(path, "w") as f:
        f.write("precious")
    fails_to_start(store("small"), "not a socket", socket_path=path)
    with open(path) as f:
        check(f.read() == "precious", "a file was damaged")
    path = os.path.join(folder(), "foreign")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen()
        fails_to_start(store("small"), "still listens", socket_path=path)
        check(os.path.exists(path), "a foreign socket was removed")


def test_socket_that_was_replaced_is_not_removed():
    with Daemon(store("small")) as d:
        os.unlink(d.socket_path)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(d.socket_path)
            d.process.send_signal(signal.SIGTERM)
            check(d.wait() == 0, "exit status")
            check(os.path.exists(d.socket_path), "somebody else's socket was removed")
            os.unlink(d.socket_path)


def test_missing_folder():
    fails_to_start(store("small"), "must exist and be writable", socket_path="/nonexistent/x.sock")


# --- stopping -------------------------------------------------------------------------------------


def large(**config):
    return Daemon(store("large"), **{**dict(default_budget_bytes=30000000), **config})


def slow():
    return infer("big", image(8, 8), level=[8] * 6)


def test_running_requests_are_finished():
    with large(shutdown_grace_ms=60000) as d, d.connect() as c, d.connect() as idle:
        c.send_bytes(b"".join(c.request(infer=slow()) for _ in range(12)))
        until(lambda: d.status().running == 1)
        d.process.send_signal(signal.SIGTERM)
        replies = sorted((c.receive() for _ in range(12)), key=lambda r: r.id)
        # The first, and whichever ran when the signal came, are answered; the rest is refused.
        done = sum(r.WhichOneof("result") == "infer" for r in replies)
        check(1 <= done < 12, f"{done} answers")
        check(all(r.infer.label for r in replies[:done]), "a running one is lost")
        for r in replies[done:]:
            expect_error(r, pb.SHUTTING_DOWN)
        check(c.at_end() and idle.at_end(), "a connection is left open")
        check(d.wait() == 0, "exit status")


def test_new_requests_while_stopping():
    with large(shutdown_grace_ms=60000) as d, d.connect() as c:
        c.send_bytes(c.request(infer=slow(), id=1))
        until(lambda: d.status().running == 1)
        d.process.send_signal(signal.SIGTERM)
        until(lambda: b"stopping" in d.log)
        c.send_bytes(c.request(infer=slow(), id=2))
        try:
            replies = {}
            while len(replies) < 2:
                r = c.receive()
                replies[r.id] = r
            expect_error(replies[2], pb.SHUTTING_DOWN)
        except (Closed, ConnectionResetError):
            pass  # the first was done before the second came
        check(replies[1].infer.label, "the running one is lost")


def test_requests_that_came_before_the_stop():
    """They are there, and not read yet, when it is told to stop: each is answered."""
    with Daemon(store("small")) as d, d.connect() as c, d.connect() as idle:
        for one in (c, idle):
            one.call(describe=pb.DescribeRequest())
        d.process.send_signal(signal.SIGSTOP)
        ask = c.request(infer=infer("garment", image(28, 28)), id=9)
        c.send_bytes(ask * 10 + ask[:50])
        d.process.send_signal(signal.SIGTERM)
        d.process.send_signal(signal.SIGCONT)
        for _ in range(10):
            r = c.receive()
            check(r.id == 9, str(r))
            if r.WhichOneof("result") != "infer":
                expect_error(r, pb.SHUTTING_DOWN, "the daemon stops")
        check(c.at_end() and idle.at_end(), "the connection is still open")
        check(d.wait() == 0, "exit status")


def test_no_grace():
    with large(shutdown_grace_ms=0) as d, d.connect() as c:
        c.send_bytes(c.request(infer=slow()))
        until(lambda: d.status().running == 1)
        d.process.send_signal(signal.SIGTERM)
        r = c.receive()
        if r.WhichOneof("result") == "error":  # else it was done at that very moment
            expect_error(r, pb.SHUTTING_DOWN)
        check(d.wait() == 0, "exit status")


def test_interrupt_stops_too():
    d = Daemon(store("small"))
    d.stop(signal.SIGINT)


def test_reader_that_never_reads_does_not_hold_the_end():
    with Daemon(store("small"), shutdown_grace_ms=100) as d, d.connect() as c:
        ask = c.request(describe=pb.DescribeRequest(), id=1) * 50
        for _ in range(10):
            c.send_bytes(ask)
        until(lambda: d.status().connections == 2)
        d.process.send_signal(signal.SIGTERM)
        check(d.wait() == 0, "exit status")


# --- the store under a running daemon -------------------------------------------------------------


def test_store_cut_short_while_mapped():
    """No answer is given from numbers that are not there: one line, and the end."""
    path = store("large", file=os.path.join(folder(), "cut.safetensors"))
    with Daemon(path, default_budget_bytes=30000000, verify_store="never") as d, d.connect() as c:
        os.truncate(path, os.path.getsize(path) // 2)
        c.send_bytes(c.request(infer=slow()))
        try:
            check(False, f"an answer: {c.receive()}")
        except (Closed, ConnectionResetError):
            pass
        check(d.wait() == 74, f"exit status {d.process.returncode}")
        check(b"cut short" in d.log and b"rename" in d.log, d.log.decode())
        d.kill()  # the socket is left, as by any sudden end
        d.allowed_exits = (74,)
    os.unlink(path)


main(sys.modules[__name__])
