"""Lengths and distances of vectors: vector_norm, normalize, cosine_similarity, pairwise_distance, pdist."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..function import Function
from ..tensor import Tensor
from ._loss_common import spread
from .arithmetic import add, div, mul, sub
from .compare import clamp, eq, gt, where
from .elementwise import abs as _abs
from .elementwise import pow as _pow
from .elementwise import sign
from .index import index_select
from .reduce import amax, amin
from .reduce import sum as _sum
from .shape import reshape, unsqueeze

__all__ = ["cosine_similarity", "normalize", "pairwise_distance", "pdist", "vector_norm"]


class Length(Function):
    """The Euclidean norm along an axis, which stays as 1; its gradient at 0 is 0."""

    name = "norm"

    def __init__(self, dim: Any) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        y = self.kernels.norm_forward(x, self.dim, True)
        self.saved = (x, y)
        return y

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        return mul(x, _share(gy, y))


class NonZero(Function):
    """1 where x is not 0. A step: the gradient is 0."""

    def forward(self, x: Any) -> Any:
        return np.asarray(x != 0, x.dtype)

    def backward(self, gy: Any) -> Any:
        return mul(gy, 0.0)


def _share(g: Any, y: Any) -> Any:
    """g / y, and 0 where y is 0."""
    zero = eq(y, 0.0)
    return where(zero, 0.0, div(g, where(zero, 1.0, y)))


def _norm(x: Any, p: float, dim: Any) -> Any:
    """(sum |x|^p)^(1/p) along dim, which stays as 1."""
    if p == 2:
        return Length(dim)(x)
    if p == 0:
        return _sum(NonZero()(x), dim, True)
    if p == 1:
        return _sum(_abs(x), dim, True)
    if math.isinf(p):
        return (amax if p > 0 else amin)(_abs(x), dim, True)
    size = _abs(x)
    if p < 1:  # at 0 the slope is infinite: 0 is given
        nothing = eq(size, 0.0)
        total = _sum(where(nothing, 0.0, _pow(where(nothing, 1.0, size), p)), dim, True)
    else:
        total = _sum(_pow(size, p), dim, True)
    zero = eq(total, 0.0)  # the root has no slope there: 0
    return where(zero, 0.0, _pow(where(zero, 1.0, total), 1 / p))


def vector_norm(x: Any, p: float = 2.0, dim: Any = None, keepdim: bool = False) -> Any:
    """(sum |x|^p)^(1/p) along dim (one axis, several, or None for all); the largest or smallest |x| for p = inf, -inf.

    p = 0 counts what is not 0. The gradient at 0 is 0. Semantics: torch.linalg.vector_norm.

    >>> nnkern.vector_norm(np.array([[3.0, 4.0], [0.0, 2.0]]), dim=1)
    array([5., 2.])
    """
    axes = tuple(range(x.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    y = _norm(x, p, axes)
    if keepdim:
        return y
    gone = {a % x.ndim for a in axes} if x.ndim else ()
    return reshape(y, tuple(n for i, n in enumerate(y.shape) if i not in gone))


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """input / max(norm, eps), the p-norm along dim.

    input: float32 or float64; dim: one axis or several. Returns an array of input's shape. Semantics:
    torch.nn.functional.normalize.

    >>> nnkern.normalize(np.array([[3.0, 4.0]]))
    array([[0.6, 0.8]])
    """
    ndim = getattr(input, "ndim", 0)
    if p == 2 and ndim and dim in (-1, ndim - 1):
        return Normalize(eps)(input)
    return div(input, clamp(_norm(input, p, dim), eps))


class RowDots(Function):
    """The products of rows, (..., width) with (..., width)."""

    name = "row_dots"

    def forward(self, x: Any, y: Any) -> Any:
        self.saved = (x, y)
        return self.kernels.row_dots_forward(x, y)

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        g = unsqueeze(gy, -1)
        return tuple(mul(g, other) if need else None for other, need in zip((y, x), self.needs_input_grad))


class Normalize(Function):
    """Rows over their lengths, along the last axis."""

    name = "normalize"

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, x: Any) -> Any:
        y = self.kernels.normalize_forward(x, self.eps)
        self.saved = (x, y)
        return y

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        length = _norm(x, 2, -1)
        along = where(gt(length, self.eps), _sum(mul(gy, y), -1, True), 0.0)  # only lengthens x
        return div(sub(gy, mul(y, along)), clamp(length, self.eps))


class CosineSimilarity(Function):
    """Along the last axis of arrays of one shape."""

    name = "cosine_similarity"

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, x: Any, y: Any) -> Any:
        cosine = self.kernels.cosine_similarity_forward(x, y, self.eps)
        self.saved = (x, y, cosine)
        return cosine

    def backward(self, gy: Any) -> Any:
        x, y, cosine = self.saved
        g = unsqueeze(gy, -1)
        lengths = [_norm(a, 2, -1) for a in (x, y)]
        clamped = [clamp(n, self.eps) for n in lengths]
        share, turned = div(g, mul(*clamped)), mul(g, unsqueeze(cosine, -1))

        def part(i: int) -> Any:
            """What one side gets: towards the other, less what only lengthens it."""
            own, other = (x, y) if i == 0 else (y, x)
            along = where(gt(lengths[i], self.eps), div(turned, mul(clamped[i], clamped[i])), 0.0)
            return sub(mul(share, other), mul(along, own))

        return tuple(part(i) if self.needs_input_grad[i] else None for i in range(2))


class PairwiseDistance(Function):
    """|x - y + eps| along the last axis of arrays of one shape; no slope at 0."""

    name = "pairwise_distance"

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, x: Any, y: Any) -> Any:
        distance = self.kernels.pairwise_distance_forward(x, y, self.eps)
        self.saved = (x, y, distance)
        return distance

    def backward(self, gy: Any) -> Any:
        x, y, distance = self.saved
        g = mul(add(sub(x, y), self.eps), unsqueeze(_share(gy, distance), -1))
        return g, mul(g, -1.0) if self.needs_input_grad[1] else None


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between x1 and x2 along dim: x1 . x2 / (max(|x1|, eps) max(|x2|, eps)).

    x1, x2: shapes that broadcast. Returns their common shape without dim. Semantics:
    torch.nn.functional.cosine_similarity.

    >>> nnkern.cosine_similarity(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]]))
    array([0.70710678])
    """
    if tuple(x1.shape) != tuple(x2.shape):
        x1, x2 = spread("cosine_similarity", x1, x2)
    if dim in (-1, x1.ndim - 1) and x1.ndim:
        return CosineSimilarity(eps)(x1, x2)
    product = _sum(mul(x1, x2), dim, True)
    y = div(product, mul(*[clamp(_norm(x, 2, dim), eps) for x in (x1, x2)]))
    return reshape(y, tuple(n for i, n in enumerate(y.shape) if i != dim % max(1, y.ndim)))


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps along the last axis.

    x1, x2: (N, D) or (D,), or any shapes that broadcast. Returns their common shape without the last axis, or with it as
    1 if keepdim. Semantics: torch.nn.functional.pairwise_distance.

    >>> nnkern.pairwise_distance(np.array([[3.0, 4.0]]), np.zeros((1, 2)), eps=0.0)
    array([5.])
    """
    if p == 2 and tuple(x1.shape) == tuple(x2.shape) and x1.ndim:
        y = PairwiseDistance(eps)(x1, x2)
        return unsqueeze(y, -1) if keepdim else y
    y = _norm(add(sub(x1, x2), eps), p, -1)
    return y if keepdim else reshape(y, y.shape[:-1])


class PDist(Function):
    name = "pdist"

    def __init__(self, p: float) -> None:
        self.p = p

    def forward(self, x: Any) -> Any:
        y = self.kernels.pdist_forward(x, self.p)
        self.saved = (x, y)
        return y

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        if not isinstance(gy, Tensor):
            return self.kernels.pdist_backward(gy, x, y, self.p)
        return _pdist_grad(gy, x, y, self.p)


def _pdist_grad(gy: Any, x: Any, y: Any, p: float) -> Any:
    """pdist's gradient in plain ops: every pair's share goes to its first row, and away from its second."""
    from .index import index_add, zeros_view

    first = [i for i in range(x.shape[0]) for _ in range(i + 1, x.shape[0])]
    second = [j for i in range(x.shape[0]) for j in range(i + 1, x.shape[0])]
    d = sub(index_select(x, 0, first), index_select(x, 0, second))
    if p == 0:
        share = mul(d, 0.0)
    elif p == 2:
        share = mul(d, reshape(_share(gy, y), (-1, 1)))
    elif p == 1:
        share = mul(sign(d), reshape(gy, (-1, 1)))
    elif math.isinf(p):
        top = eq(_abs(d), reshape(y, (-1, 1))).astype(x.dtype)
        share = mul(mul(sign(d), top), reshape(gy, (-1, 1)))
    else:
        zero = eq(d, 0.0)
        slope = mul(sign(d), _pow(where(zero, 1.0, _abs(d)), p - 1))
        share = mul(slope, reshape(mul(gy, _pow(where(eq(y, 0.0), 1.0, y), 1 - p)), (-1, 1)))
    zeros = zeros_view(x.shape, x.dtype)
    return sub(index_add(zeros, 0, first, share), index_add(zeros, 0, second, share))


def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm distances of all pairs of rows: (0, 1), (0, 2), ... (1, 2), ...

    input: (N, D); p >= 0. Returns (N (N - 1) / 2,). Raises ValueError for another number of dims or a negative p.
    Semantics: torch.nn.functional.pdist.

    >>> nnkern.pdist(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    array([5.        , 1.        , 4.24264069])
    """
    return PDist(float(p))(input)
