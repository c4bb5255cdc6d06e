"""A daemon to which things happen (inject.c), and the switches for it."""

import mmap
import os
import struct
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["SOURCE_ROOT"], "tests/daemon"))

import harness  # noqa: E402

NAMES = ("allocation", "in_a_row", "allocations", "failed", "bytes_once", "interrupted", "calls",
         "accept_errno", "thread_errno", "map_errno")


class Faults:
    """faults.allocation = 3 and so on; the counts are read the same way."""

    def __init__(self):
        descriptor, path = tempfile.mkstemp(dir=harness.folder())
        os.truncate(descriptor, 4096)
        self.__dict__["path"] = path
        self.__dict__["map"] = mmap.mmap(descriptor, 4096)
        os.close(descriptor)

    def __getattr__(self, name):
        return struct.unpack_from("I", self.map, 4 * NAMES.index(name))[0]

    def __setattr__(self, name, value):
        struct.pack_into("I", self.map, 4 * NAMES.index(name), value)

    def none(self):
        """Nothing fails any more."""
        for name in NAMES:
            setattr(self, name, 0)

    def fail_allocation(self, n, in_a_row=0):
        self.none()
        self.in_a_row = in_a_row
        self.allocation = n


class Injected(harness.Daemon):
    """A daemon with `faults`."""

    def __init__(self, store_path, env=None, **config):
        self.faults = Faults()
        plain = os.environ["VIRTUALNETD"]
        os.environ["VIRTUALNETD"] = os.environ["VIRTUALNETD_FAULTS"]
        try:
            env = {**(env or {}), "VIRTUALNETD_FAULTS_FILE": self.faults.path}
            super().__init__(store_path, env=env, **config)
        finally:
            os.environ["VIRTUALNETD"] = plain

    def stop(self, *arguments, **options):
        self.faults.none()
        super().stop(*arguments, **options)
