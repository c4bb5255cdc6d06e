"""A Net as the two files of ncnn: layers as text (.param), numbers (.bin) in the same order.

A line is: type, name, how many inputs and outputs, their names, parameters `id=value`. Weights are
(Co, Ci, k, k), preceded by four zero bytes that say "32-bit floats as they are"."""
import numpy as np

MAGIC = "7767517"
PLAIN = b"\0\0\0\0"


class Files:
    def __init__(self):
        self.lines, self.numbers = [], []

    def layer(self, kind, name, inputs, outputs, **parameters):
        words = [kind, name, len(inputs), len(outputs), *inputs, *outputs]
        words += ["%s=%s" % (key[1:], v) for key, v in parameters.items()]
        self.lines.append(" ".join(map(str, words)))
        return outputs[0]

    def weights(self, weight, bias):
        self.numbers += [PLAIN, np.ascontiguousarray(weight, "<f4").tobytes(),
                         np.ascontiguousarray(bias, "<f4").tobytes()]

    def conv(self, x, c, name):
        k, _, _, co = c.weight.shape
        self.weights(c.weight.transpose(3, 2, 0, 1), c.bias)
        return self.layer("Convolution", name, [x], [name], _0=co, _1=k, _3=c.stride,
                          _4=(k - 1) // 2, _5=1, _6=c.weight.size, _9=int(c.relu))

    def shortcut(self, x, b, name):
        """Pooling of type 1 is the mean; pad mode 0 adds windows at the edge that count the pixels
        inside."""
        if b.stride > 1:
            x = self.layer("Pooling", name + ".pool", [x], [name + ".pool"], _0=1, _1=b.stride,
                           _2=b.stride)
        if b.co > b.ci:
            x = self.layer("Padding", name + ".pad", [x], [name + ".pad"], _8=b.co - b.ci)
        return x


def build(net):
    f = Files()
    f.layer("Input", "image", [], ["image"])
    x = f.conv("image", net.stem, "stem")
    for i, b in enumerate(net.blocks):
        name, y = "block%d" % i, x
        if b.conv1:
            f.layer("Split", name + ".split", [x], [name + ".a", name + ".b"])
            branch = f.conv(f.conv(name + ".a", b.conv1, name + ".conv1"), b.conv2, name + ".conv2")
            y = f.layer("BinaryOp", name + ".sum", [branch, f.shortcut(name + ".b", b, name)],
                        [name + ".sum"], _0=0)
        else:
            y = f.shortcut(x, b, name)
        x = f.layer("ReLU", name, [y], [name])
    x = f.layer("Pooling", "pool", [x], ["pool"], _0=1, _4=1)
    f.weights(net.head_weight.T, net.head_bias)
    f.layer("InnerProduct", "logits", [x], ["logits"], _0=net.head_bias.size, _1=1,
            _2=net.head_weight.size)
    return f


def write(net, param_file, bin_file):
    f = build(net)
    blobs = sum(int(line.split()[3]) for line in f.lines)
    with open(param_file, "w") as out:
        out.write("%s\n%d %d\n%s\n" % (MAGIC, len(f.lines), blobs, "\n".join(f.lines)))
    with open(bin_file, "wb") as out:
        for part in f.numbers:
            out.write(part)
