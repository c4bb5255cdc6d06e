"""ONNX Runtime, CPU provider: all graph optimisations, input and output bound once."""
import sys

import onnxruntime

from . import worker


class Ort(worker.Runtime):
    def __init__(self, threads):
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.log_severity_level = 3

    def load(self, file, image):
        self.session = onnxruntime.InferenceSession(file, self.options,
                                                    providers=["CPUExecutionProvider"])
        self.image = image.transpose(2, 0, 1)[None].copy()
        self.binding = self.session.io_binding()
        self.binding.bind_cpu_input("image", self.image)
        self.binding.bind_output("logits")

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def logits(self):
        return self.binding.copy_outputs_to_cpu()[0][0]


if __name__ == "__main__":
    worker.serve(Ort(int(sys.argv[1])))
