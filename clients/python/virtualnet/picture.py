"""Pictures on their way to the daemon. Large ones are put into a memfd that the daemon maps, and do
not go through the socket. That is only a faster way: whatever fails, pixels go into the request."""

from __future__ import annotations

import fcntl
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from . import virtualnet_pb2 as _pb

MEMFD_BYTES_MIN = 196608  # where that begins to pay
MEMFDS_MAX = 16  # in flight: descriptors are scarce, and the daemon takes no more at once


class Picture:
    """header: an Image without pixels; pixels: what belongs there."""

    def __init__(self, image: npt.ArrayLike) -> None:
        array = np.asarray(image)
        if array.dtype != np.uint8:
            raise ValueError(
                f"an image is an array of uint8, 0 .. 255, not {array.dtype}; scale and convert it"
            )
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[:, :, 0]
        if array.ndim == 2:
            pixel_format = _pb.GRAY8
        elif array.ndim == 3 and array.shape[2] == 3:
            pixel_format = _pb.RGB8
        else:
            raise ValueError(
                f"an image has the shape (height, width) or (height, width, 3), not {array.shape}"
            )
        height, width = array.shape[:2]
        self.header = _pb.Image(format=pixel_format, width=width, height=height)
        self.pixels = np.ascontiguousarray(array).reshape(-1).data


class Memfd:
    """Shared memory for one picture at a time. request: the one that it belongs to now, without
    pixels."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.request: Any = None
        self.fd = os.memfd_create("virtualnet", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.truncate(self.fd, size)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        os.close(self.fd)

    def write(self, pixels: memoryview) -> None:
        done = 0
        while done < len(pixels):
            done += os.pwrite(self.fd, pixels[done:], done)

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += os.pread(self.fd, size - len(data), len(data))
        return data


class Memfds:
    """Those of a connection: of calls in flight, and one for the next, as the last was."""

    def __init__(self) -> None:
        self.wanted = True  # until the daemon does not take them
        self._idle: Memfd | None = None
        self._held: dict[int, Memfd] = {}

    def fill(self, call: int, picture: Picture, request: Any) -> int | None:
        """Puts the pixels into one; returns a descriptor for the daemon, which the caller closes.
        None: they are better sent in the request."""
        size = len(picture.pixels)
        if not self.wanted or size < MEMFD_BYTES_MIN or len(self._held) >= MEMFDS_MAX:
            return None
        try:
            memfd = self._take(size)
            try:
                memfd.write(picture.pixels)
                passed = os.dup(memfd.fd)
            except OSError:
                memfd.close()
                raise
        except OSError:
            return None
        memfd.request = request
        self._held[call] = memfd
        return passed

    def _take(self, size: int) -> Memfd:
        memfd, self._idle = self._idle, None
        if memfd and memfd.size // 2 <= size <= memfd.size:
            return memfd
        if memfd:
            memfd.close()
        return Memfd(size)

    def inline(self, call: int) -> Any:
        """The daemon does not like the call's image, as one that knows no memfds: the request with
        its pixels, or None when it had them. From now on there are no memfds."""
        memfd = self._held.pop(call, None)
        if not memfd:
            return None
        self.wanted = False
        image = getattr(memfd.request, memfd.request.WhichOneof("call")).image
        image.pixels = memfd.read(image.memfd_bytes)
        image.memfd_bytes = 0
        memfd.close()
        return memfd.request

    def answered(self, call: int) -> None:
        """The daemon has read the call's picture."""
        memfd = self._held.pop(call, None)
        if memfd and self._idle:
            memfd.close()
        elif memfd:
            self._idle = memfd

    def forget_all(self) -> None:
        """The daemon may still read those of calls in flight: they are not used again."""
        for memfd in self._held.values():
            memfd.close()
        self._held.clear()

    def close(self) -> None:
        self.forget_all()
        if self._idle:
            self._idle.close()
        self._idle = None
