"""Reload: beside the running store, switched when it is ready, and never at its cost."""

import os
import signal
import sys
import threading

from harness import (Daemon, check, counters, expect_error, folder, image, infer, main, pb, store,
                     until)


def live():
    """A path of its own for a store that is replaced."""
    return os.path.join(folder(), "live.safetensors")


def replace(source, change=lambda data: data):
    """As stores are replaced: written beside, then renamed."""
    with open(source, "rb") as f:
        data = f.read()
    with open(live() + ".new", "wb") as f:
        f.write(change(data))
    os.rename(live() + ".new", live())


def name_of(c):
    return c.call(describe=pb.DescribeRequest()).describe.store


def test_reload_by_call():
    replace(store("small"))
    with Daemon(live()) as d, d.connect() as c:
        replace(store("small", "newer"))
        check(name_of(c) == "small", "not before it is asked")
        r = c.call(reload=pb.ReloadRequest())
        check(r.reload.store == "newer", str(r))
        check(r.reload.file_bytes == os.path.getsize(live()), str(r))
        check(name_of(c) == "newer", "describe")
        check(c.call(infer=infer("garment", image(28, 28))).infer.label, "no answer")
        check(counters(d.status())["reload_ok"] == 1, "count")


def test_reload_by_signal():
    replace(store("small"))
    with Daemon(live()) as d, d.connect() as c:
        replace(store("small", "newer"))
        d.process.send_signal(signal.SIGHUP)
        until(lambda: name_of(c) == "newer")


def test_broken_store_is_not_loaded():
    replace(store("small"))
    size = os.path.getsize(live())

    def flipped(at):
        return lambda data: data[:at] + bytes([data[at] ^ 4]) + data[at + 1:]

    broken = [lambda data: data[:size // 2], lambda data: b"", lambda data: data[:-1],
              flipped(12), flipped(size // 2), flipped(size - 1), lambda data: b"x" * 1000]
    with Daemon(live(), verify_store="load") as d, d.connect() as c:
        before = c.call(infer=infer("garment", image(28, 28), top_k=10)).infer.label
        for change in broken:
            replace(store("small"), change)
            c.error(pb.RELOAD_FAILED, "live.safetensors", "the running store stays",
                    reload=pb.ReloadRequest())
            after = c.call(infer=infer("garment", image(28, 28), top_k=10)).infer.label
            check(before == after, "the running store was touched")
        os.unlink(live())
        c.error(pb.RELOAD_FAILED, "No such file", reload=pb.ReloadRequest())
        d.process.send_signal(signal.SIGHUP)
        until(lambda: d.log.count(b"the running store stays") == len(broken) + 2)
        replace(store("small", "newer"))
        check(c.call(reload=pb.ReloadRequest()).reload.store == "newer", "a good one is loaded")


def test_store_that_does_not_fit_the_configuration():
    replace(store("small"))
    with Daemon(live(), task_budgets={"warm": 10 ** 9}) as d, d.connect() as c:
        replace(store("large"))
        c.error(pb.RELOAD_FAILED, "warm", "it has big", reload=pb.ReloadRequest())
        check(name_of(c) == "small", "the running store")


def test_requests_go_on_during_reloads():
    """Every request is answered, by the store under which it was accepted."""
    replace(store("small"))
    with Daemon(live(), workers=2) as d:
        done, failures = threading.Event(), []

        def client():
            with d.connect() as c:
                while not done.is_set():
                    r = c.call(infer=infer("garment", image(28, 28), level=[4] * 4))
                    if r.WhichOneof("result") != "infer":
                        failures.append(str(r))

        threads = [threading.Thread(target=client) for _ in range(3)]
        for t in threads:
            t.start()
        with d.connect() as c:
            for i in range(10):
                replace(store("small", "newer" if i % 2 else "small"))
                check(c.call(reload=pb.ReloadRequest()).reload.store, "reload")
        done.set()
        for t in threads:
            t.join()
        check(not failures, failures[:1])


def maps(d):
    """Bytes of the store's file that are mapped."""
    with open(f"/proc/{d.process.pid}/maps") as f:
        ranges = [line.split()[0].split("-") for line in f if "safetensors" in line]
    return sum(int(end, 16) - int(start, 16) for start, end in ranges)


def test_old_store_is_let_go():
    replace(store("small"))
    with Daemon(live()) as d, d.connect() as c:
        c.call(reload=pb.ReloadRequest())
        before = d.descriptors(), maps(d)
        check(before[1] > 0, "no map")
        for _ in range(20):
            c.call(reload=pb.ReloadRequest())
        after = d.descriptors(), maps(d)
        check(after == before, f"descriptors and mapped bytes: {before}, after 20 reloads {after}")


def test_queued_requests_keep_their_store():
    """A request that waits while the store is switched is answered by the old one."""
    replace(store("large"))
    with Daemon(live(), default_budget_bytes=30000000) as d, d.connect() as c, d.connect() as admin:
        replace(store("small"))
        for _ in range(4):
            c.send_bytes(c.request(infer=infer("big", image(8, 8), level=[8] * 6)))
        until(lambda: d.status().running == 1)
        r = admin.call(reload=pb.ReloadRequest())
        # 30000000 bytes are more than every path of the small store needs: it fits.
        check(r.reload.store == "small", str(r))
        for _ in range(4):
            check(c.receive().infer.task == "big", "answered by the wrong store")
        c.error(pb.UNKNOWN_TASK, "garment", infer=infer("big", image(8, 8)))


def test_one_reload_at_a_time():
    replace(store("large"))
    with Daemon(live(), default_budget_bytes=30000000) as d, d.connect() as c:
        c.send_bytes(c.request(reload=pb.ReloadRequest(), id=1) +
                     c.request(reload=pb.ReloadRequest(), id=2))
        replies = {r.id: r for r in (c.receive(), c.receive())}
        e = expect_error(replies[2], pb.BUSY, "a reload is running")
        check((e.limit_name, e.limit, e.current) == ("reloads", 1, 1), str(e))
        check(replies[1].reload.store == "large", str(replies[1]))


def test_asker_goes_away():
    replace(store("large"))
    with Daemon(live(), default_budget_bytes=30000000) as d:
        with d.connect() as c:
            c.send_bytes(c.request(reload=pb.ReloadRequest()))
        until(lambda: b"reloaded" in d.log)
        check(counters(d.status())["abandoned"] == 1, "count")


def test_reload_is_for_the_owner():
    if os.geteuid():
        return  # needs another user to ask
    replace(store("small"))
    with Daemon(live(), socket_mode="0666") as d:
        os.chmod(folder(), 0o755)
        os.chmod(d.folder, 0o755)
        pid = os.fork()
        if not pid:
            try:
                os.setgid(65534)
                os.setuid(65534)
                with d.connect() as c:
                    c.error(pb.NOT_ALLOWED, "uid 65534", reload=pb.ReloadRequest())
                    check(c.call(infer=infer("garment", image(28, 28))).infer.label, "no answer")
                os._exit(0)
            finally:
                os._exit(1)
        check(os.waitpid(pid, 0)[1] == 0, "the other user's test failed")


def test_stop_during_a_reload():
    replace(store("large"))
    with Daemon(live(), default_budget_bytes=30000000) as d:
        with d.connect() as c:
            c.send_bytes(c.request(reload=pb.ReloadRequest()))
            d.process.send_signal(signal.SIGTERM)
            check(d.wait() == 0, "exit status")


main(sys.modules[__name__])
