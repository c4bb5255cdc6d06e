"""Everything at once, for VN_LOAD_SECONDS (5): requests of all kinds on several workers, readers of
status and metrics, reloads, cancels, streams, and clients that leave in the middle. Made for the
ThreadSanitizer build; in any build no accepted request may go without its answer, and the counters
must add up."""

import os
import random
import shutil
import socket
import sys
import threading
import time

from harness import (Closed, Daemon, check, counters, folder, image, infer, main, pb, store, until)

SECONDS = float(os.environ.get("VN_LOAD_SECONDS", "5"))
EVENTS = ("requests_received", "connections", "slow_")
ENDS = ("error", "infer", "describe", "status", "cancel")


class Load:
    def __init__(self, daemon, metrics):
        self.daemon, self.metrics = daemon, metrics
        self.end = time.monotonic() + SECONDS
        self.answers, self.failures, self.lock = 0, [], threading.Lock()

    def run(self, *jobs):
        threads = [threading.Thread(target=self.keep_at, args=(job, i))
                   for i, job in enumerate(jobs)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for e in self.failures:
            raise e

    def keep_at(self, job, seed):
        rng = random.Random(seed)
        try:
            while time.monotonic() < self.end:
                job(rng)
        except Exception as e:
            self.failures.append(e)

    def count(self, n):
        with self.lock:
            self.answers += n

    def request(self, rng):
        kind = rng.randrange(8)
        call = infer(rng.choice(("garment", "digit", "warm")), image(28, 28, seed=rng.randrange(9)),
                     budget_bytes=rng.choice((0, 0, 10, 400000, 700000)),
                     deadline_ms=rng.choice((0, 0, 0, 1, 50)), stream=rng.choice(("", "", "s")),
                     replace=rng.randrange(2) == 0, store=rng.choice(("", "", "beside", "none")),
                     request_class=rng.choice((pb.CONTROL, pb.BULK)))
        if kind == 0:
            return {"plan": call}
        if kind == 1:
            return {"describe": pb.DescribeRequest(store=call.store)}
        if kind == 2:
            return {"status": pb.StatusRequest(store=call.store)}
        if kind == 3:
            return {"cancel": pb.CancelRequest(id=rng.randrange(1, 200))}
        return {"infer": call}

    def good_client(self, rng):
        """Asks for many things at once, and wants each answered once."""
        with self.daemon.connect() as c:
            for _ in range(20):
                n = rng.randrange(1, 12)
                first = c.next_id
                c.send_bytes(b"".join(c.request(**self.request(rng)) for _ in range(n)))
                replies = [c.receive() for _ in range(n)]
                check(sorted(r.id for r in replies) == list(range(first, first + n)), "ids")
                for r in replies:
                    check(r.WhichOneof("result") in ENDS, str(r)[:300])
                self.count(n)

    def bad_client(self, rng):
        """Leaves in the middle, or sends what is no request."""
        with self.daemon.connect() as c:
            data = b"".join(c.request(**self.request(rng)) for _ in range(rng.randrange(1, 10)))
            try:
                c.send_bytes(data[:rng.randrange(len(data))])
                if rng.randrange(3) == 0:
                    c.send_bytes(rng.randbytes(100))
                if rng.randrange(3) == 0:
                    c.socket.settimeout(0.05)
                    c.receive()
            except (Closed, OSError, ValueError):
                pass

    def reloader(self, rng):
        """Another file under a running store: for a change, a broken one."""
        name = rng.choice(("", "beside"))
        path = self.daemon.stores[name]
        shutil.copy(rng.choice((store("small"), store("small", "other"), __file__)), path + ".new")
        os.rename(path + ".new", path)
        with self.daemon.connect() as c:
            every = rng.randrange(3) == 0
            r = c.call(reload=pb.ReloadRequest(store="" if every else name, all=every))
            check(r.WhichOneof("result") == "reload" or r.error.code in (pb.RELOAD_FAILED, pb.BUSY),
                  str(r))
        self.count(1)
        time.sleep(0.05)

    def scraper(self, rng):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.metrics)
            s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            if rng.randrange(4):
                s.settimeout(60)
                data = b""
                while part := s.recv(65536):
                    data += part
                check(data.startswith(b"HTTP/1.0 200") and data.endswith(b"\n"), repr(data[:99]))
        time.sleep(0.01)


def held(path, beside):
    with Daemon(path, stores={"beside": {"store_path": beside}}, workers=3,
                compute_threads=2) as d:
        return d.status().accounted_bytes


def test_everything_at_once():
    path, beside = (os.path.join(folder("load"), name) for name in ("store", "beside"))
    metrics = os.path.join(folder("load"), "metrics")
    for p in (path, beside):
        shutil.copy(store("small"), p)
    with Daemon(path, stores={"beside": {"store_path": beside}}, workers=3, compute_threads=2,
                queue_limit=24, connections_limit=1000, uid_connections_per_s=1000000,
                memory_limit_bytes=held(path, beside) + 2000000,
                metrics_socket=metrics, log_level="debug",
                metrics_file=metrics + ".prom", metrics_interval_ms=100) as d:
        d.stores = {"": path, "beside": beside}
        load = Load(d, metrics)
        load.run(load.good_client, load.good_client, load.good_client, load.bad_client,
                 load.bad_client, load.reloader, load.scraper)
        until(lambda: d.status().running == 0)
        n = counters(d.status())
        ended = sum(v for k, v in n.items() if not k.startswith(EVENTS))
        check(n["requests_received"] == ended + 1, str(n))  # the status that asks
        check(n["infer_ok"] > 0 and n["reload_ok"] > 0 and load.answers > 50, f"{n} {load.answers}")
        check(n["unknown_store"] > 0, str(n))
        print(f"{n['requests_received']} requests, {load.answers} answers that were waited for")


main(sys.modules[__name__])
