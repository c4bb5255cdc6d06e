"""Reads what bench/vnbench writes for ONNX Runtime and ncnn, and computes it with numpy: a second
opinion on the files that needs neither of them. Activations are (C, h, w)."""
import struct

import numpy as np

# --- what both have in common ---------------------------------------------------------------------


def conv(x, weight, bias, stride, pad):
    """weight (Co, Ci, k, k)."""
    co, _, k, _ = weight.shape
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    ho, wo = ((side - k) // stride + 1 for side in x.shape[1:])
    y = np.zeros((co, ho, wo)) + bias[:, None, None]
    for ky in range(k):
        for kx in range(k):
            part = x[:, ky:ky + (ho - 1) * stride + 1:stride, kx:kx + (wo - 1) * stride + 1:stride]
            y += np.tensordot(weight[:, :, ky, kx].astype(np.float64), part, 1)
    return y


def mean_pool(x, size, ho, wo):
    """Windows are clipped at the end and divided by the pixels inside."""
    y = np.zeros((x.shape[0], ho, wo))
    for i in range(ho):
        for j in range(wo):
            y[:, i, j] = x[:, i * size:(i + 1) * size, j * size:(j + 1) * size].mean((1, 2))
    return y


# --- ONNX -----------------------------------------------------------------------------------------


def fields(data):
    """(number, value) of a protobuf message: integers, or bytes."""
    at = 0

    def varint():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 2:
            length = varint()
            yield key >> 3, data[at:at + length]
            at += length
            assert at <= len(data), "a field reaches beyond its message"
        else:
            raise AssertionError("wire type %d" % (key & 7))


def only(data, number):
    found = [v for n, v in fields(data) if n == number]
    assert len(found) == 1, "field %d stands %d times" % (number, len(found))
    return found[0]


def packed(data):
    """The numbers of a packed field: it is read as a message of nothing but keys."""
    out, n, shift = [], 0, 0
    for byte in data:
        n |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            out.append(n)
            n = shift = 0
    return out


def onnx_tensor(data):
    kind = {1: "<f4", 7: "<i8"}[only(data, 2)]
    return only(data, 8).decode(), np.frombuffer(only(data, 9), kind).reshape(packed(only(data, 1)))


def onnx_attributes(node):
    found = {}
    for a in (v for n, v in fields(node) if n == 5):
        kind = only(a, 20)  # 2: a number, 7: numbers
        found[only(a, 1).decode()] = only(a, 3) if kind == 2 else packed(only(a, 8))
    return found


def onnx_shape(graph, which):
    """Name and shape of the graph's input (11) or output (12)."""
    value = only(graph, which)
    tensor = only(only(value, 2), 1)
    assert only(tensor, 1) == 1  # float
    return only(value, 1).decode(), [only(d, 1) for n, d in fields(only(tensor, 2)) if n == 1]


def onnx_pool(x, a):
    size = a["kernel_shape"][0]
    assert a["strides"] == a["kernel_shape"] and a["count_include_pad"] == 0
    ho, wo = ((side + more) // size for side, more in zip(x.shape[1:], a["pads"][2:]))
    assert a["pads"][:2] == [0, 0] and ho * size - x.shape[1] == a["pads"][2]
    return mean_pool(x, size, ho, wo)


def onnx_node(op, a, x):
    """x: the inputs' values."""
    if op == "Conv":
        assert len(set(a["pads"])) == 1 and a["kernel_shape"] == list(x[1].shape[2:])
        return conv(x[0], x[1], x[2], a["strides"][0], a["pads"][0])
    if op == "Pad":
        assert list(x[1][[0, 1, 2, 3, 4, 6, 7]]) == [0] * 7
        return np.concatenate([x[0], np.zeros((x[1][5], *x[0].shape[1:]))])
    return {"Relu": lambda: np.maximum(x[0], 0), "Add": lambda: x[0] + x[1],
            "AveragePool": lambda: onnx_pool(x[0], a),
            "GlobalAveragePool": lambda: x[0].mean((1, 2), keepdims=True),
            "Flatten": lambda: x[0].reshape(-1), "Gemm": lambda: x[0] @ x[1] + x[2]}[op]()


def run_onnx(data, image):
    """Logits of an image (h, w, c)."""
    graph = only(data, 7)
    values = dict(onnx_tensor(v) for n, v in fields(graph) if n == 5)
    name, shape = onnx_shape(graph, 11)
    assert shape == [1, image.shape[2], *image.shape[:2]]
    values[name] = image.transpose(2, 0, 1).astype(np.float64)
    for node in (v for n, v in fields(graph) if n == 1):
        inputs = [v.decode() for n, v in fields(node) if n == 1]
        output = only(node, 2).decode()
        assert output not in values, "%s is computed twice" % output
        values[output] = onnx_node(only(node, 4).decode(), onnx_attributes(node),
                                   [values[i] for i in inputs])
    name, shape = onnx_shape(graph, 12)
    assert shape == [1, values[name].size]
    return values[name]


# --- ncnn -----------------------------------------------------------------------------------------


class Numbers:
    """The .bin: plain weights behind a zero word, biases without one."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        x = np.frombuffer(self.data, "<f4", n, self.at)
        self.at += 4 * n
        return x

    def weight(self, n):
        assert struct.unpack_from("<I", self.data, self.at) == (0,)
        self.at += 4
        return self.take(n)


def ncnn_layer(kind, p, x, numbers):
    if kind == "Convolution":
        weight = numbers.weight(p[6]).reshape(p[0], -1, p[1], p[1])
        y = conv(x[0], weight, numbers.take(p[0]), p[3], p[4])
        return [np.maximum(y, 0) if p[9] else y]
    if kind == "Pooling" and p.get(4):
        return [x[0].mean((1, 2))]
    if kind == "Pooling":
        assert p[0] == 1 and p[1] == p[2]
        return [mean_pool(x[0], p[1], *(-(-side // p[1]) for side in x[0].shape[1:]))]
    if kind == "InnerProduct":
        weight = numbers.weight(p[2]).reshape(p[0], -1)
        return [weight.astype(np.float64) @ x[0] + numbers.take(p[0])]
    return {"Split": lambda: [x[0], x[0]], "BinaryOp": lambda: [x[0] + x[1]],
            "ReLU": lambda: [np.maximum(x[0], 0)],
            "Padding": lambda: [np.concatenate([x[0], np.zeros((p[8], *x[0].shape[1:]))])]}[kind]()


def run_ncnn(param, numbers, image):
    """Logits of an image (h, w, c). Each value is used once, as ncnn wants it: hence its Splits."""
    lines = param.splitlines()
    assert lines[0] == "7767517"
    layers, blobs = map(int, lines[1].split())
    assert layers == len(lines) - 2
    values, seen, numbers = {}, set(), Numbers(numbers)
    for line in lines[2:]:
        words = line.split()
        n_in, n_out = int(words[2]), int(words[3])
        inputs, outputs = words[4:4 + n_in], words[4 + n_in:4 + n_in + n_out]
        p = {int(k): int(v) for k, v in (w.split("=") for w in words[4 + n_in + n_out:])}
        assert not seen & set(outputs), "computed twice: %s" % line
        seen |= set(outputs)
        if words[0] == "Input":
            values["image"] = image.transpose(2, 0, 1).astype(np.float64)
        else:
            values.update(zip(outputs, ncnn_layer(words[0], p, [values.pop(i) for i in inputs],
                                                  numbers)))
    assert len(seen) == blobs and list(values) == ["logits"]
    assert numbers.at == len(numbers.data), "numbers are left over"
    return values["logits"]
