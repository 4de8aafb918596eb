"""Sums, products and quotients in the L1 cache (32 KB) and in memory (50 MB)."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module
from .elementwise import SIZES, torch_function

NUMPY = {"add": np.add, "mul": np.multiply, "div": np.divide, "maximum": np.maximum}


def binary(name: str, n: int) -> Any:
    def candidates() -> dict:
        x, y = random(n), random(n, seed=1)
        found = {"nnkern": lambda: getattr(nnkern, name)(x, y), "numpy": lambda: NUMPY[name](x, y)}
        if torch := torch_module():
            tx, ty, f = torch.from_numpy(x), torch.from_numpy(y), torch_function(torch, name)
            found["torch"] = lambda: f(tx, ty)
        return found

    return candidates


def _bias(rows: int, columns: int) -> Any:
    def candidates() -> dict:
        x, b = random(rows, columns), random(columns, seed=1)
        found = {"nnkern": lambda: nnkern.add(x, b), "numpy": lambda: x + b}
        if torch := torch_module():
            tx, tb = torch.from_numpy(x), torch.from_numpy(b)
            found["torch"] = lambda: tx + tb
        return found

    return candidates


def cases() -> list[Case]:
    found = [
        Case(name, size, binary(name, n), 1.0 * n, 12.0 * n, full=name == "div")
        for size, n in SIZES.items()
        for name in ("add", "mul", "div")
    ]
    bias = Case("add", "bias 512 x 768", _bias(512, 768), 512.0 * 768, 4.0 * (2 * 512 * 768 + 768))
    return [*found, bias]
