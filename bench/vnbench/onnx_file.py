"""A Net as an ONNX file (opset 13), written by hand: it is a protobuf message of a dozen fields."""
import numpy as np

from . import wire

# Field numbers of onnx.proto, by message.
MODEL_IR, MODEL_PRODUCER, MODEL_GRAPH, MODEL_OPSET = 1, 2, 7, 8
GRAPH_NODE, GRAPH_NAME, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT = 1, 2, 5, 11, 12
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_OP, NODE_ATTRIBUTE = 1, 2, 3, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_INT, ATTRIBUTE_INTS, ATTRIBUTE_TYPE = 1, 3, 8, 20
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW = 1, 2, 8, 9
FLOAT, INT64 = 1, 7  # types of tensors
INT, INTS = 2, 7     # types of attributes
IR_VERSION, OPSET = 8, 13


class Graph:
    def __init__(self):
        self.nodes, self.initializers = [], []

    def tensor(self, name, x):
        x = np.ascontiguousarray(x)
        kind = {"f": FLOAT, "i": INT64}[x.dtype.kind]
        self.initializers.append(
            wire.numbers(TENSOR_DIMS, x.shape) + wire.number(TENSOR_TYPE, kind)
            + wire.chunk(TENSOR_NAME, name) + wire.chunk(TENSOR_RAW, x.tobytes()))
        return name

    def node(self, op, inputs, output, **attributes):
        message = b"".join(wire.chunk(NODE_INPUT, i) for i in inputs)
        message += wire.chunk(NODE_OUTPUT, output) + wire.chunk(NODE_NAME, output)
        message += wire.chunk(NODE_OP, op)
        for name, value in attributes.items():
            a = wire.chunk(ATTRIBUTE_NAME, name)
            if isinstance(value, int):
                a += wire.number(ATTRIBUTE_INT, value) + wire.number(ATTRIBUTE_TYPE, INT)
            else:
                a += wire.numbers(ATTRIBUTE_INTS, value) + wire.number(ATTRIBUTE_TYPE, INTS)
            message += wire.chunk(NODE_ATTRIBUTE, a)
        self.nodes.append(message)
        return output

    def conv(self, x, c, name):
        k = c.weight.shape[0]
        w = self.tensor(name + ".weight", c.weight.transpose(3, 2, 0, 1))
        b = self.tensor(name + ".bias", c.bias)
        y = self.node("Conv", [x, w, b], name, kernel_shape=[k, k], strides=[c.stride] * 2,
                      pads=[(k - 1) // 2] * 4)
        return self.node("Relu", [y], name + ".relu") if c.relu else y

    def shortcut(self, x, b, h, w, name):
        """Windows at the edge count the pixels inside, as in the store's network."""
        if b.stride > 1:
            x = self.node("AveragePool", [x], name + ".pool", kernel_shape=[b.stride] * 2,
                          strides=[b.stride] * 2, count_include_pad=0,
                          pads=[0, 0, -h % b.stride, -w % b.stride])
        if b.co > b.ci:
            pads = self.tensor(name + ".pads", np.array([0] * 5 + [b.co - b.ci, 0, 0], np.int64))
            x = self.node("Pad", [x, pads], name + ".pad")
        return x


def value(name, shape):
    dims = b"".join(wire.chunk(1, wire.number(1, n)) for n in shape)
    tensor = wire.number(1, FLOAT) + wire.chunk(2, dims)
    return wire.chunk(1, name) + wire.chunk(2, wire.chunk(1, tensor))


def build(net):
    g = Graph()
    h, w = -(-net.h // net.stem.stride), -(-net.w // net.stem.stride)
    x = g.conv("image", net.stem, "stem")
    for i, b in enumerate(net.blocks):
        name = "block%d" % i
        y = g.shortcut(x, b, h, w, name)
        if b.conv1:
            branch = g.conv(g.conv(x, b.conv1, name + ".conv1"), b.conv2, name + ".conv2")
            y = g.node("Add", [branch, y], name + ".sum")
        x = g.node("Relu", [y], name)
        h, w = -(-h // b.stride), -(-w // b.stride)
    x = g.node("Flatten", [g.node("GlobalAveragePool", [x], "pool")], "flat")
    g.node("Gemm", [x, g.tensor("head.weight", net.head_weight),
                    g.tensor("head.bias", net.head_bias)], "logits")
    return g


def encode(net):
    """The bytes of the file; input "image" (1, c, h, w), output "logits" (1, n)."""
    g = build(net)
    graph = [wire.chunk(GRAPH_NODE, n) for n in g.nodes] + [wire.chunk(GRAPH_NAME, "path")]
    graph += [wire.chunk(GRAPH_INITIALIZER, t) for t in g.initializers]
    graph.append(wire.chunk(GRAPH_INPUT, value("image", (1, net.c, net.h, net.w))))
    graph.append(wire.chunk(GRAPH_OUTPUT, value("logits", (1, net.head_bias.size))))
    opset = wire.chunk(1, "") + wire.number(2, OPSET)
    return b"".join([wire.number(MODEL_IR, IR_VERSION), wire.chunk(MODEL_PRODUCER, "virtualnet"),
                     wire.chunk(MODEL_OPSET, opset), wire.chunk(MODEL_GRAPH, b"".join(graph))])


def write(net, file):
    with open(file, "wb") as f:
        f.write(encode(net))
