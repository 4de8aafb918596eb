"""Dropout of elements or whole channels (Srivastava et al. 2014), and alpha dropout (Klambauer et al. 2017).

The choice is a hash of a seed, drawn from nnkern.manual_seed's generator, and the element's place: no mask is kept for
backward, and the numbers are the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..function import Function
from ..inplace import change
from ..random import next_seed
from ..tensor import Tensor
from .arithmetic import mul

__all__ = [
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout",
]  # fmt: skip


class Dropout(Function):
    def __init__(self, p: float, seed: int) -> None:
        self.p, self.seed = p, seed

    def forward(self, x: Any) -> Any:
        return self.kernels.dropout_forward(x, self.p, self.seed)

    def backward(self, gy: Any) -> Any:
        return Dropout(self.p, self.seed)(gy)


class AlphaDropout(Dropout):
    def forward(self, x: Any) -> Any:
        return self.kernels.alpha_dropout_forward(x, self.p, self.seed)

    def backward(self, gy: Any) -> Any:
        return AlphaDropoutGrad(self.p, self.seed)(gy)


class AlphaDropoutGrad(Dropout):
    def forward(self, gy: Any) -> Any:
        return self.kernels.alpha_dropout_backward(gy, self.p, self.seed)

    def backward(self, g: Any) -> Any:
        return AlphaDropoutGrad(self.p, self.seed)(g)


class ChannelDropout(Function):
    """One choice for each of the first `axes` axes' places."""

    def __init__(self, p: float, seed: int, axes: int, alpha: bool) -> None:
        self.p, self.seed, self.axes, self.alpha = p, seed, axes, alpha

    def forward(self, x: Any) -> Any:
        ones = np.ones(x.shape[: self.axes] + (1,) * (x.ndim - self.axes), x.dtype)
        factor = self.kernels.alpha_dropout_backward if self.alpha else self.kernels.dropout_forward
        self.saved = (factor(ones, self.p, self.seed),)
        y = self.kernels.mul_forward(x, self.saved[0], None)
        if self.alpha:
            zeros = np.zeros_like(ones)
            y = self.kernels.add_forward(y, self.kernels.alpha_dropout_forward(zeros, self.p, self.seed), y)
        return y

    def backward(self, gy: Any) -> Any:
        return mul(gy, self.saved[0])


def _apply(make: Callable[[float, int], Function], x: Any, p: float, training: bool, inplace: bool) -> Any:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must lie in [0, 1], got {p}")
    if not training or p == 0:
        return x
    drop = make(p, next_seed())
    if not inplace:
        return drop(x)
    if isinstance(x, Tensor):
        return change(x, drop.name, drop)
    x[...] = drop(x)
    return x


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """While training: each element becomes 0 with probability p, else x / (1 - p); otherwise input itself.

    Raises ValueError unless 0 <= p <= 1. Semantics: torch.nn.functional.dropout.

    >>> nnkern.dropout(np.ones(3), p=0.0).tolist()
    [1.0, 1.0, 1.0]
    """
    if training and p != 0 and not inplace:
        return Dropout(p, next_seed())(input)
    return _apply(Dropout, input, p, training, inplace)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout for selu: mean 0 and variance 1 stay. An element becomes what selu saturates at with probability p.

    Then all go through a x + b, which restores mean and variance. Raises ValueError unless 0 <= p <= 1. Semantics:
    torch.nn.functional.alpha_dropout.

    >>> nnkern.alpha_dropout(np.ones(3), 0.0, True).tolist()
    [1.0, 1.0, 1.0]
    """
    return _apply(AlphaDropout, input, p, training, inplace)


def _channels(
    op: str, input: Any, p: float, training: bool, inplace: bool, ndims: tuple[int, int], alpha: bool = False
) -> Any:
    ndim, (least, most) = input.ndim, ndims
    if not least <= ndim <= most:
        wanted = f"{least} to {most}" if most < 32 else f"at least {least}"
        raise ValueError(
            f"{op}: input must be (N, C, ...) with {wanted} axes (input.shape={tuple(input.shape)})"
        )
    axes = 1 if ndim == least < most < 32 else 2

    def make(p: float, seed: int) -> Function:
        return ChannelDropout(p, seed, axes, alpha)

    return _apply(make, input, p, training, inplace)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """dropout of whole channels of (N, C, L) or (C, L): each becomes 0 with probability p, or is divided by 1 - p.

    Raises ValueError unless 0 <= p <= 1. Semantics: torch.nn.functional.dropout1d.

    >>> nnkern.dropout1d(np.ones((1, 2)), p=0.0).tolist()
    [[1.0, 1.0]]
    """
    return _channels("dropout1d", input, p, training, inplace, (2, 3))


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """dropout of whole channels: each (n, c) plane of an (N, C, ...) array becomes 0, or is divided by 1 - p.

    Raises ValueError unless 0 <= p <= 1. Semantics: torch.nn.functional.dropout2d, which takes three axes for (N, C, L)
    too. Tompson et al. 2015.

    >>> nnkern.dropout2d(np.ones((1, 1, 2)), p=0.0).tolist()
    [[[1.0, 1.0]]]
    """
    return _channels("dropout2d", input, p, training, inplace, (3, 32))


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """dropout of whole channels of (N, C, D, H, W) or (C, D, H, W): each becomes 0, or is divided by 1 - p.

    Raises ValueError unless 0 <= p <= 1. Semantics: torch.nn.functional.dropout3d.

    >>> nnkern.dropout3d(np.ones((1, 1, 1, 1)), p=0.0).tolist()
    [[[[1.0]]]]
    """
    return _channels("dropout3d", input, p, training, inplace, (4, 5))


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """alpha_dropout of whole channels of (N, C, ...). Semantics: torch.nn.functional.feature_alpha_dropout.

    >>> nnkern.feature_alpha_dropout(np.ones((1, 2)), 0.0, True).tolist()
    [[1.0, 1.0]]
    """
    return _channels("feature_alpha_dropout", input, p, training, inplace, (2, 32), alpha=True)
