"""Dropout (Srivastava et al. 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..function import Function
from ..random import next_seed
from .arithmetic import mul

__all__ = ["dropout", "dropout2d"]


class Dropout(Function):
    def __init__(self, p: float, seed: int) -> None:
        self.p, self.seed = p, seed

    def forward(self, x: Any) -> Any:
        return self.kernels.dropout_forward(x, self.p, self.seed)

    def backward(self, gy: Any) -> Any:
        return Dropout(self.p, self.seed)(gy)


def dropout(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """While training: each element becomes 0 with probability p, else x / (1 - p); otherwise x itself.

    The choice is a hash of a seed (drawn from nnkern.manual_seed's generator) and the element's place, so no
    mask is kept for backward. Raises ValueError unless 0 <= p <= 1.

    >>> dropout(np.ones(3), p=0.0).tolist()
    [1.0, 1.0, 1.0]
    """
    if not training or p == 0:
        return x
    return Dropout(p, next_seed())(x)


class Dropout2d(Function):
    def __init__(self, p: float, seed: int) -> None:
        self.p, self.seed = p, seed

    def forward(self, x: Any) -> Any:
        if x.ndim < 3:
            raise ValueError(
                f"dropout2d: input must be (N, C, ...) with at least 3 axes (input.shape={x.shape})"
            )
        channels = np.ones(x.shape[:2] + (1,) * (x.ndim - 2), x.dtype)
        self.saved = (self.kernels.dropout_forward(channels, self.p, self.seed),)
        return self.kernels.mul_forward(x, self.saved[0], None)

    def backward(self, gy: Any) -> Any:
        return mul(gy, self.saved[0])


def dropout2d(input: Any, p: float = 0.5, training: bool = True) -> Any:
    """dropout of whole channels: each (n, c) plane of an (N, C, ...) array becomes 0, or is divided by 1 - p.

    Raises ValueError unless 0 <= p <= 1. Tompson et al. 2015.

    >>> dropout2d(np.ones((1, 1, 2)), p=0.0).tolist()
    [[[1.0, 1.0]]]
    """
    if not training or p == 0:
        return input
    return Dropout2d(p, next_seed())(input)
