"""Losses element by element: a batch of regressions, a batch of multi-label logits, images; forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import FUNCTION_FLOPS, Case, random, torch_module

SHAPES = {"64 x 100": (64, 100), "32 x 3 x 224 x 224": (32, 3, 224, 224)}
# name: arithmetic operations per element, whether the target is a probability
LOSSES = {
    "mse_loss": (3, False),
    "l1_loss": (3, False),
    "smooth_l1_loss": (6, False),
    "binary_cross_entropy": (2 * FUNCTION_FLOPS["log"], True),
    "binary_cross_entropy_with_logits": (FUNCTION_FLOPS["exp"] + FUNCTION_FLOPS["log"], True),
    "kl_div": (FUNCTION_FLOPS["log"], True),
}


def _formula(name: str, x: np.ndarray, t: np.ndarray) -> Any:
    if name == "mse_loss":
        d = x - t
        return np.vdot(d, d) / d.size
    if name == "l1_loss":
        return np.abs(x - t).mean()
    if name == "smooth_l1_loss":
        d = np.abs(x - t)
        return np.where(d < 1, 0.5 * d * d, d - 0.5).mean()
    if name == "binary_cross_entropy":
        return -(t * np.log(x) + (1 - t) * np.log1p(-x)).mean()
    if name == "kl_div":
        return (t * (np.log(t) - x)).sum()
    return ((1 - t) * x + np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x)))).mean()


def _loss(name: str, shape: tuple[int, ...], backward: bool) -> Any:
    def candidates() -> dict:
        x, t = random(*shape), random(*shape, seed=1)
        if LOSSES[name][1]:
            t = 1 / (1 + np.exp(-t))
        if name == "binary_cross_entropy":
            x = 1 / (1 + np.exp(-x))
        options = {"reduction": "sum"} if name == "kl_div" else {}

        def train(library: Any, tensor: Any, target: Any) -> Any:
            def run() -> Any:
                tensor.grad = None
                getattr(library, name)(tensor, target, **options).backward()
                return tensor.grad

            return run

        torch = torch_module()
        if backward:
            found = {"nnkern": train(nnkern, nnkern.Tensor(x, requires_grad=True), nnkern.Tensor(t))}
            if torch:
                leaf = torch.tensor(x, requires_grad=True)
                found["torch"] = train(torch.nn.functional, leaf, torch.from_numpy(t))
            return found
        found = {
            "nnkern": lambda: getattr(nnkern, name)(x, t, **options),
            "numpy": lambda: _formula(name, x, t),
        }
        if torch:
            tx, tt = torch.from_numpy(x), torch.from_numpy(t)
            found["torch"] = lambda: getattr(torch.nn.functional, name)(tx, tt, **options)
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for name, (work, _) in LOSSES.items():
        for size, shape in SHAPES.items():
            n = float(np.prod(shape))
            for backward in (False, True):
                title = f"{name}, training" if backward else name
                full = name in ("l1_loss", "smooth_l1_loss", "kl_div")
                found.append(
                    Case(title, size, _loss(name, shape, backward), (1 + backward) * work * n, (8 + 12 * backward) * n,
                         full=full)
                )  # fmt: skip
    return found
