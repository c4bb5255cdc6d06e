"""A Net as a TFLite file, through the schema classes that come with LiteRT. ReLUs are fused into
convolutions and sums, as its own converter would do."""
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

VERSION = 3


class Graph:
    def __init__(self):
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.buffers = [schema.BufferT()]  # the first is the empty one
        self.graph.tensors, self.graph.operators, self.codes = [], [], {}

    def tensor(self, name, shape, data=None):
        t = schema.TensorT()
        t.name, t.shape, t.buffer = name, list(shape), 0
        t.type = schema.TensorType.FLOAT32
        if data is not None:
            data = np.ascontiguousarray(data)
            t.type = {"f": t.type, "i": schema.TensorType.INT32}[data.dtype.kind]
            buffer = schema.BufferT()
            buffer.data = data.reshape(-1).view(np.uint8)
            t.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1

    def constant(self, name, x):
        return self.tensor(name, x.shape, x)

    def code(self, op):
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = op, min(op, 127)
        code.version = 1
        return self.codes.setdefault(op, (len(self.codes), code))[0]

    def node(self, op, inputs, name, shape, options, **values):
        """options: name of the options' class, without the T."""
        n = schema.OperatorT()
        n.opcodeIndex = self.code(getattr(schema.BuiltinOperator, op))
        n.inputs, n.outputs = inputs, [self.tensor(name, shape)]
        n.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        n.builtinOptions = getattr(schema, options + "T")()
        for key, value in values.items():
            setattr(n.builtinOptions, key, value)
        self.graph.operators.append(n)
        return n.outputs[0]

    def shape(self, tensor):
        return self.graph.tensors[tensor].shape

    def pad(self, x, name, before, after):
        pads = np.array(list(zip(before, after)), np.int32)
        shape = [n + a + b for n, a, b in zip(self.shape(x), before, after)]
        return self.node("PAD", [x, self.constant(name + ".pads", pads)], name, shape, "PadOptions")

    def conv(self, x, c, name):
        """SAME padding of a strided convolution begins with less than (k - 1) / 2: pad before."""
        k, _, _, co = c.weight.shape
        pad, (_, h, w, _) = (k - 1) // 2, self.shape(x)
        shape = [1, -(-h // c.stride), -(-w // c.stride), co]
        if c.stride > 1:
            x = self.pad(x, name + ".pad", [0, pad, pad, 0], [0, pad, pad, 0])
        weight = self.constant(name + ".weight", c.weight.transpose(3, 0, 1, 2))
        padding = schema.Padding.VALID if c.stride > 1 else schema.Padding.SAME
        return self.node("CONV_2D", [x, weight, self.constant(name + ".bias", c.bias)], name, shape,
                         "Conv2DOptions", padding=padding, strideH=c.stride, strideW=c.stride,
                         dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=relu(c.relu))

    def shortcut(self, x, b, name):
        _, h, w, ci = self.shape(x)
        if h % b.stride or w % b.stride:
            raise ValueError("TFLite has no mean over windows clipped at the right edge alone")
        if b.stride > 1:
            x = self.node("AVERAGE_POOL_2D", [x], name + ".pool",
                          [1, h // b.stride, w // b.stride, ci], "Pool2DOptions",
                          padding=schema.Padding.VALID, strideH=b.stride, strideW=b.stride,
                          filterHeight=b.stride, filterWidth=b.stride)
        return self.pad(x, name + ".wide", [0] * 4, [0, 0, 0, b.co - b.ci]) if b.co > b.ci else x


def relu(yes):
    return schema.ActivationFunctionType.RELU if yes else schema.ActivationFunctionType.NONE


def build(net):
    g = Graph()
    g.graph.inputs = [g.tensor("image", (1, net.h, net.w, net.c))]
    x = g.conv(g.graph.inputs[0], net.stem, "stem")
    for i, b in enumerate(net.blocks):
        name = "block%d" % i
        y = g.shortcut(x, b, name)
        if b.conv1:
            branch = g.conv(g.conv(x, b.conv1, name + ".conv1"), b.conv2, name + ".conv2")
            x = g.node("ADD", [branch, y], name, g.shape(y), "AddOptions",
                       fusedActivationFunction=relu(True))
        elif b.stride > 1 or b.co > b.ci:
            x = y  # of a ReLU's output: it is none below zero
    axes = g.constant("axes", np.array([1, 2], np.int32))
    x = g.node("MEAN", [x, axes], "pool", [1, net.head_weight.shape[0]], "ReducerOptions",
               keepDims=False)
    head = [g.constant("head.weight", net.head_weight.T), g.constant("head.bias", net.head_bias)]
    g.graph.outputs = [g.node("FULLY_CONNECTED", [x, *head], "logits", [1, net.head_bias.size],
                              "FullyConnectedOptions")]
    return g


def encode(net):
    """The bytes of the file; input (1, h, w, c), output (1, n)."""
    g = build(net)
    g.model.version, g.model.description = VERSION, "virtualnet"
    g.model.subgraphs = [g.graph]
    g.model.operatorCodes = [code for _, code in sorted(g.codes.values(), key=lambda c: c[0])]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(g.model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def write(net, file):
    with open(file, "wb") as f:
        f.write(encode(net))
