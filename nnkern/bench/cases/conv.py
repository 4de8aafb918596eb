"""Convolutions of the classic networks, forward and as a training step (forward and both gradients)."""

from __future__ import annotations

import math
from functools import partial
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

# name: op, x, w, options (stride, padding, dilation), results per channel of an image
OTHERS = {
    "speech 9, 8 x 64 x 1000": ("conv1d", (8, 64, 1000), (64, 64, 9), (1, 4), 1000),
    "dilated 3, 4 x 128 x 4000": ("conv1d", (4, 128, 4000), (128, 128, 3), (1, 8, 8), 4000),
    "video 3x3x3, 16 to 32 x 16 x 56": ("conv3d", (2, 16, 16, 56, 56), (32, 16, 3, 3, 3), (1, 1), 16 * 56**2),
    "DCGAN 4x4 stride 2, 256 to 128 x 16": ("conv_transpose2d", (16, 256, 8, 8), (256, 128, 4, 4), (2, 1), 16**2),
    "DCGAN last 4x4 stride 2, 64 to 3 x 64": ("conv_transpose2d", (16, 64, 32, 32), (64, 3, 4, 4), (2, 1), 64**2),
}  # fmt: skip


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


def _candidates(op: str, x: Any, w: Any, options: dict[str, int], train: bool) -> dict[str, Any]:
    """Ours and PyTorch's in both layouts; train: forward and both gradients."""
    gy = random(*getattr(nnkern, op)(x, w, **options).shape, seed=2) if train else None

    def call(library: Any, x: Any, w: Any, gy: Any) -> Any:
        f = getattr(library, op)
        if gy is None:
            return lambda: f(x, w, **options)
        grad = nnkern.grad if library is nnkern else torch_module().autograd.grad
        return lambda: grad(f(x, w, **options), (x, w), gy)

    def ours(a: Any, leaf: bool = True) -> Any:
        return a if gy is None else nnkern.Tensor(a, requires_grad=leaf)

    found = {"nnkern": call(nnkern, ours(x), ours(w), gy if gy is None else ours(gy, False))}
    if torch := torch_module():
        layouts = {"torch": torch.contiguous_format}
        if x.ndim > 3:
            layouts["torch (channels_last)"] = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
        for name, memory in layouts.items():
            tx, tw = (torch.from_numpy(a).contiguous(memory_format=memory) for a in (x, w))
            tg = None if gy is None else torch.from_numpy(gy).contiguous(memory_format=memory)
            if tg is not None:
                tx.requires_grad_(), tw.requires_grad_()
            found[name] = call(torch.nn.functional, tx, tw, tg)
    return found


def _conv2d(layer: Layer, train: bool) -> Any:
    def candidates() -> dict[str, Any]:
        l = layer
        x, w = random(l.n, l.c, l.size, l.size), random(l.k, l.c // l.groups, l.kernel, l.kernel, seed=1)
        options = {"stride": l.stride, "padding": l.padding, "groups": l.groups}
        found = _candidates("conv2d", x, w, options, train)
        return found if train else found | {"numpy": lambda: _numpy(x, w, l)}

    return candidates


def _other(op: str, x: tuple[int, ...], w: tuple[int, ...], options: tuple[int, ...], train: bool) -> Any:
    named = dict(zip(("stride", "padding", "dilation"), options))
    return lambda: _candidates(op, random(*x), random(*w, seed=1), named, train)


def _pair(op: str, name: str, make: Any, flops: float, bytes: float, full: bool) -> list[Case]:
    """Forward, and forward with both gradients."""
    return [
        Case(op, name, make(False), flops, bytes, full=full),
        Case(f"{op} training", name, make(True), 3 * flops, 2 * bytes, full=full),
    ]


def cases() -> list[Case]:
    found = []
    for name, (layer, short) in LAYERS.items():
        found += _pair("conv2d", name, partial(_conv2d, layer), layer.flops, layer.bytes, not short)
    for name, (op, x, w, options, places) in OTHERS.items():
        turned = op.startswith("conv_transpose")
        flops = 2.0 * x[0] * math.prod(w) * (math.prod(x[2:]) if turned else places)
        bytes = 4.0 * (math.prod(x) + x[0] * w[1 if turned else 0] * places + math.prod(w))
        found += _pair(op, name, partial(_other, op, x, w, options), flops, bytes, True)
    return found
