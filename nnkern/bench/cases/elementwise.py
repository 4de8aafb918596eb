"""Elementwise functions in the L1 cache (32 KB) and in memory (50 MB)."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

SIZES = {"32 KB": 8192, "50 MB": 12_500_000}
UNARY = ("exp", "tanh", "sigmoid", "erf", "log", "relu", "gelu")
BINARY = ("add", "mul", "div", "maximum")


def _sigmoid(x: np.ndarray) -> np.ndarray:
    y = np.negative(x)
    np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)


NUMPY: dict[str, Any] = {
    "add": np.add, "mul": np.multiply, "div": np.divide, "maximum": np.maximum, "exp": np.exp, "tanh": np.tanh,
    "log": np.log, "relu": lambda x: np.maximum(x, 0), "sigmoid": _sigmoid,
}  # fmt: skip


def _torch_function(torch: Any, name: str) -> Any:
    return getattr(torch, name) if hasattr(torch, name) else getattr(torch.nn.functional, name)


def _unary(name: str, n: int) -> Any:
    def candidates() -> dict:
        x = random(n)
        x = np.abs(x) + np.float32(0.1) if name == "log" else x
        found = {"nnkern": lambda: getattr(nnkern, name)(x)}
        if name in NUMPY:
            found["numpy"] = lambda: NUMPY[name](x)
        if torch := torch_module():
            tx, f = torch.from_numpy(x), _torch_function(torch, name)
            found["torch"] = lambda: f(tx)
        return found

    return candidates


def _binary(name: str, n: int) -> Any:
    def candidates() -> dict:
        x, y = random(n), random(n, seed=1)
        found = {"nnkern": lambda: getattr(nnkern, name)(x, y), "numpy": lambda: NUMPY[name](x, y)}
        if torch := torch_module():
            tx, ty, f = torch.from_numpy(x), torch.from_numpy(y), _torch_function(torch, name)
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
    found = []
    for size, n in SIZES.items():
        for name in BINARY:
            full = name in ("div", "maximum")
            found.append(Case(name, size, _binary(name, n), bytes=12.0 * n, full=full))
        for name in UNARY:
            full = name in ("log", "erf")
            found.append(Case(name, size, _unary(name, n), bytes=8.0 * n, full=full))
    found.append(Case("add", "bias 512 x 768", _bias(512, 768), bytes=8.0 * 512 * 768))
    return found
