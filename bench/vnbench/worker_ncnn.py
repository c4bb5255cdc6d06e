"""ncnn: its defaults (packed layouts, Winograd, sgemm), 32-bit floats throughout."""
import sys

import ncnn
import numpy as np

from . import worker


class Ncnn(worker.Runtime):
    def __init__(self, threads):
        self.threads, self.net = threads, None

    def load(self, file, image):
        """file: the .param; numbers lie beside it as .bin."""
        if self.net:
            self.net.clear()
        net = ncnn.Net()
        net.opt.num_threads = self.threads
        net.opt.use_vulkan_compute = False
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
        if net.load_param(file) or net.load_model(file.rsplit(".", 1)[0] + ".bin"):
            raise ValueError("ncnn does not load %s" % file)
        self.pixels = image.transpose(2, 0, 1).copy()  # a Mat does not keep its array alive
        self.net, self.image = net, ncnn.Mat(self.pixels)

    def run(self):
        extractor = self.net.create_extractor()
        extractor.input("image", self.image)
        self.result = extractor.extract("logits")

    def logits(self):
        return np.array(self.result[1])


if __name__ == "__main__":
    worker.serve(Ncnn(int(sys.argv[1])))
