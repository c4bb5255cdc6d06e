"""Writes the first files of the corpora, from which the fuzzers begin. What they found since lies
beside, under names that are hashes.

    make_corpus.py CORPUS MAKE_STORE FOLDER-OF-virtualnet_pb2 SOURCE-ROOT"""

import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib

corpus, make_store, pb_folder, root = sys.argv[1:]
sys.path.insert(0, pb_folder)
import virtualnet_pb2 as pb  # noqa: E402


def write(target, name, data):
    folder = os.path.join(corpus, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def frame(message):
    data = message.SerializeToString()
    return struct.pack(">I", len(data)) + data


def requests():
    image = pb.Image(format=pb.GRAY8, width=4, height=4, pixels=bytes(range(16)))
    rgb = pb.Image(format=pb.RGB8, width=2, height=3, stride=8, pixels=bytes(22))
    there = pb.Image(format=pb.GRAY8, width=4, height=4, memfd_offset=4095, memfd_bytes=16)
    end = pb.Image(format=pb.RGB8, width=64, height=64, memfd_bytes=12288)
    calls = {
        "infer": {"infer": pb.InferRequest(task="t", image=image, budget_bytes=300000, top_k=2)},
        "path": {"infer": pb.InferRequest(task="t", image=rgb, level=[2], deadline_ms=50)},
        "plan": {"plan": pb.InferRequest(thrift=0.5, uniform=True)},
        "describe": {"describe": pb.DescribeRequest(task="t")},
        "status": {"status": pb.StatusRequest()},
        "reload": {"reload": pb.ReloadRequest()},
        "store": {"infer": pb.InferRequest(task="t", image=image, store="b")},
        "memfd": {"infer": pb.InferRequest(task="t", image=there)},
        "memfd-end": {"plan": pb.InferRequest(task="t", image=end)},
        "cancel": {"cancel": pb.CancelRequest(id=7)},
        "cancel-nothing": {"cancel": pb.CancelRequest()},
        "stream": {"infer": pb.InferRequest(task="t", image=image, stream="front")},
        "replace": {"infer": pb.InferRequest(task="t", image=image, stream="front", replace=True)},
        "replace-nothing": {"infer": pb.InferRequest(task="t", image=image, replace=True)},
        "long-stream": {"plan": pb.InferRequest(task="t", stream="x" * 65)},
        "control": {"infer": pb.InferRequest(task="t", image=image, request_class=pb.CONTROL,
                                             deadline_at_ns=1 << 62)},
        "bulk": {"plan": pb.InferRequest(task="t", request_class=pb.BULK, deadline_at_ns=1)},
        "no-class": {"infer": pb.InferRequest(task="t", image=image, request_class=3)},
        "no-store": {"plan": pb.InferRequest(task="u", store="gone")},
    }
    for name, call in calls.items():
        write("request", name, frame(pb.Request(id=7, **call)))
    write("request", "all", b"".join(frame(pb.Request(id=i, **c))
                                     for i, c in enumerate(calls.values())))


def replies():
    costs = pb.Bytes(total=3, params=1, params_resident=2, scratch=1)
    times = [pb.Times(phase="queue", sum_ns=5, count=[1, 2, 3])]
    replies = [
        {"infer": pb.InferResponse(task="t", label=[pb.Label(index=1, name="b", probability=0.5)],
                                   level=[1], bytes=costs, decided_by="uniform")},
        {"describe": pb.DescribeResponse(store="s", blocks=1, groups=2, task=[
            pb.Task(name="t", label=["a", "b"], order=[0, 1], smallest=costs, largest=costs,
                    measured=[pb.Measured(by="uniform", accuracy=0.5)])], known=[
            pb.Store(name="a", loaded=True, network="s", task=["t"]), pb.Store(name="b")])},
        {"status": pb.StatusResponse(version="1", counter=[pb.Counter(name="busy", value=1)],
                                     bucket_ns=[1, 2], task=[
            pb.TaskStatus(name="t", runs=1, level_sum=[2], times=times)],
                                     store_status=[pb.StoreStatus(name="a", loads=1)])},
        {"reload": pb.ReloadResponse(store="s", file_bytes=5, name="a")},
        {"error": pb.Error(code=pb.BUSY, message="full", limit_name="queue_limit", limit=1)},
    ]
    for i, r in enumerate(replies, 1):
        write("reply", list(r)[0], frame(pb.Response(id=i, **r)))
    write("reply", "all", b"".join(frame(pb.Response(id=i, **r)) for i, r in enumerate(replies, 1)))


def texts():
    write("config", "empty", b"{}")
    write("config", "some", b'{"workers": 2, "task_budgets": {"t": 5}, "verify_store": false,\n'
                            b' "socket_mode": "0600", "log_level": "debug"}')
    write("config", "stores", b'{"stores": {"b": {"store_path": "/b", "verify_store": "never",\n'
                              b' "default_budget_bytes": 7, "task_budgets": {"t": 5}}}}')
    write("config", "access", b'{"access_infer": ["*", "gid:1000"],\n'
                              b' "access_control": ["user:root"], "access_status": [],\n'
                              b' "access_admin": ["uid:0", "daemon", "group:root"]}')
    write("config", "access-unknown", b'{"access_infer": ["user:nobody-of-that-name"]}')
    write("config", "access-wrong", b'{"access_admin": ["uid:-1", "gid:4294967296", "root", 5]}')
    write("config", "uid-limits", b'{"uid_connections_limit": 8, "uid_connections_per_s": 10,\n'
                                  b' "uid_inflight_limit": 4, "uid_queue_limit_bytes": 100000,\n'
                                  b' "uid_input_limit_bytes": 0, "uid_reply_backlog_bytes": 4096,\n'
                                  b' "uid_limits": {"1000": {"uid_connections_limit": 4},\n'
                                  b' "0": {"uid_inflight_limit": 8, "uid_connections_per_s": 5}}}')
    write("config", "uid-limits-wrong", b'{"uid_limits": {"robot": {}, "01": {"uid_x": 1},\n'
                                        b' "4294967295": {"uid_inflight_limit": 65537}}}')
    write("config", "wrong", b'{"workers": 0, "wokers": 1}')
    for name in ("fashion-mnist", "cifar100-20"):
        shutil.copy(os.path.join(root, "models", name, "config.json"),
                    os.path.join(corpus, "training", name))


def images():
    for name, head, length in (
            ("gray", (1, 0, 0, 1, 3, 3, 4, 4, 0), 16), ("crop", (2, 1, 1, 1, 7, 5, 9, 3, 30), 90),
            ("bgr", (2, 2, 0, 1, 63, 63, 1, 1, 0), 3), ("format", (9, 0, 0, 0, 1, 1, 2, 2, 0), 4)):
        write("image", name, struct.pack("<6B3H", *head) + bytes(range(length)))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pictures():
    rows = zlib.compress(b"".join(b"\0" + bytes([i, 2 * i, 3 * i]) * 3 for i in range(3)))
    write("picture", "png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
        ">IIBBBBB", 3, 3, 8, 2, 0, 0, 0)) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    write("picture", "pgm", b"P5\n3 2\n255\nabcdef")
    write("picture", "ppm", b"P3 # text\n1 2 15\n1 2 3 15 15 15\n")


def data_sets():
    def both(kind, labels, images):
        return bytes([kind]) + struct.pack(">H", len(labels)) + labels + images

    labels = struct.pack(">II", 0x801, 6) + bytes([0, 1, 2, 0, 1, 2])
    pixels = struct.pack(">IIII", 0x803, 6, 2, 2) + bytes(range(24))
    write("data", "idx", both(0, labels, pixels))
    write("data", "idx-gz", both(0, gzip.compress(labels, mtime=0), gzip.compress(pixels, mtime=0)))
    write("data", "cifar10", both(1, b"", bytes([3]) + bytes(3072)))
    write("data", "cifar100", both(2, b"", bytes([1, 4]) + bytes(3072)))
    write("data", "stl10", both(3, bytes([1]), bytes(27648)))


def stores():
    os.makedirs(os.path.join(corpus, "store"), exist_ok=True)
    for agent in ("shared", "uniform", "task", "conv"):
        subprocess.run([make_store, os.path.join(corpus, "store", agent), "tiny", "tiny", agent],
                       check=True)
        with open(os.path.join(corpus, "store", agent), "rb") as f:
            data = f.read()
        end = 8 + struct.unpack("<Q", data[:8])[0]
        # One whole store is enough; of the others, what they say of their network.
        if agent != "shared":
            os.unlink(os.path.join(corpus, "store", agent))
        write("store", agent + "-network",
              json.loads(data[8:end])["__metadata__"]["network"].encode())


os.makedirs(os.path.join(corpus, "training"), exist_ok=True)
for make in (requests, replies, texts, images, pictures, data_sets, stores):
    make()
