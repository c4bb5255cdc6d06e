"""PyTorch of Debian: a frozen TorchScript graph, optimised for inference where that is faster.
Writes its own files too (`export STORE TASK LEVELS FILE`), because it alone can."""
import sys
import time

import torch

from . import worker


def best_of(modules, image):
    """The fastest of equivalent modules, by the best of a few runs."""
    def best(m):
        times = []
        for _ in range(8):
            start = time.perf_counter()
            m(image)
            times.append(time.perf_counter() - start)
        return min(times)
    return min(modules, key=best)


class Torch(worker.Runtime):
    def __init__(self, threads):
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)

    def load(self, file, image):
        self.image = torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
        plain = torch.jit.load(file)
        variants = [plain, torch.jit.optimize_for_inference(torch.jit.load(file))]
        self.module = best_of(variants, self.image)

    def run(self):
        self.result = self.module(self.image)

    def logits(self):
        return self.result[0].tolist()


def export(store, task, levels, file):
    from . import sliced, store as stores, torch_file
    net = sliced.sliced(stores.Store(store), int(task), [int(n) for n in levels.split(",")])
    torch_file.write(net, file)


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export(*sys.argv[2:])
    else:
        worker.serve(Torch(int(sys.argv[1])))
