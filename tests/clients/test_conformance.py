"""The conformance program: its clauses are sentences of docs/protocol.md, the daemon keeps all of
them however it is configured, and whoever breaks one is told which."""

import array
import fcntl
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.environ["PYTHON_PACKAGE"])
sys.path.insert(0, os.path.join(os.environ["SOURCE_ROOT"], "tests/daemon"))

import harness  # noqa: E402
from harness import check  # noqa: E402
from virtualnet import virtualnet_pb2 as pb  # noqa: E402
from virtualnet.conformance import __main__ as program  # noqa: E402
from virtualnet.conformance import wire  # noqa: E402


def plain(text):
    return " ".join(re.sub(r"\]\([^)]*\)|[`\[]", "", text).split())


def test_clauses_are_sentences_of_the_page():
    with open(os.path.join(os.environ["SOURCE_ROOT"], "docs/protocol.md")) as f:
        page = f.read()
    sections = plain(page).lower()
    for c in program.all_of_them:
        check(plain(c.text) in plain(page), f"not in the page: {c.text}")
        check(f"# {c.section}".lower() in sections, f"no section: {c.section}")
    headings = set(re.findall(r"^##+ (.*)$", page, re.M))
    check(headings == {c.section for c in program.all_of_them}, "a section without a clause")


def run(path, *options):
    return subprocess.run(
        [sys.executable, "-m", "virtualnet.conformance", "--socket", path, *options], text=True,
        capture_output=True, timeout=harness.PATIENCE,
        env={**os.environ, "PYTHONPATH": os.environ["PYTHON_PACKAGE"]})


def expect_kept(d, not_judged, *options):
    p = run(d.socket_path, *options)
    check(p.returncode == 0 and " 0 NOT KEPT" in p.stdout, p.stdout + p.stderr)
    check(f" {not_judged} not judged" in p.stdout, p.stdout)
    return p.stdout


def test_the_daemon_keeps_them():
    with harness.Daemon(harness.store("small")) as d:
        said = expect_kept(d, 0, "--reload", "--trace")
        check("> 00 00 00 04 08 07 22 00" in said, "the trace lacks the page's example")
        expect_kept(d, 2)
        lines = run(d.socket_path, "--only", "Cancel", "--json").stdout.splitlines()
        check(lines and all('"outcome": "kept"' in line for line in lines), str(lines))
    with harness.Daemon(harness.store("tiny"), workers=3) as d:
        expect_kept(d, 0, "--reload")


def test_small_limits_and_other_users():
    with harness.Daemon(harness.store("small"), connection_inflight_limit=2, queue_limit=1) as d:
        expect_kept(d, 0, "--reload")
    with harness.Daemon(harness.store("small"), frame_limit_bytes=65536, access_admin=[],
                        access_status=[], access_control=[]) as d:
        said = expect_kept(d, 6, "--reload")
        check("not for uid" in said, said)


def test_several_stores():
    """Whoever is meant without a name: the default one, the only other one, or nobody."""
    stores = {"twin": harness.store("small", "twin"), "tiny": harness.store("tiny"),
              "other": harness.store("small", "other"), "gone": "/nonexistent/store"}
    stores = {name: {"store_path": path} for name, path in stores.items()}
    with harness.Daemon(harness.store("small"), stores=stores) as d:
        expect_kept(d, 0, "--reload")
    with harness.Daemon(harness.store("tiny"), stores=stores, store_name="first") as d:
        expect_kept(d, 0, "--reload")
        check(not_kept(Between(d, answers_for_another)), "the store's name is not looked at")


def test_no_daemon():
    p = run("/nonexistent/socket")
    check(p.returncode == 2 and "/nonexistent/socket" in p.stderr, p.stderr)
    check(len(run("", "--list").stdout.splitlines()) == len(program.all_of_them), "--list")


# ---- daemons that are not right ----


class Between:
    """Passes everything on between clients and a daemon, but for what `wrong` does to answers, and
    `with_descriptors` to what comes with requests."""

    def __init__(self, daemon, wrong=None, with_descriptors=None, stays_open=False):
        self.target = daemon.socket_path
        self.wrong = wrong or (lambda r: [r])
        self.with_descriptors = with_descriptors or (lambda fds: fds)
        self.stays_open = stays_open
        self.path = os.path.join(tempfile.mkdtemp(dir=harness.folder()), "s")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(100)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            daemon = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            daemon.connect(self.target)
            for work in (self._requests, self._answers):
                threading.Thread(target=work, args=(client, daemon), daemon=True).start()

    def _requests(self, client, daemon):
        try:
            while True:
                data, fds, _, _ = socket.recv_fds(client, 1 << 16, 4)
                if not data:
                    break
                passed = self.with_descriptors(fds)
                control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", passed))]
                n = daemon.sendmsg([data], control if passed else [])
                daemon.sendall(data[n:])
                for fd in fds:
                    os.close(fd)
            daemon.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _answers(self, client, daemon):
        try:
            while header := daemon.recv(4, socket.MSG_WAITALL):
                (length,) = struct.unpack(">I", header)
                response = pb.Response()
                response.ParseFromString(daemon.recv(length, socket.MSG_WAITALL))
                for r in self.wrong(response):
                    client.sendall(harness.frame(r))
        except OSError:
            pass
        if not self.stays_open:
            client.shutdown(socket.SHUT_RDWR)


def other_id(r):
    r.id ^= r.HasField("infer")
    return [r]


def twice(r):
    return [r, r] if r.id == 2**63 else [r]


def lost(r):
    return [] if r.id == 2**32 else [r]


def worst_first(r):
    if r.HasField("infer"):
        labels = list(r.infer.label)[::-1]
        del r.infer.label[:]
        r.infer.label.extend(labels)
    return [r]


def needs_more(r):
    if r.error.code == pb.BUDGET_TOO_SMALL:
        r.error.needed_bytes += 1
    return [r]


def no_sentence(r):
    if r.error.code == pb.BAD_IMAGE:
        r.error.message = ""
    return [r]


def never_supersedes(r):
    if r.error.code == pb.SUPERSEDED:
        r.error.code = pb.INTERNAL
    return [r]


def short_path(r):
    if r.HasField("infer"):
        del r.infer.level[:1]
    return [r]


def answers_for_another(r):
    if r.HasField("infer"):
        r.infer.store = "other"
    return [r]


def counts_more(r):
    if r.HasField("cancel"):
        r.cancel.requests += 1
    return [r]


def sealed_on_the_way(fds):
    for fd in fds:
        try:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        except OSError:
            pass
    return fds


def not_kept(between, only="", patience=60.0):
    """The clauses that are not kept, by name of their function."""
    wire.PATIENCE_S = patience
    d = wire.Daemon(between.path)
    played = {c.play.__name__: program.play(c, d, False) for c in program.all_of_them
              if only in c.play.__name__}
    return {name: why for name, (outcome, why) in played.items() if outcome == "NOT KEPT"}


def test_mistakes_are_found():
    mistakes = {
        other_id: {"one_answer_each", "answers"}, twice: {"one_answer_each"},
        worst_first: {"top_k"}, needs_more: {"budgets", "levels"},
        no_sentence: {"bad_images", "bad_ones"}, short_path: {"answers", "plans"},
        counts_more: {"cancels"},
    }
    with harness.Daemon(harness.store("large")) as d:  # a run takes longer than to ask for eight
        check(not_kept(Between(d, never_supersedes), "streams"), "SUPERSEDED is not looked for")
    with harness.Daemon(harness.store("small")) as d:
        found = not_kept(Between(d))
        check(not found, f"right as it is, and yet: {found}")
        for mistake, clauses in mistakes.items():
            found = not_kept(Between(d, mistake))
            check(clauses <= set(found), f"{mistake.__name__}: found {found}")
        check(not_kept(Between(d, with_descriptors=lambda fds: []), "good_ones"),
              "descriptors may be lost")
        found = not_kept(Between(d, with_descriptors=sealed_on_the_way))
        check(set(found) == {"bad_ones"}, f"takes what is not sealed: {found}")
        check(not_kept(Between(d, lost), "one_answer", 1.0), "an answer may be lost")
        for clause in ("bad_frames", "descriptors_that_make_no_sense"):
            found = not_kept(Between(d, stays_open=True), clause, 1.0)
            check("stays open" in found[clause], f"{clause}: {found}")


harness.main(sys.modules[__name__])
