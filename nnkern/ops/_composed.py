"""Functions that other functions make up: their gradients, of any order, are those of their parts. Names are PyTorch's."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..device import as_array, numpy_dtype
from ..tensor import Tensor
from .arithmetic import add, div, mul, neg, sub
from .compare import clamp, eq, isnan, le, logical_and, logical_or, maximum, where
from .distance import vector_norm
from .elementwise import abs as _abs
from .elementwise import exp, log, log1p, trunc
from .index import getitem, scatter
from .join import cat, narrow, split
from .matmul import matmul
from .reduce import amax, amin, mean, std
from .reduce import sum as _sum
from .shape import axis_of, broadcast_to, clone, diag_embed, diagonal, movedim, reshape, transpose, unsqueeze

__all__ = [
    "absolute", "addcdiv", "addcmul", "aminmax", "broadcast_tensors", "cdist", "clamp_max", "clamp_min", "clip",
    "column_stack", "concat", "concatenate", "diag", "diff", "divide", "dot", "frac", "hstack", "index_copy",
    "index_fill", "lerp", "logaddexp", "logit", "moveaxis", "multiply", "nan_to_num", "negative", "norm", "select",
    "std_mean", "subtract", "swapdims", "t", "tensor_split", "trace", "true_divide", "vstack", "xlogy",
]  # fmt: skip

# PyTorch's other names of the same functions.
absolute, clip, concat, concatenate, divide, moveaxis = _abs, clamp, cat, cat, div, movedim
multiply, negative, subtract, swapdims, true_divide = mul, neg, sub, transpose, div


def clamp_min(x: Any, min: Any) -> Any:
    """x, but no less than min (a number or an array)."""
    return clamp(x, min)


def clamp_max(x: Any, max: Any) -> Any:
    """x, but no more than max (a number or an array)."""
    return clamp(x, None, max)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight (end - input): the way from input (weight 0) to end (weight 1); all broadcast.

    >>> lerp(np.array([0.0, 10.0]), np.array([1.0, 20.0]), 0.25)
    array([ 0.25, 12.5 ])
    """
    return add(input, mul(sub(end, input), weight))


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value tensor1 tensor2; all broadcast."""
    product = mul(tensor1, tensor2)
    return add(input, product if value == 1 else mul(product, value))


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value tensor1 / tensor2; all broadcast."""
    quotient = div(tensor1, tensor2)
    return add(input, quotient if value == 1 else mul(quotient, value))


def frac(x: Any) -> Any:
    """What stands behind the point: x - trunc(x), with the sign of x."""
    return sub(x, trunc(x))


def logaddexp(x: Any, y: Any) -> Any:
    """log(exp(x) + exp(y)) without overflow; both broadcast."""
    apart = where(eq(x, y), 0.0, sub(x, y))  # equal infinities have no difference
    return add(maximum(x, y), log1p(exp(neg(_abs(apart)))))


def xlogy(x: Any, y: Any) -> Any:
    """x log(y), and 0 where x is 0 (unless y is NaN); both broadcast."""
    nothing = logical_and(
        eq(x, 0.0), logical_or(le(y, 0.0), eq(y, math.inf))
    )  # elsewhere 0 log(y) is 0 already
    return where(nothing, 0.0, mul(x, log(where(nothing, 1.0, y))))


def logit(x: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)), the opposite of sigmoid; with eps of x limited to [eps, 1 - eps]."""
    x = x if eps is None else clamp(x, eps, 1 - eps)
    return log(div(x, sub(1.0, x)))


def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """x with numbers for NaN and the infinities (the largest and the smallest of x's dtype, unless given).

    >>> nan_to_num(np.array([np.nan, np.inf, 1.0]), 0.0, 9.0)
    array([0., 9., 1.])
    """
    dtype = numpy_dtype(x.dtype)
    if dtype.kind != "f":
        return clone(x)
    limits = np.finfo(dtype)
    top = float(limits.max) if posinf is None else posinf
    bottom = float(limits.min) if neginf is None else neginf
    y = where(eq(x, math.inf), top, where(eq(x, -math.inf), bottom, x))
    return where(isnan(x), nan, y)


def dot(x: Any, y: Any) -> Any:
    """The sum of x y, for x and y of one dim each and equal lengths."""
    if len(x.shape) != 1 or len(y.shape) != 1:
        raise ValueError(f"dot: x and y need one dim (x.shape={tuple(x.shape)}, y.shape={tuple(y.shape)})")
    return matmul(x, y)


def trace(x: Any) -> Any:
    """The sum of a matrix's diagonal."""
    if len(x.shape) != 2:
        raise ValueError(f"trace: x must be a matrix (x.shape={tuple(x.shape)})")
    return _sum(diagonal(x))


def diag(x: Any, diagonal: int = 0) -> Any:
    """A matrix's diagonal as a vector; a vector as the diagonal of a matrix of zeros."""
    from . import shape

    if len(x.shape) not in (1, 2):
        raise ValueError(f"diag: x must have one dim or two (x.shape={tuple(x.shape)})")
    return diag_embed(x, diagonal) if len(x.shape) == 1 else shape.diagonal(x, diagonal)


def diff(x: Any, n: int = 1, dim: int = -1) -> Any:
    """Each element less the one before it along dim, n times; dim gets shorter by n."""
    dim = axis_of("diff", dim, x.ndim)
    for _ in range(n):
        length = x.shape[dim]
        if not length:
            break
        x = sub(narrow(x, dim, 1, length - 1), narrow(x, dim, 0, length - 1))
    return x


def cdist(x1: Any, x2: Any, p: float = 2.0) -> Any:
    """The distances (p-norms of differences) of all pairs of rows: (..., P, D), (..., R, D) to (..., P, R)."""
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ValueError(
            f"cdist: x1 and x2 need two dims or more and equal last ones (x1.shape={tuple(x1.shape)}, "
            f"x2.shape={tuple(x2.shape)})"
        )
    return vector_norm(sub(unsqueeze(x1, -2), unsqueeze(x2, -3)), p, -1)


def norm(x: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Any:
    """vector_norm, where p may be "fro", which is 2, too.

    >>> nnkern.norm(np.array([[3.0, 4.0]]))
    array(5.)
    """
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"norm: p must be a number or 'fro', got {p!r}")
    return vector_norm(x, 2.0 if p in ("fro", None) else p, dim, keepdim)


class MinMax(NamedTuple):
    """What aminmax returns."""

    min: Any
    max: Any


def aminmax(x: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
    """(amin, amax) of x over dim."""
    return MinMax(amin(x, dim, keepdim), amax(x, dim, keepdim))


def std_mean(x: Any, dim: Any = None, correction: float = 1, keepdim: bool = False) -> Any:
    """(standard deviation, mean) of x over dim; see std."""
    return std(x, dim, correction, keepdim), mean(x, dim, keepdim)


def broadcast_tensors(*tensors: Any) -> Any:
    """Each of the arrays as a view of the shape that they broadcast to."""
    shape = np.broadcast_shapes(*[tuple(x.shape) for x in tensors])
    return tuple(broadcast_to(x, shape) for x in tensors)


def select(x: Any, dim: int, index: int) -> Any:
    """x[index] along dim, as a view without that dim."""
    return getitem(x, (slice(None),) * axis_of("select", dim, x.ndim) + (index,))


def t(x: Any) -> Any:
    """The transpose of a matrix; a vector or number as it is."""
    if x.ndim > 2:
        raise ValueError(f"t: at most 2 dims are needed, got {tuple(x.shape)}")
    return x if x.ndim < 2 else transpose(x, 0, 1)


def _at_least(x: Any, ndim: int) -> Any:
    return x if x.ndim >= ndim else reshape(x, (*(1,) * (ndim - x.ndim), *x.shape))


def hstack(tensors: Any) -> Any:
    """cat along dim 1; of vectors and numbers along dim 0."""
    parts = [_at_least(x, 1) for x in tensors]
    return cat(parts, 0 if parts and parts[0].ndim == 1 else 1)


def vstack(tensors: Any) -> Any:
    """cat along dim 0 of matrices; vectors are their rows."""
    return cat([_at_least(x, 2) for x in tensors], 0)


def column_stack(tensors: Any) -> Any:
    """cat along dim 1 of matrices; vectors are their columns."""
    return cat([reshape(x, (-1, 1)) if x.ndim < 2 else x for x in tensors], 1)


def tensor_split(x: Any, indices_or_sections: Any, dim: int = 0) -> Any:
    """Views of x along dim: as many as a number says, as equal as they can be, or cut before each index of a list."""
    n = x.shape[axis_of("tensor_split", dim, x.ndim)]
    if isinstance(indices_or_sections, int):
        if indices_or_sections <= 0:
            raise ValueError(f"tensor_split: sections must be positive, got {indices_or_sections}")
        few, more = divmod(n, indices_or_sections)
        return split(x, [few + (i < more) for i in range(indices_or_sections)], dim)
    cuts = [slice(None, int(i)).indices(n)[1] for i in indices_or_sections]
    lead = (slice(None),) * axis_of("tensor_split", dim, x.ndim)
    return tuple(getitem(x, (*lead, slice(a, b))) for a, b in zip([0, *cuts], [*cuts, n]))


def index_fill(x: Any, dim: int, index: Any, value: float) -> Any:
    """A copy of x with `value` in the slices at `index` along dim."""
    return scatter(x, dim, _wide(x, dim, index), value)


def index_copy(x: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of x with slices of source put at `index` along dim: y[.., index[i], ..] = source[.., i, ..]."""
    return scatter(x, dim, _wide(x, dim, index), source)


def _wide(x: Any, dim: int, index: Any) -> Any:
    """A 1-d index as scatter takes it: repeated along all dims of x but dim."""
    index = index if isinstance(index, Tensor) else as_array(index, "index_copy")
    dim = axis_of("index_copy", dim, x.ndim)
    index = reshape(index, [-1 if d == dim else 1 for d in range(x.ndim)])
    return broadcast_to(index, [index.shape[d] if d == dim else n for d, n in enumerate(x.shape)])
