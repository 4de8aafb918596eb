"""Pooling layers of LeNet-5, VGG, ResNet and GoogLeNet, forward and as a training step, in both layouts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import nnkern

from ..case import Case, random, torch_module


class Layer(NamedTuple):
    shape: tuple[int, ...]
    kernel: int
    stride: int
    padding: int = 0

    @property
    def out(self) -> tuple[int, ...]:
        n, c, *size = self.shape
        return (n, c, *((m + 2 * self.padding - self.kernel) // self.stride + 1 for m in size))

    @property
    def bytes(self) -> float:
        return 4.0 * float(np.prod(self.shape) + np.prod(self.out))

    @property
    def flops(self) -> float:
        return float(np.prod(self.out)) * self.kernel**2


# name: layer, and whether the short run has it
LAYERS = {
    "2x2 stride 2, 32 x 64 x 56 x 56": (Layer((32, 64, 56, 56), 2, 2), True),
    "3x3 stride 2, 8 x 64 x 112 x 112": (Layer((8, 64, 112, 112), 3, 2, 1), True),
    "LeNet-5 2x2 stride 2, 64 x 6 x 28 x 28": (Layer((64, 6, 28, 28), 2, 2), True),
    "GoogLeNet 3x3 stride 1, 8 x 256 x 28 x 28": (Layer((8, 256, 28, 28), 3, 1, 1), True),
    "AlexNet 3x3 stride 2, 8 x 192 x 27 x 27": (Layer((8, 192, 27, 27), 3, 2), False),
}
GLOBAL = {"512 x 7 x 7, batch 32": (32, 512, 7, 7), "2048 x 7 x 7, batch 8": (8, 2048, 7, 7)}


def _channels_last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def _padded(kind: str, x: np.ndarray, l: Layer) -> np.ndarray:  # noqa: E741
    sides = ((0, 0), (0, 0), (l.padding, l.padding), (l.padding, l.padding))
    return np.pad(x, sides, constant_values=-np.inf if kind == "max" else 0) if l.padding else x


def _shifted(kind: str, x: np.ndarray, l: Layer) -> np.ndarray:  # noqa: E741
    """The best idiom: one pass over the image per place in the window."""
    x, combine = _padded(kind, x, l), np.maximum if kind == "max" else np.add
    rows, columns = (l.stride * (m - 1) + 1 for m in l.out[2:])
    parts = [
        x[:, :, i : i + rows : l.stride, j : j + columns : l.stride]
        for i in range(l.kernel)
        for j in range(l.kernel)
    ]
    y = combine(parts[0], parts[1])
    for part in parts[2:]:
        combine(y, part, out=y)
    if kind == "avg":
        y *= np.float32(1 / l.kernel**2)
    return y


def _windows(kind: str, x: np.ndarray, l: Layer) -> Any:  # noqa: E741
    """The usual idioms: reshape where windows tile the image, else a view of all windows."""
    reduce = np.max if kind == "max" else np.mean
    if l.kernel == l.stride and not l.padding:
        n, c, h, w = l.out
        return reduce(x.reshape(n, c, h, l.kernel, w, l.kernel), axis=(3, 5))
    view = np.lib.stride_tricks.sliding_window_view(_padded(kind, x, l), (l.kernel, l.kernel), (2, 3))
    return reduce(view[:, :, :: l.stride, :: l.stride], axis=(4, 5))


def _forward(kind: str, l: Layer) -> Any:  # noqa: E741
    def candidates() -> dict:
        x, ours = random(*l.shape), getattr(nnkern, f"{kind}_pool2d")
        options = (l.kernel, l.stride, l.padding)
        last = _channels_last(x)
        found = {
            "nnkern": lambda: ours(x, *options),
            "nnkern (channels_last)": lambda: ours(last, *options),
            "numpy": lambda: _shifted(kind, x, l),
            "numpy (usual)": lambda: _windows(kind, x, l),
        }
        if torch := torch_module():
            pool = getattr(torch.nn.functional, f"{kind}_pool2d")
            tx = torch.from_numpy(x)
            lx = tx.contiguous(memory_format=torch.channels_last)
            found["torch"] = lambda: pool(tx, *options)
            found["torch (channels_last)"] = lambda: pool(lx, *options)
        return found

    return candidates


def _training(kind: str, l: Layer) -> Any:  # noqa: E741
    def candidates() -> dict:
        x, gy = random(*l.shape), random(*l.out, seed=2)
        options = (l.kernel, l.stride, l.padding)

        def ours(turn: Any) -> Any:
            t, g = nnkern.Tensor(turn(x), requires_grad=True), nnkern.Tensor(turn(gy))
            pool = getattr(nnkern, f"{kind}_pool2d")
            return lambda: nnkern.grad(pool(t, *options), t, g)

        found = {"nnkern": ours(np.asarray), "nnkern (channels_last)": ours(_channels_last)}
        if torch := torch_module():
            pool = getattr(torch.nn.functional, f"{kind}_pool2d")

            def theirs(memory_format: Any) -> Any:
                tx, tg = (torch.from_numpy(a).contiguous(memory_format=memory_format) for a in (x, gy))
                tx.requires_grad_()
                return lambda: torch.autograd.grad(pool(tx, *options), tx, tg)

            found["torch"] = theirs(torch.contiguous_format)
            found["torch (channels_last)"] = theirs(torch.channels_last)
        return found

    return candidates


def _global(kind: str, shape: tuple[int, ...]) -> Any:
    def candidates() -> dict:
        x, ours = random(*shape), getattr(nnkern, f"adaptive_{kind}_pool2d")
        last = _channels_last(x)
        reduce = np.max if kind == "max" else np.mean
        found = {
            "nnkern": lambda: ours(x, 1),
            "nnkern (channels_last)": lambda: ours(last, 1),
            "numpy": lambda: reduce(x.reshape(*shape[:2], -1), axis=2).reshape(*shape[:2], 1, 1),
            "numpy (usual)": lambda: reduce(x, axis=(2, 3), keepdims=True),
        }
        if torch := torch_module():
            pool = getattr(torch.nn.functional, f"adaptive_{kind}_pool2d")
            tx = torch.from_numpy(x)
            lx = tx.contiguous(memory_format=torch.channels_last)
            found["torch"] = lambda: pool(tx, 1)
            found["torch (channels_last)"] = lambda: pool(lx, 1)
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for kind in ("max", "avg"):
        op = f"{kind}_pool2d"
        for name, (layer, short) in LAYERS.items():
            found.append(Case(op, name, _forward(kind, layer), layer.flops, layer.bytes, full=not short))
            found.append(
                Case(
                    f"{op} training",
                    name,
                    _training(kind, layer),
                    2 * layer.flops,
                    2 * layer.bytes,
                    full=not short,
                )
            )
        for name, shape in GLOBAL.items():
            n = float(np.prod(shape))
            found.append(Case(f"adaptive_{op}", f"global, {name}", _global(kind, shape), n, 4 * n))
    return found
