"""Sorting, the k largest, and what follows from them: order statistics along one dim."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..function import Function
from ..tensor import Tensor
from .arithmetic import mul
from .index import gather, scatter, zeros_view
from .reduce import ValuesIndices
from .shape import axis_of, squeeze

__all__ = ["argsort", "kthvalue", "median", "sort", "topk"]


class Picked(Function):
    """Values along dim and where they stood. Their gradient goes there."""

    x_shape: tuple[int, ...]

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def backward(self, gy: Any, _: Any) -> Any:
        (index,) = self.saved
        if gy is None:
            return None
        if not self.x_shape:
            return gy
        return scatter(zeros_view(self.x_shape, gy.dtype), self.dim, index, gy)


class Sort(Picked):
    def __init__(self, dim: int, descending: bool) -> None:
        super().__init__(dim)
        self.descending = descending

    def forward(self, x: Any) -> Any:
        values, index = self.kernels.sort_forward(x, self.dim, self.descending)
        self.saved, self.x_shape = (index,), x.shape
        return values, index


class TopK(Picked):
    def __init__(self, k: int, dim: int, largest: bool) -> None:
        super().__init__(dim)
        self.k, self.largest = k, largest

    def forward(self, x: Any) -> Any:
        values, index = self.kernels.topk_forward(x, self.k, self.dim, self.largest)
        self.saved, self.x_shape = (index,), x.shape
        return values, index


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """(values, indices) of x sorted along dim: values = gather(x, dim, indices).

    Any dtype; indices are int64. NaN counts as the largest. Equal elements keep their order (stable or not). The gradient
    goes to the element that each value came from. Raises IndexError for a dim that does not exist.

    >>> nnkern.sort(np.array([3.0, 1.0, 2.0])).indices
    array([1, 2, 0])
    """
    return ValuesIndices(*Sort(dim, bool(descending))(x))


def argsort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The indices that sort x along dim: see sort."""
    return sort(x, dim, descending).indices


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the k largest (or smallest) along dim, in order; of equals the first ones.

    NaN counts as the largest. Raises ValueError if dim has fewer than k elements.

    >>> nnkern.topk(np.array([3.0, 1.0, 2.0]), 2).values
    array([3., 2.])
    """
    return ValuesIndices(*TopK(int(k), dim, bool(largest))(x))


def kthvalue(x: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(value, index) of the k-th smallest along dim, counted from 1."""
    n = x.shape[axis_of("kthvalue", dim, x.ndim)] if x.ndim else 1
    if not 1 <= k <= n:
        raise ValueError(f"kthvalue: k must lie in [1, {n}], got {k} (x.shape={tuple(x.shape)}, dim={dim})")
    if not x.ndim:
        return topk(x, 1)
    found = topk(x, k, dim, largest=False)
    last = np.full([1 if d == dim % x.ndim else s for d, s in enumerate(x.shape)], k - 1)
    picked = [gather(a, dim, last) for a in found]
    return ValuesIndices(*(picked if keepdim else [squeeze(a, dim) for a in picked]))


class MedianOfAll(Function):
    name = "median"

    def forward(self, x: Any) -> Any:
        if not x.size:
            raise ValueError(f"median: x has no elements (x.shape={x.shape})")
        y = median(x.reshape(-1), 0).values
        self.equal = np.isnan(x) if np.isnan(y) else x == y
        return y

    def backward(self, gy: Any) -> Any:
        return mul(gy, (self.equal / self.equal.sum()).astype(gy.dtype))


def median(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The median along dim as (values, indices), of an even count the lower one; without dim that of all elements.

    NaN if there is one. Along dim the gradient goes to the element that was picked; without dim equal ones share it.
    """
    if dim is None:
        return MedianOfAll()(x)
    if not x.ndim:
        return topk(x, 1)
    dim = axis_of("median", dim, x.ndim)
    n = x.shape[dim]
    if n == 0:
        raise ValueError(f"median: dim {dim} has no elements (x.shape={tuple(x.shape)})")
    index = np.asarray(kthvalue(x, (n + 1) // 2, dim, True).indices)
    missing = np.isnan(np.asarray(x))
    index = np.where(missing.any(dim, keepdims=True), missing.argmax(dim, keepdims=True), index)
    indices = Tensor(index) if isinstance(x, Tensor) else index
    values = gather(x, dim, indices)
    return ValuesIndices(*((values, indices) if keepdim else (squeeze(values, dim), squeeze(indices, dim))))
