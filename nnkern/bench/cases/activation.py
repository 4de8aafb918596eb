"""Activations in the L1 cache (32 KB) and in memory (50 MB)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..case import Case
from .elementwise import SIZES, unary


def _sigmoid(x: np.ndarray) -> np.ndarray:
    y = np.negative(x)
    np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)


NUMPY: dict[str, Any] = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "sigmoid": _sigmoid}


def cases() -> list[Case]:
    return [
        Case(name, size, unary(name, n, NUMPY.get(name)), bytes=8.0 * n)
        for size, n in SIZES.items()
        for name in ("tanh", "sigmoid", "relu", "gelu")
    ]
