"""A daemon that the test plays itself: answers on a private socket with whatever bytes it is told.

    with Fake(lambda connection: connection.sendall(b"garbage")) as fake:
        virtualnet.Client(fake.path) ...

The handler runs in a thread per connection; what it raises fails the test at the block's end."""

import os
import shutil
import socket
import struct
import tempfile
import threading

from virtualnet import virtualnet_pb2 as pb


def frame(message):
    data = message if isinstance(message, bytes) else message.SerializeToString()
    return struct.pack(">I", len(data)) + data


def receive(connection):
    """One request, or None at the end of the stream."""
    header = connection.recv(4, socket.MSG_WAITALL)
    if len(header) < 4:
        return None
    (length,) = struct.unpack(">I", header)
    request = pb.Request()
    request.ParseFromString(connection.recv(length, socket.MSG_WAITALL) if length else b"")
    return request


def answer(id, name="label", probability=0.5):
    label = pb.Label(name=name, probability=probability)
    return pb.Response(id=id, infer=pb.InferResponse(task="t", label=[label]))


def all_but_the_first_are_busy(connection):
    """Reads what is sent ahead and answers all of it in one write: with one answer, and then BUSY,
    because that one was in the way. What comes alone later is answered."""
    requests = [receive(connection) for _ in range(4)]
    error = pb.Error(code=pb.BUSY, message="full", limit_name="queue", limit=1, current=1)
    connection.sendall(b"".join(
        [frame(answer(requests[0].id))] +
        [frame(pb.Response(id=r.id, error=error)) for r in requests[1:]]))
    while (r := receive(connection)) is not None:
        connection.sendall(frame(answer(r.id)))


class Fake:
    def __init__(self, handler):
        self.folder = tempfile.mkdtemp()
        self.path = os.path.join(self.folder, "s")
        self.handler = handler
        self.failure = None
        self.threads = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind, *_):
        self.listener.close()
        for thread in self.threads:
            thread.join(10)
        shutil.rmtree(self.folder)
        if self.failure and not kind:
            raise self.failure

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with connection:
            try:
                self.handler(connection)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client left first
            except Exception as e:
                self.failure = e
