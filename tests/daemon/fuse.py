"""A file system of the test's own (FUSE, spoken directly) with one file, whose close() waits for
ever: until the file system is gone."""

import ctypes
import os
import struct
import tempfile
import threading

INIT, LOOKUP, GETATTR, OPEN, FLUSH, FORGET, RELEASE = 26, 1, 3, 14, 25, 2, 18
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def possible():
    return os.geteuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK) and _try()


def _try():
    try:
        with Stuck():
            return True
    except OSError:
        return False


def _attributes(node):
    mode = 0o40755 if node == 1 else 0o100644
    return struct.pack("<6Q10I", node, 4096, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


class Stuck:
    """with Stuck() as s: s.open() is a descriptor of that file."""

    def __init__(self):
        self.flushed = threading.Event()
        self.folder = tempfile.mkdtemp()
        self.device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0"
        if _libc.mount(b"stuck", self.folder.encode(), b"fuse", 0, options.encode()):
            error = ctypes.get_errno()
            os.close(self.device)
            os.rmdir(self.folder)
            raise OSError(error, "mount")
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Aborts it: whoever waits goes on, with an error."""
        self._abort(os.minor(os.stat(self.folder).st_dev))
        _libc.umount2(self.folder.encode(), MNT_DETACH)
        os.rmdir(self.folder)

    def _abort(self, number):
        with tempfile.TemporaryDirectory() as control:
            if _libc.mount(b"none", control.encode(), b"fusectl", 0, None):
                raise OSError(ctypes.get_errno(), "mount of fusectl")
            try:
                with open(f"{control}/{number}/abort", "w") as f:
                    f.write("1")
            finally:
                _libc.umount2(control.encode(), MNT_DETACH)

    def open(self):
        """A descriptor that this process leaves open: here, too, closing it would wait."""
        return os.open(os.path.join(self.folder, "file"), os.O_RDONLY)

    def wait_for_close(self):
        return self.flushed.wait(60)

    def _serve(self):
        while True:
            try:
                request = os.read(self.device, 1 << 17)
            except OSError:
                return
            _, code, unique, node = struct.unpack_from("<IIQQ", request)
            if code == FLUSH:
                self.flushed.set()
            elif code != FORGET:
                data, error = self._answer(code, node)
                os.write(self.device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)

    def _answer(self, code, node):
        forever = struct.pack("<QII", 1 << 30, 0, 0)
        if code == INIT:
            return struct.pack("<4I2H2I", 7, 31, 0, 0, 0, 0, 4096, 0) + bytes(36), 0
        if code == LOOKUP:
            return struct.pack("<QQQQII", 2, 0, 1 << 30, 1 << 30, 0, 0) + _attributes(2), 0
        if code == GETATTR:
            return forever + _attributes(node), 0
        if code == OPEN:
            return struct.pack("<QII", 0, 0, 0), 0
        return b"", 0 if code == RELEASE else -38
