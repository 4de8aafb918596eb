"""Convolutions of the classic networks, forward and as a training step (forward and both gradients)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import nnkern

from ..case import Case, random, torch_module


class Layer(NamedTuple):
    n: int
    c: int
    k: int
    size: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def out(self) -> int:
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def flops(self) -> float:
        return 2.0 * self.n * self.k * self.out**2 * (self.c // self.groups) * self.kernel**2

    @property
    def bytes(self) -> float:
        weights = self.k * (self.c // self.groups) * self.kernel**2
        return 4.0 * (self.n * (self.c * self.size**2 + self.k * self.out**2) + weights)


# name: layer, and whether the short run has it
LAYERS = {
    "LeNet-5 first 5x5, batch 64": (Layer(64, 1, 6, 28, 5, padding=2), True),
    "LeNet-5 second 5x5, batch 64": (Layer(64, 6, 16, 14, 5), True),
    "AlexNet first 11x11, stride 4": (Layer(8, 3, 64, 224, 11, 4, 2), False),
    "AlexNet 5x5": (Layer(8, 64, 192, 27, 5, padding=2), False),
    "VGG-16 3x3, 64 x 112": (Layer(2, 64, 64, 112, 3, padding=1), False),
    "VGG-16 3x3, 256 x 28": (Layer(8, 256, 256, 28, 3, padding=1), True),
    "ResNet first 7x7, stride 2": (Layer(4, 3, 64, 224, 7, 2, 3), True),
    "ResNet-18 3x3, 64 x 56": (Layer(8, 64, 64, 56, 3, padding=1), True),
    "ResNet-18 3x3, 128 x 28": (Layer(8, 128, 128, 28, 3, padding=1), False),
    "ResNet-18 3x3, 256 x 14": (Layer(8, 256, 256, 14, 3, padding=1), False),
    "ResNet-18 3x3, 512 x 7": (Layer(8, 512, 512, 7, 3, padding=1), True),
    "ResNet-18 3x3 stride 2, 64 to 128": (Layer(8, 64, 128, 56, 3, 2, 1), True),
    "ResNet-50 1x1, 256 to 64 x 56": (Layer(4, 256, 64, 56, 1), True),
    "ResNet-50 1x1, 512 to 2048 x 7": (Layer(8, 512, 2048, 7, 1), False),
    "GoogLeNet 5x5, 16 to 32 x 28": (Layer(8, 16, 32, 28, 5, padding=2), False),
    "GoogLeNet 3x3, 96 to 128 x 28": (Layer(8, 96, 128, 28, 3, padding=1), False),
    "MobileNet depthwise 3x3, 128 x 56": (Layer(8, 128, 128, 56, 3, 1, 1, 128), True),
    "MobileNet depthwise 3x3 stride 2, 256 x 28": (Layer(8, 256, 256, 28, 3, 2, 1, 256), False),
    "DCGAN 4x4 stride 2, 64 to 128 x 32": (Layer(16, 64, 128, 32, 4, 2, 1), False),
}


def _numpy(x: np.ndarray, w: np.ndarray, l: Layer) -> Any:  # noqa: E741
    """Windows laid out as a matrix, then one product per image; a depthwise layer adds up shifted images."""
    pad = (l.padding, l.padding)
    x = np.pad(x, ((0, 0), (0, 0), pad, pad)) if l.padding else x
    if l.groups > 1:
        reach = l.stride * (l.out - 1) + 1
        y = np.zeros((l.n, l.k, l.out, l.out), x.dtype)
        for i in range(l.kernel):
            for j in range(l.kernel):
                y += x[:, :, i : i + reach : l.stride, j : j + reach : l.stride] * w[:, 0, i, j, None, None]
        return y
    windows = np.lib.stride_tricks.sliding_window_view(x, (l.kernel, l.kernel), (2, 3))
    columns = windows[:, :, :: l.stride, :: l.stride].transpose(0, 1, 4, 5, 2, 3).reshape(l.n, -1, l.out**2)
    return (w.reshape(l.k, -1) @ columns).reshape(l.n, l.k, l.out, l.out)


def _forward(l: Layer) -> Any:  # noqa: E741
    def candidates() -> dict:
        x, w = random(l.n, l.c, l.size, l.size), random(l.k, l.c // l.groups, l.kernel, l.kernel, seed=1)
        options = (None, l.stride, l.padding, 1, l.groups)
        found = {"nnkern": lambda: nnkern.conv2d(x, w, *options), "numpy": lambda: _numpy(x, w, l)}
        if torch := torch_module():
            conv = torch.nn.functional.conv2d
            tx, tw = torch.from_numpy(x), torch.from_numpy(w)
            last = {"memory_format": torch.channels_last}
            lx, lw = tx.contiguous(**last), tw.contiguous(**last)
            found["torch"] = lambda: conv(tx, tw, *options)
            found["torch (channels_last)"] = lambda: conv(lx, lw, *options)
        return found

    return candidates


def _training(l: Layer) -> Any:  # noqa: E741
    def candidates() -> dict:
        x, w = random(l.n, l.c, l.size, l.size), random(l.k, l.c // l.groups, l.kernel, l.kernel, seed=1)
        gy = random(l.n, l.k, l.out, l.out, seed=2)
        options = (None, l.stride, l.padding, 1, l.groups)
        nx, nw = nnkern.Tensor(x, requires_grad=True), nnkern.Tensor(w, requires_grad=True)
        ng = nnkern.Tensor(gy)

        def ours() -> Any:
            return nnkern.grad(nnkern.conv2d(nx, nw, *options), (nx, nw), ng)

        found = {"nnkern": ours}
        if torch := torch_module():
            conv = torch.nn.functional.conv2d

            def theirs(memory_format: Any) -> Any:
                tx, tw, tg = (torch.from_numpy(a).contiguous(memory_format=memory_format) for a in (x, w, gy))
                tx.requires_grad_(), tw.requires_grad_()
                return lambda: torch.autograd.grad(conv(tx, tw, *options), (tx, tw), tg)

            found["torch"] = theirs(torch.contiguous_format)
            found["torch (channels_last)"] = theirs(torch.channels_last)
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for name, (layer, short) in LAYERS.items():
        found.append(Case("conv2d", name, _forward(layer), layer.flops, layer.bytes, full=not short))
        found.append(
            Case("conv2d training", name, _training(layer), 3 * layer.flops, 2 * layer.bytes, full=not short)
        )
    return found
