"""Sorting of rows, the best classes of a picture, the best tokens of a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

SORTED = {"64 x 1000": (64, 1000), "1 x 1000000": (1, 1000000), "4096 x 16": (4096, 16)}
TOP = {
    "5 of 256 x 1000": ((256, 1000), 5),
    "50 of 8 x 50257": ((8, 50257), 50),
    "2000 of 4 x 20000": ((4, 20000), 2000),
}


def _sort(shape: tuple[int, int]) -> Any:
    def candidates() -> dict:
        x = random(*shape)
        found = {
            "nnkern": lambda: nnkern.sort(x).values,
            "numpy": lambda: np.take_along_axis(x, np.argsort(x, 1), 1),
        }
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: torch.sort(tx).values
        return found

    return candidates


def _topk(shape: tuple[int, int], k: int) -> Any:
    def candidates() -> dict:
        x = random(*shape)

        def numpy() -> Any:
            best = np.take_along_axis(x, np.argpartition(x, -k, 1)[:, -k:], 1)
            return -np.sort(-best, 1)

        found = {"nnkern": lambda: nnkern.topk(x, k).values, "numpy": numpy}
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: torch.topk(tx, k).values
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for name, shape in SORTED.items():
        n = float(shape[0] * shape[1])
        found.append(Case("sort", name, _sort(shape), n * float(np.log2(shape[1])), 16 * n))
    for name, (shape, k) in TOP.items():
        n = float(shape[0] * shape[1])
        found.append(Case("topk", name, _topk(shape, k), n, 4 * n + 12.0 * shape[0] * k))
    return found
