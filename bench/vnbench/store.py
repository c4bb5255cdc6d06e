"""A store as numpy sees it (docs/VIRTUALNET.md): the description, and every tensor from a map of
the file."""
import json

import numpy as np


class Store:
    def __init__(self, file):
        raw = np.memmap(file, dtype=np.uint8, mode="r")
        n = int.from_bytes(raw[:8].tobytes(), "little")
        header = json.loads(raw[8:8 + n].tobytes())
        metadata = header.pop("__metadata__")
        if metadata["format"] != "virtualnet/1":
            raise ValueError("%s: format is %r, not virtualnet/1" % (file, metadata["format"]))
        self.network = json.loads(metadata["network"])
        self._raw, self._start, self._header = raw, 8 + n, header

    def tensor(self, name):
        """A view into the map; never written to."""
        t = self._header[name]
        first, last = t["data_offsets"]
        return self._raw[self._start + first:self._start + last].view("<f4").reshape(t["shape"])

    def input_of(self, task):
        name = self.network["tasks"][task]["input"]
        return [i["name"] for i in self.network["inputs"]].index(name)

    def order_of(self, task):
        n = self.network
        start = task * n["groups"] // len(n["tasks"])
        cyclic = [(start + g) % n["groups"] for g in range(n["groups"])]
        return n["tasks"][task].get("order", cyclic)

    def blocks(self):
        """(Ci, Co, stride) of every block."""
        ci = self.network["stem_width"]
        for s in self.network["stages"]:
            for b in range(s["blocks"]):
                yield ci, s["width"], 1 if b else s["stride"]
                ci = s["width"]
