"""Indexing: basic slices are views; integer arrays and masks go through the kernels of csrc/cpu/index.cpp.

Indices may be negative, as in NumPy; one out of range is an IndexError that names its place. Repeated
indices add up in the order of the index, so gradients have the same bits for any number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import as_array
from ..function import Function
from ..inplace import as_int64, expand_ellipsis, plain_item

__all__ = [
    "gather", "getitem", "getitem_input_grad", "index_add", "index_select", "masked_select", "repeat_interleave",
    "scatter", "scatter_add", "take_along_dim",
]  # fmt: skip


def zeros_view(shape: Any, dtype: Any) -> Any:
    """Zeros of any shape in 8 bytes (strides 0): the kernels that add to them copy them first."""
    return np.ndarray(shape, dtype, bytes(8), strides=(0,) * len(shape))


def _integers(op: str, index: Any) -> Any:
    """index as Tensor or array of int64 or int32; lists and numbers are converted."""
    if isinstance(index, (list, tuple, int, np.generic)):
        index = np.asarray(index)
        if index.dtype.kind not in "iu" and index.size:
            raise TypeError(f"{op}: index must be integers, got {index.dtype}")
        index = as_int64(op, index)
    return index


def _number(value: Any, dtype: Any) -> Any:
    """value in an array of its own."""
    try:
        return np.array([value], dtype)
    except (OverflowError, ValueError):
        raise TypeError(
            f"scatter: the number {value} does not fit an array of {dtype}; convert the array: .astype('float32')"
        ) from None


def _lined(f: Any, x: Any, dim: int, index: Any, src: Any = None) -> Any:
    """f of arrays of which some have no dims and stand for one element, as in PyTorch: f sees them with one dim."""
    from .shape import reshape

    def line(a: Any) -> Any:
        return a if np.ndim(a) else reshape(a, (1,))

    if src is None:
        return reshape(f(line(x), dim, line(index)), index.shape)
    return reshape(f(line(x), dim, line(index), line(src) if hasattr(src, "ndim") else src), x.shape)


class Take(Function):
    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any, index: Any) -> Any:
        self.saved = (index,)
        self.x_shape, self.x_dtype = x.shape, x.dtype
        return self.kernels.take_forward(x, index, self.dim)

    def backward(self, gy: Any) -> Any:
        (index,) = self.saved
        return index_add(zeros_view(self.x_shape, self.x_dtype), self.dim, index, gy), None


def index_select(x: Any, dim: int, index: Any) -> Any:
    """The slices of x at `index` along dim: y[.., i, ..] = x[.., index[i], ..].

    index: integers of any shape; its dims take the place of dim. An x without dims has one element, of index 0. Raises
    IndexError if one is out of range.

    >>> index_select(np.array([[1.0, 2.0], [3.0, 4.0]]), 0, [1, 1, 0]).tolist()
    [[3.0, 4.0], [3.0, 4.0], [1.0, 2.0]]
    """
    if type(x) is type(index) is np.ndarray and x.ndim:  # there is no tape
        return Function.kernels.take_forward(x, index, dim)
    index = _integers("index_select", index)
    if not x.ndim:
        return _select_only(x, dim, index)
    return Take(dim)(x, index)


def _select_only(x: Any, dim: int, index: Any) -> Any:
    from .shape import reshape

    if math.prod(index.shape) != 1:
        raise ValueError(f"index_select: x without dims takes one index (index.shape={tuple(index.shape)})")
    return reshape(index_select(reshape(x, (1,)), dim, index), ())


class IndexAdd(Function):
    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any, index: Any, source: Any) -> Any:
        self.saved = (index,)
        return self.kernels.index_add_forward(x, index, source, self.dim)

    def backward(self, gy: Any) -> Any:
        (index,) = self.saved
        return gy, None, index_select(gy, self.dim, index) if self.needs_input_grad[2] else None


def index_add(x: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """A copy of x with slices of source added at `index` along dim: y[.., index[i], ..] += alpha source[.., i, ..].

    source: x's shape with dim replaced by index's shape. Repeated indices add up, in order.
    """
    if alpha != 1:
        from .arithmetic import mul

        source = mul(source, alpha)
    return IndexAdd(dim)(x, _integers("index_add", index), source)


class Gather(Function):
    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any, index: Any) -> Any:
        self.saved = (index,)
        self.x_shape, self.x_dtype = x.shape, x.dtype
        return self.kernels.gather_forward(x, index, self.dim)

    def backward(self, gy: Any) -> Any:
        (index,) = self.saved
        return scatter_add(zeros_view(self.x_shape, self.x_dtype), self.dim, index, gy), None


def gather(x: Any, dim: int, index: Any) -> Any:
    """One element of x for each element of index: y[i, j] = x[index[i, j], j] for dim 0 of a matrix.

    index: integers with as many dims as x, no longer than x except along dim. Returns index's shape.
    """
    index = _integers("gather", index)
    if not (x.ndim and index.ndim):
        return _lined(gather, x, dim, index)
    return Gather(dim)(x, index)


def take_along_dim(x: Any, index: Any, dim: Any = None) -> Any:
    """gather that broadcasts x and index (except along dim); without dim on flattened arrays."""
    from .shape import broadcast_to, reshape

    index = _integers("take_along_dim", index)
    if dim is None:
        return gather(reshape(x, (-1,)), 0, reshape(index, (-1,)))
    shapes = [list(v.shape) for v in (x, index)]
    for shape in shapes:
        shape[dim] = 1
    common = np.broadcast_shapes(*shapes)
    wide = [
        [*common[: dim % len(common)], v.shape[dim], *common[dim % len(common) + 1 :]] for v in (x, index)
    ]
    return gather(broadcast_to(x, wide[0]), dim, broadcast_to(index, wide[1]))


class Scatter(Function):
    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any, index: Any, src: Any) -> Any:
        self.saved = (index,)
        if not isinstance(src, np.ndarray):
            src = np.ndarray(index.shape, x.dtype, _number(src, x.dtype), strides=(0,) * index.ndim)
        self.src_shape, self.dtype = src.shape, x.dtype
        return self.kernels.scatter_forward(x, index, src, self.dim)

    def backward(self, gy: Any) -> Any:
        (index,) = self.saved
        gx = gsrc = None
        if self.needs_input_grad[0]:
            gx = scatter(gy, self.dim, index, 0.0)
        if self.needs_input_grad[2]:
            gsrc = _fit(gather(gy, self.dim, index), self.src_shape)
        return gx, None, gsrc


class ScatterAdd(Function):
    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any, index: Any, src: Any) -> Any:
        self.saved = (index,)
        self.src_shape = src.shape
        return self.kernels.scatter_add_forward(x, index, src, self.dim)

    def backward(self, gy: Any) -> Any:
        (index,) = self.saved
        return (
            gy,
            None,
            _fit(gather(gy, self.dim, index), self.src_shape) if self.needs_input_grad[2] else None,
        )


def _fit(g: Any, shape: Any) -> Any:
    """g padded with zeros up to shape: where src was longer than index, nothing was read."""
    if tuple(g.shape) == tuple(shape):
        return g
    return getitem_input_grad(g, tuple(map(slice, g.shape)), shape)


def scatter(x: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of x with elements of src put at index: y[index[i, j], j] = src[i, j] for dim 0 of a matrix.

    src: an array no shorter than index, or a number. Where indices repeat, the last one
    wins (but each of them receives the gradient of that place, as in PyTorch).
    """
    index = _integers("scatter", index)
    if not (x.ndim and index.ndim):
        return _lined(scatter, x, dim, index, src)
    return Scatter(dim)(x, index, src)


def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """scatter that adds: y[index[i, j], j] += src[i, j]. Repeated indices add up, in order."""
    index = _integers("scatter_add", index)
    if not (x.ndim and index.ndim):
        return _lined(scatter_add, x, dim, index, src)
    return ScatterAdd(dim)(x, index, src)


def masked_select(x: Any, mask: Any) -> Any:
    """The elements of x where mask (bool) holds, as one dim; x and mask broadcast."""
    from .shape import broadcast_to

    mask = as_array(mask, "masked_select")
    if mask.dtype != bool:
        raise TypeError(f"masked_select: mask must be bool, got {mask.dtype}")
    shape = np.broadcast_shapes(tuple(x.shape), mask.shape)
    return getitem(broadcast_to(x, shape), np.broadcast_to(mask, shape))


def repeat_interleave(x: Any, repeats: Any, dim: Any = None) -> Any:
    """Each element along dim `repeats` times, one after the other: a number, or one for each. Without dim x is flat.

    >>> repeat_interleave(np.array([1.0, 2.0]), [1, 2]).tolist()
    [1.0, 2.0, 2.0]
    """
    from .shape import reshape

    if dim is None:
        x, dim = reshape(x, (-1,)), 0
    n = x.shape[dim]
    counts = as_array(repeats, "repeat_interleave")
    if counts.dtype.kind not in "iu" or counts.size not in (1, n) or counts.min(initial=0) < 0:
        raise ValueError(
            f"repeat_interleave: repeats must be a count, or one for each of the {n} elements along dim {dim}, got {repeats}"
        )
    total = counts.sum(dtype=np.float64) * (n if counts.size == 1 else 1)
    if total > 2**46:  # np.repeat does not see an overflow, and crashes
        raise ValueError(f"repeat_interleave: the result is too large to allocate, repeats={repeats}")
    return index_select(
        x, dim, np.repeat(np.arange(n), counts.ravel() if counts.size == n else int(counts.flat[0]))
    )


# x[index]

_ALL = (slice(None),) * 32


class GetItem(Function):
    is_view = True

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        try:
            y = x[self.index]
        except IndexError as e:
            raise IndexError(f"getitem: {e} (x.shape={x.shape})") from None
        return y if isinstance(y, np.ndarray) else x[(*self.index, ...)]  # 0-d views instead of NumPy scalars

    def backward(self, gy: Any) -> Any:
        return getitem_input_grad(gy, self.index, self.x_shape)


class GetItemInputGrad(Function):
    def __init__(self, index: Any, shape: Any) -> None:
        self.index, self.shape = index, shape

    def forward(self, gy: Any) -> Any:
        gx = np.zeros(self.shape, gy.dtype)
        self.kernels.copy_forward(gy, gx[(*self.index, ...)] if ... not in self.index else gx[self.index])
        return gx

    def backward(self, ggx: Any) -> Any:
        return getitem(ggx, self.index)


def getitem_input_grad(gy: Any, index: Any, shape: Any) -> Any:
    """Zeros of `shape` with gy at `index` (slices and integers): the gradient of x[index]."""
    return GetItemInputGrad(index, tuple(shape))(gy)


def getitem(x: Any, index: Any) -> Any:
    """x[index] as NumPy defines it: numbers, slices, None and ... give views; arrays and masks copies."""
    if type(index) is not tuple:
        index = (index,)
    array_at = -1
    for i, item in enumerate(index):
        kind = type(item)
        if not (kind is int or kind is slice or item is None or item is ...):
            if kind is np.ndarray and item.dtype == np.int64 and array_at < 0 and index[:i] == _ALL[:i]:
                array_at = i
            else:
                return _advanced(x, index)
        elif array_at >= 0:
            return _advanced(x, index)
    if array_at < 0:
        return GetItem(index)(x)
    return _take(x, array_at, index[array_at])  # the most common kind: rows, or slices along one dim


def _take(x: Any, dim: int, index: Any) -> Any:
    if dim >= x.ndim:
        raise IndexError(f"getitem: {dim + 1} indices for {x.ndim} dimensions")
    try:
        return Take(dim)(x, index)
    except IndexError as e:
        raise IndexError(str(e).replace("index_select", "getitem", 1)) from None


def _linear_index(arrays: Any, lengths: Any) -> Any:
    """Integer arrays, one per dim of the given lengths, as one index into the merged dim."""
    if len(arrays) == 1:
        return arrays[0]
    try:
        np.broadcast_shapes(*[a.shape for a in arrays])
    except ValueError:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise IndexError(f"getitem: index arrays of shapes {shapes} do not broadcast") from None
    linear = 0
    for position, (array, n) in enumerate(zip(arrays, lengths)):
        bad = (array < -n) | (array >= n)
        if bad.any():
            value = array[bad].flat[0]
            raise IndexError(
                f"getitem: index array {position} holds {value}, out of range for a dim of size {n}"
            )
        linear = linear * n + np.where(array < 0, array + n, array)
    return linear


def _advanced(x: Any, index: Any) -> Any:
    from .shape import movedim, reshape

    index = expand_ellipsis("getitem", [plain_item("getitem", i) for i in index], x.ndim)
    fancy = any(isinstance(i, np.ndarray) for i in index)
    if not fancy:
        return GetItem(tuple(index))(x)
    basic: list[Any] = []
    arrays: list[Any] = []
    dims: list[Any] = []  # where the indexed dims stand after the basic part
    masks = [i for i in index if isinstance(i, np.ndarray) and i.dtype == bool]
    axis = 0  # of x
    for item in index:
        if isinstance(item, np.ndarray) and item.dtype == bool:
            if item.shape != tuple(x.shape[axis : axis + item.ndim]):
                raise IndexError(
                    f"getitem: a mask of shape {item.shape} stands at dim {axis} of x.shape={tuple(x.shape)}"
                )
            if (
                not item.ndim
            ):  # True and False stand at a dim of their own, of length 1, which they keep or empty
                arrays.append(np.zeros(int(item), np.int64))
                dims.append(len(basic))
                basic.append(None)
                continue
            arrays += item.nonzero()
            dims += range(len(basic), len(basic) + item.ndim)
            basic += [slice(None)] * item.ndim
            axis += item.ndim
        elif isinstance(item, (np.ndarray, int)):
            arrays.append(np.asarray(item))
            dims.append(len(basic))
            basic.append(slice(None))
            axis += 1
        else:
            basic.append(item)
            axis += item is not None
    if any(item != slice(None) for item in basic):
        x = GetItem(tuple(basic))(x)
    k, shape = len(dims), tuple(x.shape)
    at = dims[0]
    if dims != list(
        range(at, at + k)
    ):  # NumPy's rule: the result's indexed dims come first if they stood apart
        x, at = movedim(x, dims, range(k)), 0
        shape = tuple(x.shape)
    lengths = shape[at : at + k]
    if k > 1:
        x = reshape(x, (*shape[:at], math.prod(lengths), *shape[at + k :]))
    if len(masks) == 1 and masks[0].ndim == k:
        linear = np.flatnonzero(masks[0])
    else:
        linear = _linear_index(arrays, lengths)
    return _take(x, at, linear)
