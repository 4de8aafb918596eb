"""softmax and log_softmax over the class counts of digits, ImageNet and GPT-2."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

SHAPES = {"64 x 10": (64, 10), "256 x 1000": (256, 1000), "64 x 50257": (64, 50257)}


def _softmax(name: str, shape: tuple[int, int]) -> Any:
    def candidates() -> dict:
        x = random(*shape)

        def numpy() -> Any:
            z = x - x.max(1, keepdims=True)
            if name == "log_softmax":
                return z - np.log(np.exp(z).sum(1, keepdims=True))
            np.exp(z, out=z)
            z /= z.sum(1, keepdims=True)
            return z

        found = {"nnkern": lambda: getattr(nnkern, name)(x, 1), "numpy": numpy}
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: getattr(torch, name)(tx, 1)
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for size, shape in SHAPES.items():
        n = shape[0] * shape[1]
        found.append(Case("softmax", size, _softmax("softmax", shape), bytes=8.0 * n))
        found.append(Case("log_softmax", size, _softmax("log_softmax", shape), bytes=8.0 * n, full=True))
    return found
