"""PyTorch of Debian: a frozen TorchScript graph, optimised for inference where that is faster.
Also builds and writes paths of stores itself (`export STORE TASK LEVELS FILE`): it alone can."""
import sys
import time

import torch

from . import sliced, store as stores, torch_file, worker


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

    def load(self, *words):
        """A file that was written before, or a path of a store: STORE TASK LEVELS."""
        self.image = torch.from_numpy(words[-1].transpose(2, 0, 1)[None].copy())
        if len(words) == 2:
            def module():
                return torch.jit.load(words[0])
        else:
            def module():
                return torch_file.frozen(path(*words[:-1]))
        variants = [module(), torch.jit.optimize_for_inference(module())]
        self.module = best_of(variants, self.image)

    def run(self):
        self.result = self.module(self.image)

    def logits(self):
        return self.result[0].tolist()


def path(store, task, levels):
    return sliced.sliced(stores.Store(store), int(task), [int(n) for n in levels.split(",")])


if __name__ == "__main__":
    if sys.argv[1] == "export":
        torch_file.write(path(*sys.argv[2:-1]), sys.argv[-1])
    else:
        worker.serve(Torch(int(sys.argv[1])))
