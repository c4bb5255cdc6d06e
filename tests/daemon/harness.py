"""Starts a real virtualnetd on a private socket and talks to it in raw frames.

Environment (set by meson): VIRTUALNETD, MAKE_STORE, PROTO_PYTHON (folder of virtualnet_pb2.py).

    with Daemon(store("small")) as d:
        with d.connect() as c:
            reply = c.call(infer=infer("garment", image(28, 28)))

At the end of the block the daemon is stopped with SIGTERM and must have left with status 0, without
a socket, and without a word from a sanitizer.
"""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.environ["PROTO_PYTHON"])
import virtualnet_pb2 as pb  # noqa: E402

PATIENCE = 120  # seconds until something that never happens is given up; sanitizers are slow
READY_LINE = b" serves "

_folder = tempfile.mkdtemp(prefix="virtualnetd-test-")


def folder(name=None):
    """A private folder of this test program, removed at its end."""
    path = os.path.join(_folder, name) if name else _folder
    os.makedirs(path, exist_ok=True)
    return path


def store(kind, name=None, agent=None, file=None):
    """Path of a store with random weights, made on first use."""
    words = [kind, name or kind] + ([agent] if agent else [])
    path = file or os.path.join(folder(), "-".join(words) + ".safetensors")
    if file or not os.path.exists(path):
        subprocess.run([os.environ["MAKE_STORE"], path] + words, check=True)
    return path


def image(width, height, form=pb.GRAY8, stride=0, seed=1):
    """An image message with pixels that look like nothing."""
    row = width * (3 if form == pb.RGB8 else 1)
    length = (stride or row) * height
    pixels = bytes((i * 31 * seed + i // 97) & 255 for i in range(min(length, 4096)))
    pixels = (pixels * (length // max(len(pixels), 1) + 1))[:length]
    return pb.Image(format=form, width=width, height=height, stride=stride, pixels=pixels)


def infer(task, img=None, **fields):
    return pb.InferRequest(task=task, image=img, **fields)


def frame(message):
    data = message if isinstance(message, bytes) else message.SerializeToString()
    return struct.pack(">I", len(data)) + data


class Closed(Exception):
    """The daemon closed the connection."""


class Connection:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)  # without a time limit it waits for room in the backlog
        self.socket.settimeout(PATIENCE)
        self.next_id = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send_bytes(self, data):
        self.socket.sendall(data)

    def request(self, id=None, **call):
        """The frame of one request: request(infer=..., id=5)."""
        if id is None:
            id = self.next_id
            self.next_id += 1
        return frame(pb.Request(id=id, **call))

    def read_exactly(self, n):
        data = b""
        while len(data) < n:
            part = self.socket.recv(n - len(data))
            if not part:
                raise Closed(f"after {len(data)} of {n} bytes")
            data += part
        return data

    def receive(self):
        (length,) = struct.unpack(">I", self.read_exactly(4))
        response = pb.Response()
        response.ParseFromString(self.read_exactly(length))
        return response

    def call(self, **call):
        """Sends one request and returns its response; there must be no other in flight."""
        data = self.request(**call)
        self.send_bytes(data)
        response = self.receive()
        check(response.id == self.next_id - 1 or "id" in call, f"id {response.id}")
        return response

    def error(self, code, *parts, **call):
        """Sends a request that must be refused with this code and a sentence with these parts."""
        return expect_error(self.call(**call), code, *parts)

    def at_end(self):
        """True when the daemon closes the connection without another byte."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def expect_error(response, code, *parts):
    check(response.WhichOneof("result") == "error", f"no error but {response}"[:500])
    error = response.error
    check(error.code == code, f"code {pb.Code.Name(error.code)}: {error.message}")
    for part in parts:
        check(str(part) in error.message, f'"{error.message}" lacks "{part}"')
    check(len(error.message) > 10, "no sentence")
    return error


def counters(status):
    return {c.name: c.value for c in status.counter}


def until(condition, text="it never happened"):
    """Waits for a condition that must come true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        check(time.monotonic() < end, text)
        time.sleep(0.005)


class Daemon:
    """A running virtualnetd. Extra keyword arguments are configuration keys."""

    def __init__(self, store_path, wait=True, env=None, preexec=None, command=None, flags=(),
                 pass_fds=(), **config):
        self.folder = tempfile.mkdtemp(dir=_folder)
        self.socket_path = os.path.join(self.folder, "s")
        self.config_path = os.path.join(self.folder, "virtualnetd.json")
        self.log = b""
        self.allowed_exits = (0,)
        config = {"socket_path": self.socket_path, "store_path": store_path, **config}
        with open(self.config_path, "w") as f:
            json.dump(config, f)
        environment = {**os.environ, **(env or {})}
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "OPENBLAS_NUM_THREADS"):
            if name not in (env or {}):
                environment.pop(name, None)
        self.process = subprocess.Popen(
            list(command or []) + [os.environ["VIRTUALNETD"], "--config", self.config_path, *flags],
            stderr=subprocess.PIPE, env=environment, preexec_fn=preexec, pass_fds=pass_fds)
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        if wait:
            until(lambda: READY_LINE in self.log or self.process.poll() is not None,
                  "the daemon is never ready")
            if self.process.poll() is not None:
                self.reader.join(PATIENCE)
                raise AssertionError(f"no start: {self.log.decode(errors='replace')}")

    def _read_log(self):
        for line in self.process.stderr:
            self.log += line

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stop(quiet=kind is not None)
        return False

    def connect(self):
        return Connection(self.socket_path)

    def status(self):
        with self.connect() as c:
            return c.call(status=pb.StatusRequest()).status

    def resident(self):
        """(PSS, PSS of files) in bytes, as the daemon reports it."""
        s = self.status()
        return s.pss_bytes, s.pss_file_bytes

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def wait(self):
        self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        return self.process.returncode

    def _signal_again(self, sign):
        """ThreadSanitizer keeps a signal back until the process does what it looks at, which
        an idle loop need not."""
        for _ in range(PATIENCE // 5 if "SIGNALS_MAY_WAIT" in os.environ else 0):
            try:
                self.process.wait(5)
                return
            except subprocess.TimeoutExpired:
                self.process.send_signal(sign)

    def stop(self, sign=signal.SIGTERM, quiet=False):
        """Stops it and looks at what it leaves. quiet: a test has failed already."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        try:
            self._signal_again(sign)
            status = self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.wait()
        if quiet:
            sys.stderr.write(self.log.decode(errors="replace"))
            return
        text = self.log.decode(errors="replace")
        check("Sanitizer" not in text and "runtime error" not in text, text)
        check(status in self.allowed_exits, f"exit status {status}: {text}")
        check(not os.path.exists(self.socket_path), "the socket is left behind")
        check(not os.path.exists(self.socket_path + ".lock"), "the lock is left behind")

    def kill(self):
        """Ends it without asking; nothing is expected of it."""
        self.process.kill()
        self.wait()
        for path in (self.socket_path, self.socket_path + ".lock"):
            if os.path.exists(path):
                os.unlink(path)


def for_everybody(store_path, **config):
    """A daemon that every user can connect to."""
    d = Daemon(store_path, socket_mode="0666", **config)
    os.chmod(folder(), 0o755)
    os.chmod(d.folder, 0o755)
    return d


def as_user(uid, test, d, gid=None, groups=(), wait=True):
    """Runs the test in a process of this user, with a connection. Without wait: returns its id."""
    pid = os.fork()
    if not pid:
        try:
            os.setgroups(groups)
            os.setgid(uid if gid is None else gid)
            os.setuid(uid)
            with Connection(d.socket_path) as c:
                test(c)
            os._exit(0)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(1)
    if wait:
        check(os.waitpid(pid, 0)[1] == 0, f"the test of user {uid} failed")
    return pid


def fails_to_start(store_path, *parts, status=1, **arguments):
    """The daemon must refuse to start, with this status and these words. Returns its log."""
    d = Daemon(store_path, wait=False, **arguments)
    check(d.wait() == status, f"status {d.process.returncode}: {d.log.decode()}")
    text = d.log.decode(errors="replace")
    for part in parts:
        check(str(part) in text, f'"{text}" lacks "{part}"')
    check("Sanitizer" not in text, text)
    check(not os.path.exists(d.socket_path), "a socket is left behind")
    return text


def refuse_second_half_frame(d, first, second, limit_name):
    """Half frames of 600,000 bytes where 1 MiB may be held: the second is one too many. Returns
    what was asked, and the rest of the first frame."""
    ask = infer("garment", image(1000, 1000))
    whole = first.request(infer=ask)
    first.send_bytes(whole[:600000])
    until(lambda: d.status().connections == 3)
    try:
        second.send_bytes(whole[:600000])
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was closed before all was written
    r = second.receive()
    check(r.id == 0, str(r))
    e = expect_error(r, pb.BUSY, f"{limit_name} is 1048576")
    check(e.limit_name == limit_name and e.current > 1 << 20, str(e))
    check(second.at_end(), "the connection is still open")
    return ask, whole[600000:]


def main(module):
    """Runs every function test_* of the module (or those named on the command line)."""
    names = sys.argv[1:] or [n for n in vars(module) if n.startswith("test_")]
    failed = 0
    try:
        for name in names:
            start = time.monotonic()
            try:
                getattr(module, name)()
                print(f"ok   {name} ({time.monotonic() - start:.2f} s)", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
    finally:
        shutil.rmtree(_folder, ignore_errors=True)
    sys.exit(1 if failed else 0)
