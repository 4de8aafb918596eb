"""Gated activations of feed-forward layers: tokens x twice the width."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import FUNCTION_FLOPS, Case, random, torch_module

SHAPES = {"128 x 4096": (128, 4096), "2048 x 11008": (2048, 11008)}


def _numpy(name: str, x: np.ndarray) -> np.ndarray:
    a, b = np.split(x, 2, -1)
    gate, other = (b, a) if name == "glu" else (a, b)
    y = np.negative(gate)
    np.exp(y, out=y)
    y += 1
    if name == "glu":
        return np.divide(other, y, out=y)
    np.divide(a, y, out=y)
    y *= b
    return y


def _torch(torch: Any, name: str, x: Any) -> Any:
    if name == "glu":
        return torch.nn.functional.glu(x)
    a, b = x.chunk(2, -1)
    return torch.nn.functional.silu(a) * b


def _gate(name: str, shape: tuple[int, int], backward: bool) -> Any:
    def candidates() -> dict:
        x, gy = random(*shape), random(shape[0], shape[1] // 2, seed=1)
        ours = getattr(nnkern, name)
        if not backward:
            found = {"nnkern": lambda: ours(x), "numpy": lambda: _numpy(name, x)}
            if torch := torch_module():
                tx = torch.from_numpy(x)
                found["torch"] = lambda: _torch(torch, name, tx)
            return found
        t = nnkern.Tensor(x, requires_grad=True)
        found = {"nnkern": lambda: nnkern.grad(ours(t), t, nnkern.Tensor(gy))[0].numpy()}
        if torch := torch_module():
            leaf, tg = torch.tensor(x, requires_grad=True), torch.from_numpy(gy)
            found["torch"] = lambda: torch.autograd.grad(_torch(torch, name, leaf), leaf, tg)[0]
        return found

    return candidates


def _maxout(shape: tuple[int, ...], pieces: int) -> Any:
    def candidates() -> dict:
        x = random(*shape)
        groups = (shape[0], shape[1] // pieces, pieces, *shape[2:])
        found = {
            "nnkern": lambda: nnkern.maxout(x, pieces),
            "numpy": lambda: x.reshape(groups).max(2),
        }
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: tx.view(groups).amax(2)
        return found

    return candidates


def cases() -> list[Case]:
    found = [
        Case(
            "maxout",
            f"{' x '.join(map(str, shape))}, {k} pieces",
            _maxout(shape, k),
            n,
            4 * n * (1 + 1 / k),
            full=True,
        )
        for shape, k, n in (((512, 2048), 4, 512.0 * 2048), ((32, 64, 28, 28), 2, 32 * 64 * 784.0))
    ]
    for size, shape in SHAPES.items():
        n = float(shape[0] * shape[1])
        for name in ("glu", "swiglu"):
            work = FUNCTION_FLOPS["sigmoid"] * n / 2
            full = name == "glu"
            found.append(Case(name, size, _gate(name, shape, False), work, 6 * n, full=full))
            found.append(
                Case(name, f"{size}, training", _gate(name, shape, True), 3 * work, 16 * n, full=full)
            )
    return found
