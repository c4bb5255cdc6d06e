"""What the service manager sees: readiness, watchdog, activation."""

import os
import signal
import socket
import stat
import sys
import time

from harness import (PATIENCE, Daemon, check, fails_to_start, folder, image, infer, main, pb, store,
                     until)

ACTIVATED = [sys.executable, "-c", """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""]


class Manager:
    """The other end of NOTIFY_SOCKET."""

    count = 0

    def __init__(self, abstract=False):
        Manager.count += 1
        name = f"virtualnetd-test-{os.getpid()}-{Manager.count}"
        path = os.path.join(folder(), name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name if abstract else path)
        self.socket.settimeout(PATIENCE)
        self.env = {"NOTIFY_SOCKET": "@" + name if abstract else path}

    def next(self):
        return self.socket.recv(4096).decode().split("\n")

    def wait_for(self, line):
        lines = self.next()
        while line not in lines:
            lines = self.next()
        return lines

    def drain(self):
        self.socket.setblocking(False)
        n = 0
        try:
            while True:
                self.socket.recv(4096)
                n += 1
        except BlockingIOError:
            self.socket.settimeout(PATIENCE)
            return n


def test_ready_means_that_requests_are_answered():
    for abstract in (False, True):
        m = Manager(abstract)
        d = Daemon(store("small"), wait=False, env=m.env)
        lines = m.next()
        check(lines[0] == "READY=1" and lines[1] == "STATUS=serving small", str(lines))
        with d.connect() as c:
            check(c.call(infer=infer("garment", image(28, 28))).infer.label, "no answer")
        d.process.send_signal(signal.SIGTERM)
        check(m.next()[0] == "STOPPING=1", "no STOPPING=1")
        d.stop()


def test_failed_start_is_not_ready():
    m = Manager()
    fails_to_start("/nonexistent/store", "No such file", env=m.env)
    check("No such file" in m.next()[0], "no status text")
    check(m.drain() == 0, "something followed")


def test_reload_is_announced():
    m = Manager()
    with Daemon(store("small"), env=m.env) as d:
        m.wait_for("READY=1")
        d.process.send_signal(signal.SIGHUP)
        lines = m.wait_for("RELOADING=1")
        stamp = int(lines[1].removeprefix("MONOTONIC_USEC="))
        check(0 <= time.monotonic() - stamp / 1e6 < PATIENCE, f"{lines}")
        m.wait_for("READY=1")


def test_several_stores():
    """A client's reload of one leaves the daemon ready; the signal's is done when all are. A store
    that is missing is named."""
    b = store("small", "b", file=os.path.join(folder(), "b.safetensors"))
    stores = {"b": {"store_path": b}, "gone": {"store_path": "/nonexistent/store"}}
    m = Manager()
    with Daemon(store("small"), env=m.env, stores=stores) as d, d.connect() as c:
        text = "STATUS=serving small, b; NOT LOADED: gone"
        check(m.wait_for("READY=1")[1] == text, "the start")
        check(c.call(reload=pb.ReloadRequest(store="b")).reload.store == "b", "reload")
        check(m.next() == [text], "a word about it")
        d.process.send_signal(signal.SIGHUP)
        m.wait_for("RELOADING=1")
        lines = m.next()
        check(lines == ["READY=1", text], str(lines))
        until(lambda: d.log.count(b"reloaded") == 3 and d.log.count(b"reload of store gone") == 1)


def test_watchdog_of_an_idle_daemon():
    m = Manager()
    start = time.monotonic()
    with Daemon(store("small"), env={**m.env, "WATCHDOG_USEC": "100000"}):
        m.wait_for("READY=1")
        for _ in range(10):
            m.wait_for("WATCHDOG=1")
        # Every 50 ms, half the interval, from READY on: the tenth not before 500 ms, but for the
        # timer's rounding.
        check(time.monotonic() - start > 0.45, "pings come too fast")


def test_watchdog_is_somebody_elses():
    m = Manager()
    env = {**m.env, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}
    with Daemon(store("small"), env=env):
        m.wait_for("READY=1")
        time.sleep(0.2)
        check(m.drain() == 0, "a ping for another process's watchdog")


def test_watchdog_of_a_busy_daemon():
    """Long runs that make progress are well."""
    m = Manager()
    with Daemon(store("large"), env={**m.env, "WATCHDOG_USEC": "1000000"},
                default_budget_bytes=30000000, connection_inflight_limit=100) as d:
        m.wait_for("READY=1")
        with d.connect() as c:
            for _ in range(6):
                c.send_bytes(c.request(infer=infer("big", image(8, 8), level=[8] * 6)))
            m.wait_for("WATCHDOG=1")
            for _ in range(6):
                check(c.receive().infer.label, "no answer")
        check(b"makes no progress" not in d.log, d.log.decode())


def test_watchdog_of_a_hung_worker():
    m = Manager()
    os.environ["VIRTUALNETD"], plain = os.environ["VIRTUALNETD_HOOKS"], os.environ["VIRTUALNETD"]
    try:
        d = Daemon(store("small"), shutdown_grace_ms=10,
                   env={**m.env, "WATCHDOG_USEC": "100000", "VIRTUALNETD_TEST_HANG_TASK": "warm"})
    finally:
        os.environ["VIRTUALNETD"] = plain
    m.wait_for("WATCHDOG=1")
    with d.connect() as c:
        check(c.call(infer=infer("garment", image(28, 28))).infer.label, "only warm hangs")
        m.wait_for("WATCHDOG=1")
        c.send_bytes(c.request(infer=infer("warm", image(28, 28))))
        until(lambda: b"makes no progress" in d.log)
        m.drain()
        time.sleep(0.3)  # six intervals of a ping
        check(m.drain() == 0, "a hung worker is reported well")
        # The loop still answers what needs no worker, and ends when told to, but not with 0.
        check(c.call(status=pb.StatusRequest(), ).status.running == 1, "running")
    d.allowed_exits = (1,)
    d.stop()
    check(b"did not end after they were cancelled" in d.log, d.log.decode())


def activated(listening, store_path, fds="1", **arguments):
    return Daemon(store_path, command=ACTIVATED + [str(listening.fileno())],
                  env={"LISTEN_FDS": fds}, pass_fds=(listening.fileno(),), **arguments)


def listening_socket(name, kind=socket.SOCK_STREAM):
    path = os.path.join(folder(), name)
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(path)
    if kind == socket.SOCK_STREAM:
        s.listen()
    return s, path


def test_activated_socket():
    s, path = listening_socket("activated")
    with socket.socket(socket.AF_UNIX) as early:
        early.connect(path)  # before the daemon is there: it waits in the backlog
        d = activated(s, store("small"))
        d.own_path, d.socket_path = d.socket_path, path
        with d.connect() as c:
            check(c.call(infer=infer("garment", image(28, 28))).infer.label, "no answer")
        check(d.status().connections == 2, "the early client is served, too")
        check(not os.path.exists(d.own_path), "it made a socket of its own")
    d.socket_path = d.own_path
    d.stop()
    check(stat.S_ISSOCK(os.stat(path).st_mode), "the manager's socket was removed")
    check(not os.path.exists(path + ".lock"), "a lock beside the manager's socket")
    # A client that connects in between is served by the next one.
    with socket.socket(socket.AF_UNIX) as between:
        between.connect(path)
        d = activated(s, store("small"))
        own, d.socket_path = d.socket_path, path
        until(lambda: d.status().connections == 2)
        d.socket_path = own
        d.stop()


def refuses(listening, *parts, fds="1"):
    d = activated(listening, store("small"), fds=fds, wait=False)
    check(d.wait() == 1, f"status {d.process.returncode}")
    for part in parts:
        check(part in d.log.decode(), d.log.decode())


def test_wrong_activation():
    s, _ = listening_socket("datagram", socket.SOCK_DGRAM)
    refuses(s, "listening Unix stream socket")
    s, _ = listening_socket("two")
    refuses(s, "passed 2 sockets", fds="2")
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        refuses(tcp, "listening Unix stream socket")


def test_activation_of_another_process():
    env = {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    with Daemon(store("small"), env=env) as d:
        check(os.path.exists(d.socket_path), "it must make its own socket")


main(sys.modules[__name__])
