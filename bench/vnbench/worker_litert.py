"""LiteRT's interpreter. A graph that XNNPACK did not take over as a whole is an error: it would not
be XNNPACK that is measured."""
import sys

from ai_edge_litert.interpreter import Interpreter

from . import worker


class LiteRt(worker.Runtime):
    def __init__(self, threads):
        self.threads, self.interpreter = threads, None

    def load(self, file, image):
        self.interpreter = None
        i = Interpreter(model_path=file, num_threads=self.threads)
        i.allocate_tensors()
        i.set_tensor(i.get_input_details()[0]["index"], image[None])
        i.invoke()
        self.check(i)
        self.interpreter, self.output = i, i.get_output_details()[0]["index"]
        self.run = i.invoke

    @staticmethod
    def check(i):
        """The operators whose outputs the delegate does not compute are those still planned."""
        names = [op["op_name"] for op in i._get_ops_details()]
        if names.count("DELEGATE") + names.count("TfLiteXNNPackDelegate") != 1:
            raise ValueError("XNNPACK did not take the graph over: %s" % " ".join(names))

    def logits(self):
        return self.interpreter.get_tensor(self.output)[0]


if __name__ == "__main__":
    worker.serve(LiteRt(int(sys.argv[1])))
