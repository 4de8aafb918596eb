"""Dropout (Srivastava et al. 2014)."""

from __future__ import annotations

from typing import Any

from ..function import Function
from ..random import next_seed

__all__ = ["dropout"]


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
