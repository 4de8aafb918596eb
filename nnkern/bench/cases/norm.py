"""batch_norm of ResNets and of an MLP: training step, and fused with ReLU (and a residual); group_norm and LRN."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

# shape, and whether the short run has it
SHAPES = {
    "ResNet 64 x 56, batch 32": ((32, 64, 56, 56), True),
    "ResNet 256 x 14, batch 8": ((8, 256, 14, 14), True),
    "CIFAR 64 x 16, batch 32": ((32, 64, 16, 16), False),
    "MLP 512, batch 64": ((64, 512), True),
}


def _layouts(torch: Any, *arrays: Any) -> dict[str, tuple]:
    """The same arrays as torch tensors, in both memory formats if they are images."""
    tensors = tuple(torch.from_numpy(a) for a in arrays)
    found = {"torch": tensors}
    if tensors[0].ndim == 4:
        last = torch.channels_last
        found["torch (channels_last)"] = tuple(t.contiguous(memory_format=last) for t in tensors)
    return found


def _numpy(x: np.ndarray, w: np.ndarray, b: np.ndarray, residual: np.ndarray | None) -> np.ndarray:
    """Scale and shift from sums, then passes in place."""
    axes, place = (0, *range(2, x.ndim)), (slice(None), *(None,) * (x.ndim - 2))
    mean = x.mean(axes)
    square = np.einsum("nchw,nchw->c" if x.ndim == 4 else "nc,nc->c", x, x) / np.float32(x.size // x.shape[1])
    scale = w / np.sqrt(square - mean * mean + np.float32(1e-5))
    y = x * scale[place]
    y += (b - mean * scale)[place]
    if residual is not None:
        y += residual
    return np.maximum(y, 0, out=y)


def _usual(x: np.ndarray, w: np.ndarray, b: np.ndarray, residual: np.ndarray | None) -> np.ndarray:
    axes, place = (0, *range(2, x.ndim)), (slice(None), *(None,) * (x.ndim - 2))
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5) * w[place] + b[place]
    return np.maximum(y if residual is None else y + residual, 0)


def _fused(shape: tuple[int, ...], with_residual: bool) -> Any:
    """Training forward with ReLU."""

    def candidates() -> dict:
        x, r, w, b = random(*shape), random(*shape, seed=1), random(shape[1]), random(shape[1], seed=1)
        residual = r if with_residual else None
        found = {
            "nnkern": lambda: nnkern.batch_norm(
                x, None, None, w, b, True, activation="relu", residual=residual
            ),
            "numpy": lambda: _numpy(x, w, b, residual),
            "numpy (usual)": lambda: _usual(x, w, b, residual),
        }
        if torch := torch_module():
            norm = torch.nn.functional.batch_norm
            tw, tb = torch.from_numpy(w), torch.from_numpy(b)

            def theirs(tx: Any, tr: Any) -> Any:
                def run() -> Any:
                    y = norm(tx, None, None, tw, tb, True)
                    return (y.add_(tr) if with_residual else y).relu_()

                return run

            for name, (tx, tr) in _layouts(torch, x, r).items():
                found[name] = theirs(tx, tr)
        return found

    return candidates


def _training(shape: tuple[int, ...]) -> Any:
    """Forward and backward, with running statistics."""

    def candidates() -> dict:
        x, gy, w, b = random(*shape), random(*shape, seed=2), random(shape[1]), random(shape[1], seed=1)
        state = random(2, shape[1]) ** 2
        nx, nw, nb = (nnkern.Tensor(a, requires_grad=True) for a in (x, w, b))
        mean, var, ng = (nnkern.Tensor(a) for a in (state[0].copy(), state[1].copy(), gy))

        def ours() -> Any:
            return nnkern.grad(nnkern.batch_norm(nx, mean, var, nw, nb, True), (nx, nw, nb), ng)

        found = {"nnkern": ours}
        if torch := torch_module():
            norm = torch.nn.functional.batch_norm

            def theirs(tx: Any, tg: Any) -> Any:
                tw, tb = (torch.from_numpy(a).requires_grad_() for a in (w.copy(), b.copy()))
                tm, tv = (torch.from_numpy(a.copy()) for a in state)
                tx = tx.detach().requires_grad_()
                return lambda: torch.autograd.grad(norm(tx, tm, tv, tw, tb, True), (tx, tw, tb), tg)

            for name, (tx, tg) in _layouts(torch, x, gy).items():
                found[name] = theirs(tx, tg)
        return found

    return candidates


def _forward(op: str, shape: tuple[int, ...], option: int) -> Any:
    def candidates() -> dict:
        x = random(*shape)
        found = {"nnkern": partial(getattr(nnkern, op), x, option)}
        if torch := torch_module():
            for name, (tx,) in _layouts(torch, x).items():
                found[name] = partial(getattr(torch.nn.functional, op), tx, option)
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for name, (shape, short) in SHAPES.items():
        size = float(math.prod(shape))
        n = 4 * size
        # Bytes that must move: x, gy, gx and twice y of a training step; x (and residual) and y forward.
        found.append(
            Case(
                "batch_norm training",
                name,
                _training(shape),
                13 * size,
                5 * n,
                full=not short,
                tolerance=1e-3,
            )
        )
        found.append(Case("batch_norm + relu", name, _fused(shape, False), 6 * size, 2 * n, full=not short))
        if len(shape) == 4:
            found.append(
                Case(
                    "batch_norm + residual + relu", name, _fused(shape, True), 7 * size, 3 * n, full=not short
                )
            )
    images = 8 * 256 * 14 * 14 * 4.0
    found.append(
        Case(
            "group_norm",
            "32 groups, 256 x 14",
            _forward("group_norm", (8, 256, 14, 14), 32),
            5 * images / 4,
            2 * images,
        )
    )
    alexnet = 8 * 64 * 55 * 55 * 4.0
    found.append(
        Case(
            "local_response_norm",
            "AlexNet 64 x 55",
            _forward("local_response_norm", (8, 64, 55, 55), 5),
            15 * alexnet / 4,  # five squares and sums, a power that is two roots
            2 * alexnet,
        )
    )
    return found
