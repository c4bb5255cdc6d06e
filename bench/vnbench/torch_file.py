"""A Net as a frozen TorchScript file, for Debian's python3-torch."""
import torch
import torch.nn.functional as F


def parameter(x):
    return torch.nn.Parameter(torch.from_numpy(x.copy()), requires_grad=False)


def layer(c):
    k, _, ci, co = c.weight.shape
    m = torch.nn.Conv2d(ci, co, k, c.stride, (k - 1) // 2)
    m.weight, m.bias = parameter(c.weight.transpose(3, 2, 0, 1)), parameter(c.bias)
    return m


class Path(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.shapes = [(b.ci, b.co, b.stride, b.conv1 is not None) for b in net.blocks]
        self.stem = layer(net.stem)
        self.conv1 = torch.nn.ModuleList([layer(b.conv1) for b in net.blocks if b.conv1])
        self.conv2 = torch.nn.ModuleList([layer(b.conv2) for b in net.blocks if b.conv2])
        self.head = torch.nn.Linear(*net.head_weight.shape)
        self.head.weight, self.head.bias = parameter(net.head_weight.T), parameter(net.head_bias)

    def forward(self, x):
        x, used = F.relu(self.stem(x)), 0
        for ci, co, stride, branch in self.shapes:
            y = x
            if stride > 1:
                y = F.avg_pool2d(y, stride, ceil_mode=True, count_include_pad=False)
            if co > ci:
                y = F.pad(y, (0, 0, 0, 0, 0, co - ci))
            if branch:
                y = y + self.conv2[used](F.relu(self.conv1[used](x)))
                used += 1
            x = F.relu(y)
        return self.head(x.mean((2, 3)))


def frozen(net):
    image = torch.zeros(1, net.c, net.h, net.w)
    with torch.no_grad():
        return torch.jit.freeze(torch.jit.trace(Path(net).eval(), image))


def write(net, file):
    torch.jit.save(frozen(net), file)
