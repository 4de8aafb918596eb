"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from ..function import Function
from ..tensor import Tensor
from .arithmetic import mul, sub
from .elementwise import exp
from .reduce import sum

__all__ = ["log_softmax", "softmax"]


class Softmax(Function):
    log = False

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        self.saved = (self.kernels.softmax_forward(x, self.dim, self.log),)
        return self.saved[0]

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        if not isinstance(gy, Tensor):
            return self.kernels.softmax_backward(gy, y, self.dim, self.log)
        if self.log:
            return sub(gy, mul(exp(y), sum(gy, self.dim, True)))
        return mul(y, sub(gy, sum(mul(gy, y), self.dim, True)))


class LogSoftmax(Softmax):
    log = True


def softmax(x: Any, dim: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along dim: positive numbers that add up to 1. Computed about the maximum: no overflow.

    A row of which all is -Inf gives NaN. Raises IndexError for a dim that does not exist.

    >>> nnkern.softmax(np.zeros((1, 2)))
    array([[0.5, 0.5]])
    """
    return Softmax(dim)(x)


def log_softmax(x: Any, dim: int = -1) -> Any:
    """x - log(sum(exp(x))) along dim: the logarithm of softmax, exact where softmax would be 0."""
    return LogSoftmax(dim)(x)
