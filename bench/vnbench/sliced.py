"""A path of a store as an ordinary network, in the form that suits general runtimes best: the
selected groups of a block stand side by side in one convolution Ci -> level h and one level h -> Co
(their sum is exact), and scales are folded into the weights.

Activations are (h, w, C), weights (k, k, Ci, Co), as in the store. Every convolution is padded with
(k - 1) / 2 zeros on each side; a side becomes ceil(side / stride)."""
import collections

import numpy as np

Conv = collections.namedtuple("Conv", "weight bias stride relu")

# conv1 and conv2 are None at level 0; y = relu(shortcut(x) + conv2(conv1(x)))
Block = collections.namedtuple("Block", "ci co stride conv1 conv2")

# h, w, c: sides and channels of the input
Net = collections.namedtuple("Net", "h w c stem blocks head_weight head_bias")


def folded(weight, bn):
    """BN(conv(x)) as one convolution."""
    return weight * bn[0], bn[1]


def block(store, b, shape, groups, row):
    """groups: those selected, in order; row: of the vectors, the task's input."""
    ci, co, stride = shape
    w1, b1, w2, b2 = [], [], [], np.zeros(co, np.float32)
    for g in groups:
        name = "block.%d.group.%d." % (b, g)
        w, bias = folded(store.tensor(name + "conv1"), store.tensor(name + "bn1")[row])
        w1.append(w)
        b1.append(bias)
        w, bias = folded(store.tensor(name + "conv2"), store.tensor(name + "bn2")[row])
        w2.append(w)
        b2 = b2 + bias
    if not groups:
        return Block(ci, co, stride, None, None)
    conv1 = Conv(np.concatenate(w1, 3), np.concatenate(b1), stride, True)
    return Block(ci, co, stride, conv1, Conv(np.concatenate(w2, 2), b2, 1, False))


def sliced(store, task, levels):
    """The Net of a path: levels, one for each block."""
    row = store.input_of(task)
    spec, order = store.network["inputs"][row], store.order_of(task)
    shapes = list(store.blocks())
    if len(levels) != len(shapes) or not all(0 <= v <= len(order) for v in levels):
        raise ValueError("a path has %d levels of 0 to %d" % (len(shapes), len(order)))
    w, b = folded(store.tensor("input.%d.stem.conv" % row), store.tensor("input.%d.stem.bn" % row))
    return Net(
        spec["height"], spec["width"], 1 if spec["color"] == "gray" else 3,
        Conv(w, np.array(b), spec["stem_stride"], True),
        [block(store, i, s, order[:levels[i]], row) for i, s in enumerate(shapes)],
        np.array(store.tensor("task.%d.head.weight" % task)),
        np.array(store.tensor("task.%d.head.bias" % task)))


# --- sizes and sums -------------------------------------------------------------------------------


def strided(side, stride):
    return -(-side // stride)


def flops(net):
    """Of the direct convolutions and the head: two for each product."""
    h, w = strided(net.h, net.stem.stride), strided(net.w, net.stem.stride)
    n = 2 * h * w * net.stem.weight.size + 2 * net.head_weight.size
    for b in net.blocks:
        h, w = strided(h, b.stride), strided(w, b.stride)
        if b.conv1:
            n += 2 * h * w * (b.conv1.weight.size + b.conv2.weight.size)
    return n


def params(net):
    """Weights and biases of the folded network."""
    convs = [net.stem] + [c for b in net.blocks for c in (b.conv1, b.conv2) if c]
    return (sum(c.weight.size + c.bias.size for c in convs)
            + net.head_weight.size + net.head_bias.size)


# --- forward, in double precision -----------------------------------------------------------------


def conv(x, c):
    k, _, _, co = c.weight.shape
    h, w, _ = x.shape
    pad = (k - 1) // 2
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    ho, wo, s = strided(h, c.stride), strided(w, c.stride), c.stride
    y = np.zeros((ho, wo, co)) + c.bias
    for ky in range(k):
        for kx in range(k):
            part = x[ky:ky + (ho - 1) * s + 1:s, kx:kx + (wo - 1) * s + 1:s]
            y += part @ c.weight[ky, kx].astype(np.float64)
    return np.maximum(y, 0) if c.relu else y


def shortcut(x, stride, co):
    h, w, ci = x.shape
    y = np.zeros((strided(h, stride), strided(w, stride), co))
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j, :ci] = x[i * stride:(i + 1) * stride, j * stride:(j + 1) * stride].mean((0, 1))
    return y


def forward(net, image):
    """Logits of a prepared image (h, w, c)."""
    x = conv(image.astype(np.float64), net.stem)
    for b in net.blocks:
        y = shortcut(x, b.stride, b.co)
        if b.conv1:
            y += conv(conv(x, b.conv1), b.conv2)
        x = np.maximum(y, 0)
    return x.mean((0, 1)) @ net.head_weight.astype(np.float64) + net.head_bias
