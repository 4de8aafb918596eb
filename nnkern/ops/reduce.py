"""Reductions: sum, mean, max and their kin, over any dims.

Everywhere: `dim` is an int, a sequence of ints or None for all; negative ones count from the end. The reduced dims
vanish, or stay with length 1 under keepdim=True. NumPy's `axis` and `keepdims` are other names of `dim` and `keepdim`.
A dim that does not exist is an IndexError.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..device import to_ndarray
from ..function import Function
from ..tensor import Tensor
from .arithmetic import add, div, mul, sub
from .compare import maximum, minimum, where
from .elementwise import astype, exp, log
from .index import scatter
from .join import stack, unbind
from .shape import broadcast_to, reshape

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "logsumexp", "max", "mean", "min", "prod", "std", "sum", "sum_to",
    "var", "var_mean",
]  # fmt: skip


# A plain array has no tape: sums and maxima of it go straight to the kernel.
_ndarray = np.ndarray
_kernels = Function.kernels


def _dims(dim: Any, axis: Any) -> Any:
    """The dims as kernels take them: () for all."""
    dim = axis if dim is None else dim
    return () if dim is None else dim


class ValuesIndices(NamedTuple):
    """What max(x, dim) and min(x, dim) return."""

    values: Any
    indices: Any


class Reduce(Function):
    """dims as the kernels take them (() for all), and how a gradient gets back to the shape of the input."""

    def __init__(
        self, dim: Any = None, keepdim: bool = False, axis: Any = None, keepdims: bool = False
    ) -> None:
        self.dims: Any = _dims(dim, axis)
        self.keepdim = keepdim or keepdims

    def kept_shape(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """`shape` with length 1 in place of the reduced dims."""
        dims = (self.dims,) if isinstance(self.dims, int) else self.dims or range(len(shape))
        dims = {d % len(shape) for d in dims} if shape else ()
        return tuple([1 if i in dims else n for i, n in enumerate(shape)])

    def count(self, shape: tuple[Any, ...]) -> int:
        """How many elements stand behind one result."""
        return math.prod([n for n, k in zip(shape, self.kept_shape(shape)) if k == 1])

    def spread(self, g: Any, shape: tuple[Any, ...]) -> Any:
        """g, which has the result's shape, along the reduced dims."""
        return broadcast_to(reshape(g, self.kept_shape(shape)), shape)


def _plain(x: Any) -> np.ndarray:
    """The array of a Tensor: for weights that no derivative goes through."""
    return x.data if isinstance(x, Tensor) else x


def _in_dtype(reduction: Any, x: Any, dtype: Any, *options: Any) -> Any:
    """The reduction of x in another dtype, with a result of that dtype."""
    dim, keepdim, axis, keepdims = options
    y = reduction(astype(x, dtype), dim, keepdim, axis=axis, keepdims=keepdims)
    return astype(y, dtype)


class Sum(Reduce):
    def forward(self, x: Any) -> Any:
        self.saved = x.shape
        return self.kernels.sum_forward(x, self.dims, self.keepdim)

    def backward(self, gy: Any) -> Any:
        return self.spread(gy, self.saved)


def sum(
    x: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """The sum of x over dim; 0 where there is nothing to add. Integers and booleans are summed as int64. With dtype
    x is converted to it before, and the result has it.

    Pairwise in fixed blocks: the same bits for any number of threads, errors that grow with the logarithm of the length.

    >>> nnkern.sum(np.ones((2, 3)), dim=1)
    array([3., 3.])
    """
    if dtype is not None:
        return _in_dtype(sum, x, dtype, dim, keepdim, axis, keepdims)
    if type(x) is _ndarray:
        return _kernels.sum_forward(x, _dims(dim, axis), keepdim or keepdims)
    return Sum(dim, keepdim, axis, keepdims)(x)


def sum_to(g: Any, x: Any) -> Any:
    """g summed over the dims that broadcasting added to x (an array or its shape): the gradient of a broadcast."""
    shape = x if type(x) is tuple else x.shape
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    dims = tuple([i for i, n in enumerate(g.shape) if i < extra or (n != 1 and shape[i - extra] == 1)])
    return reshape(Sum(dims)(g), shape) if dims else reshape(g, shape)


class Mean(Reduce):
    def forward(self, x: Any) -> Any:
        self.saved = x.shape
        return self.kernels.mean_forward(x, self.dims, self.keepdim)

    def backward(self, gy: Any) -> Any:
        n = self.count(self.saved)
        return self.spread(mul(gy, 1 / n) if n else gy, self.saved)


def mean(
    x: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """The mean of x over dim; NaN where there is nothing.

    x must be float32 or float64 (TypeError), as in PyTorch, unless dtype is one of them: x is converted to it before.
    """
    if dtype is not None:
        return _in_dtype(mean, x, dtype, dim, keepdim, axis, keepdims)
    if type(x) is _ndarray:
        return _kernels.mean_forward(x, _dims(dim, axis), keepdim or keepdims)
    return Mean(dim, keepdim, axis, keepdims)(x)


class Prod(Reduce):
    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.kernels.prod_forward(x, self.dims, self.keepdim)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        if 0 in x.shape:
            return self.spread(gy, x.shape)
        if not isinstance(gy, Tensor):
            return mul(self.spread(gy, x.shape), self.others(x))
        # Plain products of the other elements: right beside zeros too, and differentiable again.
        kept = self.kept_shape(x.shape)
        folded = [i for i, n in enumerate(kept) if n == 1]
        order = folded + [i for i in range(x.ndim) if i not in folded]
        rows = unbind(
            x.permute(order).reshape(self.count(x.shape), *[x.shape[i] for i in order[len(folded) :]])
        )
        before, after = [None], [None]
        for row, last in zip(rows[:-1], rows[:0:-1]):
            before.append(row if before[-1] is None else before[-1] * row)
            after.append(last if after[-1] is None else after[-1] * last)
        g, gxs = reshape(gy, [n for i, n in enumerate(x.shape) if i not in folded]), []
        for a, b in zip(before, after[::-1]):
            gxs.append(g if a is None and b is None else g * (b if a is None else a if b is None else a * b))
        shape = [x.shape[i] for i in order]
        return stack(gxs).reshape(shape).permute([order.index(i) for i in range(x.ndim)])

    def others(self, x: np.ndarray) -> np.ndarray:
        """For each element of x the product of the others."""
        dims = [i for i, n in enumerate(self.kept_shape(x.shape)) if n == 1]
        last = tuple(range(x.ndim - len(dims), x.ndim))
        rows = np.moveaxis(x, dims, last)
        flat = rows.reshape(*rows.shape[: x.ndim - len(dims)], -1)
        y = np.ones_like(flat)
        np.cumprod(flat[..., :-1], axis=-1, out=y[..., 1:])
        y[..., :-1] *= np.cumprod(flat[..., :0:-1], axis=-1)[..., ::-1]
        return np.moveaxis(y.reshape(rows.shape), last, dims)


def prod(
    x: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """The product of x over dim; 1 where there is nothing. Integers and booleans are multiplied as int64. dtype: see sum."""
    if dtype is not None:
        return _in_dtype(prod, x, dtype, dim, keepdim, axis, keepdims)
    if type(x) is _ndarray:
        return _kernels.prod_forward(x, _dims(dim, axis), keepdim or keepdims)
    return Prod(dim, keepdim, axis, keepdims)(x)


class AMax(Reduce):
    def forward(self, x: Any) -> Any:
        y = self.kernels.amax_forward(x, self.dims, self.keepdim)
        self.saved = (x, y)
        return y

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        kept = self.kept_shape(x.shape)
        a, b = _plain(x), _plain(y).reshape(kept)
        same = a == b
        if np.isnan(b).any():
            same |= np.isnan(a) & np.isnan(b)  # NaN is the extremum of NaNs
        share = np.asarray(same, x.dtype)
        share /= self.kernels.sum_forward(share, self.dims, True)  # equals share the gradient
        return mul(self.spread(gy, x.shape), share)


def amax(x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The maximum of x over dim; NaN if there is one. The gradient is shared evenly among equals.

    Raises ValueError if there is nothing to choose from. Any dtype of x is kept.
    """
    if type(x) is _ndarray:
        return _kernels.amax_forward(x, _dims(dim, axis), keepdim or keepdims)
    return AMax(dim, keepdim, axis, keepdims)(x)


class AMin(AMax):
    def forward(self, x: Any) -> Any:
        y = self.kernels.amin_forward(x, self.dims, self.keepdim)
        self.saved = (x, y)
        return y


def amin(x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The minimum of x over dim; see amax."""
    if type(x) is _ndarray:
        return _kernels.amin_forward(x, _dims(dim, axis), keepdim or keepdims)
    return AMin(dim, keepdim, axis, keepdims)(x)


class Max(Reduce):
    def forward(self, x: Any) -> Any:
        values, indices = self.kernels.argmax_forward(x, self.dims, self.keepdim)
        self.saved = (x, indices)
        return values, indices

    def backward(self, gy: Any, _: Any) -> Any:
        x, indices = self.saved
        kept = self.kept_shape(x.shape)
        zeros = np.zeros(x.shape, x.dtype)
        if not zeros.ndim:
            return gy
        return scatter(zeros, self.dims, _plain(indices).reshape(kept), reshape(gy, kept))


class Min(Max):
    def forward(self, x: Any) -> Any:
        values, indices = self.kernels.argmin_forward(x, self.dims, self.keepdim)
        self.saved = (x, indices)
        return values, indices


def max(x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The maximum of x; along one dim (values, indices), where the indices are int64 and the first of equals is taken.

    Along a dim the gradient goes to the element of that index; without dim it is shared among equals, as in amax. An
    array in place of dim makes it maximum(x, dim).

    >>> nnkern.max(np.array([[1.0, 3.0], [2.0, 0.0]]), 1).indices
    array([1, 0])
    """
    if not isinstance(dim, int) and hasattr(dim, "dtype") and dim.ndim:
        return maximum(x, dim)
    if dim is None and axis is None:
        return AMax(None, keepdim, None, keepdims)(x)
    return ValuesIndices(*Max(dim, keepdim, axis, keepdims)(x))


def min(x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The minimum of x; along one dim (values, indices); see max."""
    if not isinstance(dim, int) and hasattr(dim, "dtype") and dim.ndim:
        return minimum(x, dim)
    if dim is None and axis is None:
        return AMin(None, keepdim, None, keepdims)(x)
    return ValuesIndices(*Min(dim, keepdim, axis, keepdims)(x))


class ArgMax(Reduce):
    def forward(self, x: Any) -> Any:
        return self.kernels.argmax_forward(x, self.dims, self.keepdim)[1]


class ArgMin(Reduce):
    def forward(self, x: Any) -> Any:
        return self.kernels.argmin_forward(x, self.dims, self.keepdim)[1]


def argmax(
    x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False
) -> Any:
    """int64 index of the maximum along dim (of the flattened x without one): the first of equals, the first NaN if any."""
    if type(x) is _ndarray:
        return _kernels.argmax_forward(x, _dims(dim, axis), keepdim or keepdims)[1]
    return ArgMax(dim, keepdim, axis, keepdims)(x)


def argmin(
    x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False
) -> Any:
    """int64 index of the minimum along dim; see argmax."""
    if type(x) is _ndarray:
        return _kernels.argmin_forward(x, _dims(dim, axis), keepdim or keepdims)[1]
    return ArgMin(dim, keepdim, axis, keepdims)(x)


class Any_(Reduce):
    def forward(self, x: Any) -> Any:
        return self.kernels.any_forward(x, self.dims, self.keepdim)


class All(Reduce):
    def forward(self, x: Any) -> Any:
        return self.kernels.all_forward(x, self.dims, self.keepdim)


def any(x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """bool: whether some element over dim is not zero (NaN is not). x may have any dtype."""
    return Any_(dim, keepdim, axis, keepdims)(x)


def all(x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """bool: whether no element over dim is zero. x may have any dtype."""
    return All(dim, keepdim, axis, keepdims)(x)


class VarMean(Reduce):
    def __init__(self, dim: Any, correction: float, keepdim: bool, axis: Any, keepdims: bool) -> None:
        super().__init__(dim, keepdim, axis, keepdims)
        self.correction = correction

    def forward(self, x: Any) -> Any:
        var, mean_ = self.kernels.var_mean_forward(x, self.dims, self.correction, self.keepdim)
        self.saved = (x, mean_)
        return var, mean_

    def backward(self, gvar: Any, gmean: Any) -> Any:
        x, mean_ = self.saved
        n = self.count(x.shape)
        gx = None
        if gvar is not None:
            if isinstance(x, Tensor):
                mean_ = mean(x, self.dims, True)
            scale = 2 / (n - self.correction) if n > self.correction else math.nan
            centred = sub(x, reshape(mean_, self.kept_shape(x.shape)))
            gx = mul(centred, reshape(mul(gvar, scale), self.kept_shape(x.shape)))
        if gmean is not None:
            g = self.spread(mul(gmean, 1 / n) if n else gmean, x.shape)
            gx = g if gx is None else add(gx, g)
        return gx


def var(
    x: Any,
    dim: Any = None,
    correction: float = 1,
    keepdim: bool = False,
    *,
    unbiased: bool | None = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """The variance of x over dim: sum((x - mean)^2) / (n - correction).

    correction=1 is PyTorch's default, 0 is NumPy's; unbiased=True or False is another name of them. Two passes, so that
    a large mean costs no digits. NaN if there are no more elements than `correction`.
    """
    correction = correction if unbiased is None else unbiased
    return VarMean(dim, correction, keepdim, axis, keepdims)(x)[0]


def var_mean(
    x: Any,
    dim: Any = None,
    correction: float = 1,
    keepdim: bool = False,
    *,
    unbiased: bool | None = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """(variance, mean) of x over dim, for the price of the variance; see var."""
    correction = correction if unbiased is None else unbiased
    return VarMean(dim, correction, keepdim, axis, keepdims)(x)


class Root(Function):
    """A square root whose gradient at 0 is 0, for std: equal numbers stay where they are, as in PyTorch."""

    def forward(self, x: Any) -> Any:
        self.saved = (self.kernels.sqrt_forward(x),)
        return self.saved[0]

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return where(_plain(y) == 0, 0.0, div(mul(gy, 0.5), y))


def std(
    x: Any,
    dim: Any = None,
    correction: float = 1,
    keepdim: bool = False,
    *,
    unbiased: bool | None = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """The square root of var."""
    return Root()(var(x, dim, correction, keepdim, unbiased=unbiased, axis=axis, keepdims=keepdims))


def logsumexp(
    x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False
) -> Any:
    """log(sum(exp(x))) over dim, without overflow: the maximum is taken out first. -inf where there is nothing."""
    reduce = Reduce(dim, keepdim, axis, keepdims)
    raw = x.data if isinstance(x, Tensor) else to_ndarray(x, "logsumexp")
    if raw.dtype.kind in "iub":
        x, raw = astype(x, np.float32), raw.astype(np.float32)
    if not raw.size:
        return log(sum(exp(x), reduce.dims, reduce.keepdim))
    top = reduce.kernels.amax_forward(raw, reduce.dims, True)
    top[~np.isfinite(top)] = 0
    total = sum(exp(sub(x, top)), reduce.dims, reduce.keepdim)
    return add(log(total), reshape(top, total.shape))
