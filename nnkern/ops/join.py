"""Joining, splitting and repeating: cat, stack, split, chunk, unbind, narrow, roll, repeat.

Parts are views of what is split; what is joined or repeated is copied by csrc/cpu/copy.cpp. Names follow PyTorch.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np

from ..function import Function
from .index import getitem, zeros_view
from .shape import axis_of, broadcast_to, clone, reshape, unsqueeze

__all__ = [
    "cat", "chunk", "narrow", "repeat", "roll", "split", "stack", "tile", "unbind",
]  # fmt: skip


_ARRAYS = {np.ndarray}


def _joined(kernel: Any, xs: Any, dim: int) -> Any:
    """xs side by side; of mixed dtypes in that of the floats among them, or in the widest."""
    try:
        return kernel(xs, dim)
    except TypeError:
        dtypes = {x.dtype for x in xs if isinstance(x, np.ndarray)}
        floats = [t for t in dtypes if t.kind == "f"]
        if len(dtypes) < 2 or len(floats) > 1 or any(t.kind not in "fiub" for t in dtypes):
            raise
        to = floats[0] if floats else np.result_type(*dtypes)
    return kernel([x.astype(to, copy=False) for x in xs], dim)


class Cat(Function):
    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, *xs: Any) -> Any:
        y = _joined(self.kernels.cat_forward, xs, self.dim)
        self.dim %= y.ndim
        self.lengths = [0 if x.shape == (0,) else x.shape[self.dim] for x in xs]
        self.shapes = [x.shape for x in xs]
        return y

    def backward(self, gy: Any) -> Any:
        parts = split(gy, self.lengths, self.dim)
        if (0,) not in self.shapes:
            return parts
        return tuple(reshape(g, shape) for g, shape in zip(parts, self.shapes))


def cat(tensors: Any, dim: int = 0) -> Any:
    """Join arrays of equal shape (except along dim) along dim. Arrays of shape (0,) go with any and add nothing.

    Whole numbers beside floats become floats of their dtype, among themselves the widest of theirs; float32 beside
    float64 is a TypeError.
    """
    if type(tensors) in (list, tuple) and set(map(type, tensors)) == _ARRAYS:  # there is no tape
        return _joined(Function.kernels.cat_forward, tensors, dim)
    return Cat(dim)(*tensors)


class Stack(Function):
    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, *xs: Any) -> Any:
        if not xs:
            raise ValueError("stack: needs at least one array")
        self.dim = dim = axis_of("stack", self.dim, xs[0].ndim + 1)
        place = (slice(None),) * dim + (None,)
        odd = next((i for i, x in enumerate(xs) if x.shape != xs[0].shape), None)
        if odd is not None:
            shapes = f"tensors[0].shape={xs[0].shape}, tensors[{odd}].shape={xs[odd].shape}"
            raise ValueError(f"stack: tensors[{odd}] must have the shape of tensors[0] ({shapes})")
        return _joined(self.kernels.cat_forward, [x[place] for x in xs], dim)

    def backward(self, gy: Any) -> Any:
        return unbind(gy, self.dim)


def stack(tensors: Any, dim: int = 0) -> Any:
    """Join arrays of equal shape along a new dim; dtypes: see cat."""
    return Stack(dim)(*tensors)


def narrow(x: Any, dim: int, start: int, length: int) -> Any:
    """x[start : start + length] along dim, as a view; a negative start counts from the end."""
    dim = axis_of("narrow", dim, x.ndim)
    if -x.shape[dim] <= start < 0:
        start += x.shape[dim]
    if not 0 <= start <= start + length <= x.shape[dim]:
        raise IndexError(
            f"narrow: [{start}, {start + length}) does not lie in dim {dim} of x.shape={tuple(x.shape)}"
        )
    return getitem(x, (slice(None),) * dim + (slice(start, start + length),))


class Split(Function):
    """Views of the given lengths along dim; `drop` removes dim from each."""

    is_view = True

    def __init__(self, dim: int, lengths: Any, drop: bool = False) -> None:
        self.dim, self.lengths, self.drop = dim, lengths, drop

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        lead = (slice(None),) * self.dim
        if self.drop:
            return tuple(x[(*lead, i, ...)] for i in range(x.shape[self.dim]))
        ends = accumulate(self.lengths)
        return tuple(x[(*lead, slice(end - n, end))] for end, n in zip(ends, self.lengths))

    def backward(self, *gys: Any) -> Any:
        given = next(g for g in gys if g is not None)
        shape = list(self.x_shape)
        parts = []
        for g, n in zip(gys, self.lengths):
            shape[self.dim] = n
            parts.append(
                zeros_view(shape, given.dtype) if g is None else unsqueeze(g, self.dim) if self.drop else g
            )
        return cat(parts, self.dim)


def split(x: Any, split_size: Any, dim: int = 0) -> Any:
    """Views of split_size each along dim (the last may be shorter), or of the lengths in a list."""
    dim = axis_of("split", dim, x.ndim)
    total = x.shape[dim]
    if isinstance(split_size, int):
        if split_size <= 0:
            raise ValueError(f"split: split_size must be positive, got {split_size}")
        split_size = [min(split_size, total - i) for i in range(0, max(total, 1), split_size)]
    if sum(split_size) != total or min(split_size, default=0) < 0:
        raise ValueError(
            f"split: lengths {list(split_size)} must sum to {total}, none below 0 "
            f"(x.shape={tuple(x.shape)}, dim={dim})"
        )
    return Split(dim, split_size)(x)


def chunk(x: Any, chunks: int, dim: int = 0) -> Any:
    """At most `chunks` views of equal length along dim (the last may be shorter)."""
    if chunks <= 0:
        raise ValueError(f"chunk: chunks must be positive, got {chunks}")
    n = x.shape[axis_of("chunk", dim, x.ndim)]
    return split(x, -(-n // chunks) if n else [0] * chunks, dim)


def unbind(x: Any, dim: int = 0) -> Any:
    """A tuple of views, one for each position along dim, without that dim."""
    dim = axis_of("unbind", dim, x.ndim)
    n = x.shape[dim]
    return Split(dim, (1,) * n, drop=True)(x) if n else ()


def roll(x: Any, shifts: Any, dims: Any = None) -> Any:
    """Move the elements by `shifts` along dims; those pushed out at the end come in at the front."""
    if dims is None:
        return reshape(roll(reshape(x, (-1,)), shifts, 0), x.shape)
    if isinstance(shifts, int):
        shifts, dims = (shifts,), (dims,) if isinstance(dims, int) else dims
    if len(shifts) != len(dims):
        raise ValueError(f"roll: {len(shifts)} shifts but {len(dims)} dims")
    for shift, dim in zip(shifts, dims):
        n = x.shape[axis_of("roll", dim, x.ndim)]
        cut = -shift % n if n else 0
        x = cat((narrow(x, dim, cut, n - cut), narrow(x, dim, 0, cut)), dim)
    return x


def repeat(x: Any, sizes: Any) -> Any:
    """x laid out sizes[i] times along each dim i (numpy.tile); more sizes than dims add dims in front."""
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    if len(sizes) < x.ndim:
        raise ValueError(f"repeat: {len(sizes)} sizes for x.shape={tuple(x.shape)}; give one for each dim")
    lengths = (1,) * (len(sizes) - x.ndim) + tuple(x.shape)
    x = reshape(x, [n for length in lengths for n in (1, length)])
    x = broadcast_to(x, [n for pair in zip(sizes, lengths) for n in pair])
    return reshape(clone(x), [times * length for times, length in zip(sizes, lengths)])


def tile(x: Any, dims: Any) -> Any:
    """repeat, where missing leading sizes are 1."""
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    return repeat(x, (1,) * (x.ndim - len(dims)) + dims)
