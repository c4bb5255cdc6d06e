"""No runtime at all: what the interpreter, numpy and this protocol need, for the memory part."""
from . import worker


class Bare(worker.Runtime):
    def load(self, *_):
        pass

    def run(self):
        pass

    def logits(self):
        return []


if __name__ == "__main__":
    worker.serve(Bare())
