"""scatter_reduce: what falls on one place is multiplied, averaged, or its largest or smallest is kept."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..device import numpy_dtype
from ..function import Function
from ..tensor import Tensor
from .arithmetic import div, mul
from .compare import eq, where
from .elementwise import astype
from .index import _fit, _integers, _lined, gather, getitem, scatter, scatter_add, zeros_view

__all__ = ["scatter_reduce"]

_FOLDS = {"prod": 0, "amax": 1, "amin": 2}  # sum and mean are scatter_add


class ScatterReduce(Function):
    def __init__(self, dim: int, fold: int, include_self: bool) -> None:
        self.dim, self.fold, self.include_self = dim, fold, include_self

    def forward(self, x: Any, index: Any, src: Any) -> Any:
        y = self.kernels.scatter_reduce_forward(x, index, src, self.dim, self.fold, self.include_self)
        self.saved = (x, index, src, y)
        return y

    def backward(self, gy: Any) -> Any:
        x, index, src, y = self.saved
        shape = src.shape
        if tuple(shape) != tuple(index.shape):
            src = getitem(src, tuple(map(slice, index.shape)))
        gx, gsrc = (self.shared if self.fold else self.of_product)(gy, x, index, src, y)
        if not self.include_self:
            gx = scatter(gx, self.dim, index, 0.0)
        return gx, None, _fit(gsrc, shape)

    def shared(self, gy: Any, x: Any, index: Any, src: Any, y: Any) -> Any:
        """Equal extremes share the gradient."""
        here, there = (astype(eq(a, b), x.dtype) for a, b in ((x, y), (src, gather(y, self.dim, index))))
        if not self.include_self:
            here = scatter(here, self.dim, index, 0.0)
        share = div(gy, scatter_add(here, self.dim, index, there))
        return mul(here, share), mul(there, gather(share, self.dim, index))

    def of_product(self, gy: Any, x: Any, index: Any, src: Any, y: Any) -> Any:
        """The product of the others: y / x, and for a zero the product without it (0 where there is another)."""

        def again(a: Any, b: Any) -> Any:
            return ScatterReduce(self.dim, self.fold, self.include_self)(a, index, b)

        def read(a: Any) -> Any:
            return gather(a, self.dim, index)

        whole = where(eq(x, 0), 1.0, x)
        zero = eq(src, 0)
        zeros = scatter_add(zeros_view(x.shape, x.dtype), self.dim, index, astype(zero, x.dtype))
        others = again(x, where(zero, 1.0, src))
        lone = mul(read(mul(gy, others)), astype(eq(read(zeros), 1), x.dtype))
        gsrc = where(zero, lone, div(read(mul(gy, y)), where(zero, 1.0, src)))
        return mul(gy, div(again(whole, src), whole)), gsrc


def scatter_reduce(x: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool = True) -> Any:
    """scatter that combines: y[index[i, j], j] is the sum of src[i, j], and of x where include_self.

    reduce: "sum", "prod", "mean", "amax" or "amin" instead of the sum. Places that index does not name keep x.
    Raises ValueError for another reduce. Semantics: torch.scatter_reduce.

    >>> scatter_reduce(np.array([1.0, 2.0]), 0, [0, 0], np.array([5.0, 3.0]), "amax").tolist()
    [5.0, 2.0]
    """
    index = _integers("scatter_reduce", index)
    if not (x.ndim and index.ndim):
        return _lined(partial(scatter_reduce, reduce=reduce, include_self=include_self), x, dim, index, src)
    if reduce in _FOLDS:
        return ScatterReduce(dim, _FOLDS[reduce], include_self)(x, index, src)
    if reduce not in ("sum", "mean"):
        raise ValueError(f"scatter_reduce: reduce must be sum, prod, mean, amax or amin, got {reduce!r}")
    y = scatter_add(x if include_self else scatter(x, dim, index, 0.0), dim, index, src)
    if reduce == "sum":
        return y
    dtype = numpy_dtype(x.dtype)
    if dtype.kind != "f":
        raise TypeError(f"scatter_reduce: mean needs floating point, x is {dtype}")
    ones, at = np.ones(tuple(x.shape), dtype), index.data if isinstance(index, Tensor) else index
    count = scatter_add(
        ones if include_self else scatter(ones, dim, at, 0.0), dim, at, np.ones(index.shape, dtype)
    )
    return div(y, np.maximum(count, 1))
