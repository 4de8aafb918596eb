"""layer_norm and rms_norm of transformers, forward and training step; the addition before it fused or not."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

# rows x width: a small GPT's batch, BERT's, a large model's
SHAPES = {"1024 x 192": (1024, 192), "2048 x 768": (2048, 768), "1024 x 4096": (1024, 4096)}


def _forward(name: str, shape: tuple[int, int]) -> Any:
    def candidates() -> dict:
        x, w, b, n = random(*shape), random(shape[1]), random(shape[1], seed=1), shape[1]
        rms = name == "rms_norm"
        eps = np.float32(1e-5)

        def numpy() -> Any:
            y = x.copy() if rms else x - x.mean(1, keepdims=True)
            y *= (1 / np.sqrt(np.einsum("ij,ij->i", y, y) / np.float32(n) + eps))[:, None]
            y *= w
            if not rms:
                y += b
            return y

        def usual() -> Any:
            if rms:
                return x / np.sqrt((x**2).mean(1, keepdims=True) + eps) * w
            return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + eps) * w + b

        args = (w,) if rms else (w, b)
        found = {
            "nnkern": lambda: getattr(nnkern, name)(x, n, *args, eps=1e-5),
            "numpy": numpy,
            "numpy (usual)": usual,
        }
        if torch := torch_module():
            tx, *targs = (torch.from_numpy(a) for a in (x, *args))
            found["torch"] = lambda: getattr(torch.nn.functional, name)(tx, (n,), *targs, eps=1e-5)
        return found

    return candidates


def _training(name: str, shape: tuple[int, int]) -> Any:
    def candidates() -> dict:
        n, count = shape[1], 1 if name == "rms_norm" else 2
        arrays = random(*shape), *(random(n, seed=i) for i in range(count))
        gy = random(*shape, seed=2)
        ours, ng = [nnkern.Tensor(a, requires_grad=True) for a in arrays], nnkern.Tensor(gy)
        norm = getattr(nnkern, name)
        found = {"nnkern": lambda: nnkern.grad(norm(ours[0], n, *ours[1:], eps=1e-5), ours, ng)}
        if torch := torch_module():
            theirs, tg = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays], torch.from_numpy(gy)
            f = getattr(torch.nn.functional, name)
            found["torch"] = lambda: torch.autograd.grad(
                f(theirs[0], (n,), *theirs[1:], eps=1e-5), theirs, tg
            )
        return found

    return candidates


def _addition(shape: tuple[int, int]) -> Any:
    def candidates() -> dict:
        x, r, w, b, n = (
            random(*shape),
            random(*shape, seed=3),
            random(shape[1]),
            random(shape[1], seed=1),
            shape[1],
        )
        found = {"nnkern": lambda: nnkern.add_layer_norm(x, r, n, w, b)}
        if torch := torch_module():
            tx, tr, tw, tb = (torch.from_numpy(a) for a in (x, r, w, b))

            def theirs() -> Any:
                h = tx + tr
                return torch.nn.functional.layer_norm(h, (n,), tw, tb), h

            found["torch"] = theirs
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for size, shape in SHAPES.items():
        n = float(shape[0] * shape[1])
        for name in ("layer_norm", "rms_norm"):
            rms = name == "rms_norm"
            found.append(Case(name, size, _forward(name, shape), (5 if rms else 8) * n, 8 * n, full=rms))
            found.append(
                Case(f"{name} training", size, _training(name, shape), (16 if rms else 22) * n, 20 * n, full=rms,
                     tolerance=1e-3)
            )  # fmt: skip
        found.append(
            Case("add + layer_norm", size, _addition(shape), 9 * n, 16 * n, full=size != "2048 x 768")
        )
    return found
