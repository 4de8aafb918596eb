"""Softmax, its logarithm and its relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..function import Function
from ..random import generator
from ..tensor import Tensor
from ._loss_common import any_kind
from .arithmetic import add, div, mul, neg, sub
from .elementwise import astype, exp
from .reduce import sum

__all__ = ["gumbel_softmax", "log_softmax", "softmax", "softmin"]


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


def _usual(x: Any, dim: int | None) -> int:
    """The dim that PyTorch takes where none is given."""
    if dim is not None:
        return dim
    return 0 if np.ndim(x) in (0, 1, 3) else 1


def softmax(x: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along dim: positive numbers that add up to 1. Computed about the maximum: no overflow.

    dim: None is PyTorch's choice, 0 for arrays of 0, 1 and 3 dims and 1 for others: give dim=-1 if the last one is
    meant. dtype: what x is converted to first. A row of which all is -Inf gives NaN. Raises IndexError for a dim that does
    not exist.

    >>> nnkern.softmax(np.zeros((1, 2)), dim=-1)
    array([[0.5, 0.5]])
    """
    return Softmax(_usual(x, dim))(x if dtype is None else astype(x, dtype))


def log_softmax(x: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """x - log(sum(exp(x))) along dim (None: see softmax): the logarithm of softmax, exact where softmax would be 0."""
    return LogSoftmax(_usual(x, dim))(x if dtype is None else astype(x, dtype))


def softmin(x: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """softmax(-x): the smallest x gets the largest share. dim: see softmax."""
    return softmax(neg(x if dtype is None else astype(x, dtype)), dim)


@any_kind
def gumbel_softmax(
    logits: Any, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """softmax((logits + g) / tau) along dim, g Gumbel noise: a sample of the classes that gradients pass.

    hard: the sample itself, one-hot, with the gradient of the soft one. The noise comes from manual_seed's generator.
    eps does nothing, as in PyTorch. Raises ValueError unless tau > 0. Jang et al., arXiv 1611.01144; Maddison et al., arXiv 1611.00712.

    >>> gumbel_softmax(np.zeros((2, 3)), hard=True).sum(1)
    array([1., 1.])
    """
    if not tau > 0:
        raise ValueError(f"gumbel_softmax: tau must be greater than 0, got {tau}")
    noise = -np.log(generator().standard_exponential(tuple(logits.shape)))
    y = softmax(div(add(logits, noise.astype(logits.dtype)), float(tau)), dim)
    if not hard:
        return y
    soft = y.data if isinstance(y, Tensor) else y
    picked = np.zeros_like(soft)
    np.put_along_axis(picked, np.argmax(soft, dim, keepdims=True), 1, dim)
    return add(sub(y, soft), picked) if isinstance(y, Tensor) else picked
