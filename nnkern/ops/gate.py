"""Activations of several parts of x: gated linear units and maxout."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..function import Function
from ..tensor import Tensor
from .activation import gelu, gelu_slope, sigmoid, silu, silu_slope
from .arithmetic import mul, sub
from .join import cat, chunk
from .shape import broadcast_to, reshape

__all__ = ["geglu", "glu", "maxout", "swiglu"]


class GLU(Function):
    """y = f(a, b), a and b the halves of x along dim; saves x."""

    name = "glu"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return getattr(self.kernels, f"{self.name}_forward")(x, self.dim)

    def backward(self, gy: Any) -> Any:
        x = self.saved[0]
        if not isinstance(gy, Tensor):
            return getattr(self.kernels, f"{self.name}_backward")(gy, x, self.dim)
        return cat([mul(gy, slope) for slope in self.slopes(*chunk(x, 2, self.dim))], self.dim)

    def slopes(self, a: Any, b: Any) -> tuple[Any, Any]:
        s = sigmoid(b)
        return s, mul(a, mul(s, sub(1.0, s)))


def glu(x: Any, dim: int = -1) -> Any:
    """a sigmoid(b), where a and b are the halves of x along dim.

    Raises ValueError for a dim of odd length. Dauphin et al. 2016, arXiv 1612.08083.

    >>> nnkern.glu(np.array([3.0, 0.0]))
    array([1.5])
    """
    return GLU(dim)(x)


class SwiGLU(GLU):
    name = "swiglu"

    def slopes(self, a: Any, b: Any) -> tuple[Any, Any]:
        return mul(b, silu_slope(a)), silu(a)


def swiglu(x: Any, dim: int = -1) -> Any:
    """silu(a) b, where a and b are the halves of x along dim: the gate comes first.

    Raises ValueError for a dim of odd length. Shazeer 2020, arXiv 2002.05202.
    """
    return SwiGLU(dim)(x)


class GeGLU(GLU):
    name = "geglu"

    def slopes(self, a: Any, b: Any) -> tuple[Any, Any]:
        return mul(b, gelu_slope(a, "gelu")), gelu(a)


class GeGLUTanh(GLU):
    name = "geglu_tanh"

    def slopes(self, a: Any, b: Any) -> tuple[Any, Any]:
        return mul(b, gelu_slope(a, "gelu_tanh")), gelu(a, "tanh")


def geglu(x: Any, dim: int = -1, approximate: str = "none") -> Any:
    """gelu(a) b, where a and b are the halves of x along dim: the gate comes first. `approximate` as in gelu.

    Raises ValueError for a dim of odd length. Shazeer 2020, arXiv 2002.05202.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"geglu: approximate must be 'none' or 'tanh', got '{approximate}'")
    return (GeGLU if approximate == "none" else GeGLUTanh)(dim)(x)


class Maxout(Function):
    def __init__(self, pieces: int, dim: int) -> None:
        self.pieces, self.dim = pieces, dim

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.kernels.maxout_forward(x, self.pieces, self.dim)

    def backward(self, gy: Any) -> Any:
        x = self.saved[0]
        if not isinstance(gy, Tensor):
            return self.kernels.maxout_backward(gy, x, self.pieces, self.dim)
        winners = self.kernels.maxout_backward(np.ones_like(gy.data), x.data, self.pieces, self.dim)
        d, shape = self.dim % x.ndim, gy.shape
        each = reshape(gy, (*shape[: d + 1], 1, *shape[d + 1 :]))
        each = broadcast_to(each, (*shape[: d + 1], self.pieces, *shape[d + 1 :]))
        return mul(reshape(each, x.shape), winners)


def maxout(x: Any, pieces: int, dim: int = 1) -> Any:
    """The maximum of each `pieces` neighbours along dim, which becomes shorter by that factor: (N, C, ...) ->
    (N, C / pieces, ...). The gradient goes to the first of equals; NaN is larger than all.

    Raises ValueError if pieces does not divide the length of dim. Goodfellow et al. 2013, arXiv 1302.4389.

    >>> nnkern.maxout(np.array([[1.0, 5.0, 2.0, 3.0]]), 2)
    array([[5., 3.]])
    """
    return Maxout(pieces, dim)(x)
