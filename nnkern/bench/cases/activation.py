"""Activations in the L1 cache (32 KB) and in memory (50 MB)."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import FUNCTION_FLOPS, Case, random, torch_module
from .elementwise import SIZES, unary


def _sigmoid(x: np.ndarray) -> np.ndarray:
    y = np.negative(x)
    np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    y = x * x
    y *= 0.044715
    y += 1
    y *= x
    y *= 0.7978845608028654
    np.tanh(y, out=y)
    y += 1
    y *= x
    y *= 0.5
    return y


NUMPY: dict[str, Any] = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "sigmoid": _sigmoid}
USUAL: dict[str, Any] = {"sigmoid": lambda x: 1 / (1 + np.exp(-x))}


def _approximate_gelu(n: int) -> Any:
    """GPT-2's gelu, with tanh."""

    def candidates() -> dict:
        x = random(n)
        found = {
            "nnkern": lambda: nnkern.gelu(x, "tanh"),
            "numpy": lambda: _gelu_tanh(x),
            "numpy (usual)": lambda: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        }
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: torch.nn.functional.gelu(tx, approximate="tanh")
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for size, n in SIZES.items():
        for name in ("tanh", "sigmoid", "relu", "gelu"):
            work = float(FUNCTION_FLOPS.get(name, 1)) * n, 8.0 * n
            found.append(Case(name, size, unary(name, n, NUMPY.get(name), USUAL.get(name)), *work))
        work = float(FUNCTION_FLOPS["gelu_tanh"]) * n, 8.0 * n
        found.append(Case("gelu", f"{size}, tanh form", _approximate_gelu(n), *work))
    return found
