"""Cross-entropy over the class counts of digits, ImageNet and GPT-2."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import FUNCTION_FLOPS, Case, random, torch_module

SHAPES = {"64 x 10": (64, 10), "256 x 1000": (256, 1000), "64 x 50257": (64, 50257)}


def _cross_entropy(shape: tuple[int, int]) -> Any:
    def candidates() -> dict:
        x, y = random(*shape), np.random.default_rng(0).integers(0, shape[1], shape[0])

        def numpy() -> Any:
            top = x.max(1)
            z = x - top[:, None]
            np.exp(z, out=z)
            return np.mean(np.log(z.sum(1)) + top - x[np.arange(len(y)), y])

        def usual() -> Any:
            e = np.exp(x - x.max(axis=1, keepdims=True))
            p = e / e.sum(axis=1, keepdims=True)
            one_hot = np.zeros_like(x)
            one_hot[np.arange(len(y)), y] = 1
            return -np.mean(np.sum(one_hot * np.log(p), axis=1))

        found = {"nnkern": lambda: nnkern.cross_entropy(x, y), "numpy": numpy, "numpy (usual)": usual}
        if torch := torch_module():
            tx, ty = torch.from_numpy(x), torch.from_numpy(y)
            found["torch"] = lambda: torch.nn.functional.cross_entropy(tx, ty)
        return found

    return candidates


def cases() -> list[Case]:
    return [
        Case(
            "cross_entropy",
            name,
            _cross_entropy(shape),
            FUNCTION_FLOPS["exp"] * float(np.prod(shape)),
            4.0 * shape[0] * shape[1],
        )  # fmt: skip
        for name, shape in SHAPES.items()
    ]
