"""Cross-entropy over the class counts of digits, ImageNet and GPT-2."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

SHAPES = {"64 x 10": (64, 10), "256 x 1000": (256, 1000), "64 x 50257": (64, 50257)}


def _cross_entropy(shape: tuple[int, int]) -> Any:
    def candidates() -> dict:
        x, y = random(*shape), np.random.default_rng(0).integers(0, shape[1], shape[0])

        def numpy() -> Any:
            top = x.max(1)
            return np.mean(np.log(np.exp(x - top[:, None]).sum(1)) + top - x[np.arange(len(y)), y])

        found = {"nnkern": lambda: nnkern.cross_entropy(x, y), "numpy": numpy}
        if torch := torch_module():
            tx, ty = torch.from_numpy(x), torch.from_numpy(y)
            found["torch"] = lambda: torch.nn.functional.cross_entropy(tx, ty)
        return found

    return candidates


def cases() -> list[Case]:
    return [
        Case("cross_entropy", name, _cross_entropy(shape), bytes=4.0 * shape[0] * shape[1])
        for name, shape in SHAPES.items()
    ]
