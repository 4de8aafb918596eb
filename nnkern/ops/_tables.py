"""What interpolation reads: for one axis, the places of x behind each output and their weights."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np


class Table(NamedTuple):
    """y[o] = sum of weight[e] * x[index[e]] for first[o] <= e < first[o + 1]."""

    first: Any
    index: Any
    weight: Any


def _table(index: Any, weight: Any, used: Any = None) -> Table:
    """From arrays (out, taps); `used` says which entries there are."""
    out, taps = index.shape
    counts = np.full(out, taps) if used is None else used.sum(1)
    first = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    if used is not None:
        index, weight = index[used], weight[used]
    return Table(first, index.ravel().astype(np.int64), np.ascontiguousarray(weight.ravel()))


def transposed(t: Table, length: int) -> Table:
    """The table of the gradient: what each of x's `length` places gives to."""
    order = np.argsort(t.index, kind="stable")
    out = np.repeat(np.arange(len(t.first) - 1), np.diff(t.first))
    first = np.concatenate(([0], np.cumsum(np.bincount(t.index, minlength=length)))).astype(np.int64)
    return Table(first, out[order].astype(np.int64), np.ascontiguousarray(t.weight[order]))


def _cubic(u: Any, a: float) -> Any:
    u = np.abs(u)
    near, far = ((a + 2) * u - (a + 3)) * u * u + 1, ((a * u - 5 * a) * u + 8 * a) * u - 4 * a
    return np.where(u < 1, near, np.where(u < 2, far, 0))


def _antialiased(kind: str, size: int, out: int, scale: Any) -> Table:
    """Filters as wide as the step, so that every number of x has its share (Pillow's rule)."""
    reach = (2 if kind == "cubic" else 1) * max(scale, scale * 0 + 1)
    centre = scale * (np.arange(out, dtype=scale.dtype) + scale.dtype.type(0.5))
    low = np.maximum((centre - reach + scale.dtype.type(0.5)).astype(np.int64), 0)
    high = np.minimum((centre + reach + scale.dtype.type(0.5)).astype(np.int64), size)
    place = low[:, None] + np.arange(max(1, int((high - low).max(initial=1))))
    used = place < high[:, None]
    shrink = 1 / max(scale, scale * 0 + 1)
    u = (place - centre[:, None] + scale.dtype.type(0.5)) * shrink
    weight = _cubic(u, -0.5) if kind == "cubic" else np.maximum(0, 1 - np.abs(u))
    weight = np.where(used, weight, 0)
    weight = weight / np.cumsum(weight, 1)[:, -1:]  # added in order, as PyTorch does
    return _table(place, weight.astype(scale.dtype), used)


def _scale(size: int, out: int, align_corners: bool, scale_factor: float | None, real: Any) -> Any:
    """Numbers of x from one output to the next."""
    if align_corners:
        return real(size - 1) / real(out - 1) if out > 1 else real(0)
    return real(1.0 / scale_factor) if scale_factor else real(size) / real(out)


@functools.lru_cache(maxsize=256)
def table(
    kind: str,
    size: int,
    out: int,
    align_corners: bool,
    scale_factor: float | None,
    antialias: bool,
    dtype: Any,
) -> tuple[Table, Table]:
    """One axis from `size` to `out` numbers, and its transpose. Places are computed in dtype, as PyTorch does."""
    real = np.dtype(dtype).type
    scale = _scale(size, out, align_corners, scale_factor, real)
    o = np.arange(out, dtype=dtype)
    if size == out and (antialias or kind == "linear"):  # whatever the scale, as in PyTorch
        t = _table(np.arange(out)[:, None], np.ones((out, 1), dtype))
    elif antialias:
        t = _antialiased(kind, size, out, scale)
    elif kind in ("nearest", "nearest-exact"):
        at = np.floor((o + real(0.5 if kind == "nearest-exact" else 0)) * scale).astype(np.int64)
        t = _table(np.minimum(at, size - 1)[:, None], np.ones((out, 1), dtype))
    elif kind == "area":
        low, high = np.arange(out) * size // out, -(-np.arange(1, out + 1) * size // out)
        place = low[:, None] + np.arange((high - low).max())
        weight = np.broadcast_to((1 / (high - low)).astype(dtype)[:, None], place.shape)
        t = _table(place, weight, place < high[:, None])
    else:
        at = o * scale if align_corners else (o + real(0.5)) * scale - real(0.5)
        if kind == "linear":
            at = np.maximum(at, 0)
            low = np.minimum(at.astype(np.int64), size - 1)
            part = np.clip(at - low.astype(dtype), 0, 1)
            index = np.stack([low, np.minimum(low + 1, size - 1)], 1)
            t = _table(index, np.stack([1 - part, part], 1))
        else:
            low = np.floor(at).astype(np.int64)
            part = np.clip(at - low.astype(dtype), 0, 1)
            index = np.clip(low[:, None] + np.arange(-1, 3), 0, size - 1)
            t = _table(index, _cubic(part[:, None] - np.arange(-1, 3, dtype=dtype), -0.75).astype(dtype))
    return t, transposed(t, size)


class FixedTable(NamedTuple):
    """The same with whole weights: y[o] = sum of weight[e] * x[index[e]], over 2^bits and rounded."""

    first: Any
    index: Any
    weight: Any
    bits: int


def _merged(kind: str, size: int, out: int, align_corners: bool, scale: Any) -> tuple[Any, Any, Any, float]:
    """Places, weights, their counts and the largest weight; places outside give theirs to the edges."""
    taps = 4 if kind == "cubic" else 2
    o = np.arange(out)
    at = o * scale if align_corners else (o + 0.5) * scale - 0.5
    if kind == "linear":
        at = np.maximum(at, 0)
    low = np.minimum(np.floor(at.astype(np.float32)).astype(np.int64), size - 1)
    part = np.clip(at - low, 0, 1)
    first = low - taps // 2 + 1
    begin = np.maximum(first, 0)
    count = np.clip(np.minimum(low + taps // 2 + 1, size) - begin, 0, taps)
    weight, slot, largest = np.zeros((out, taps)), np.zeros(out, np.int64), 0.0
    for k in range(taps):
        u = k + 1 - taps // 2 - part
        slot = np.where(first + k <= 0, 0, np.where(first + k >= size - 1, count - 1, slot))
        weight[o, slot] += _cubic(u, -0.75) if kind == "cubic" else np.maximum(0, 1 - np.abs(u))
        largest = max(largest, float(weight[o, slot].max()))
        slot = slot + 1
    return begin[:, None] + np.arange(taps), weight, np.arange(taps) < count[:, None], largest


@functools.lru_cache(maxsize=256)
def fixed_table(
    kind: str, size: int, out: int, align_corners: bool, scale_factor: float | None, antialias: bool
) -> FixedTable:
    """One axis for uint8 images: weights of 16 bits with as many binary places as the largest leaves room for."""
    scale = _scale(size, out, align_corners, scale_factor, np.float64)
    if size == out:
        t, largest = _table(np.arange(out)[:, None], np.ones((out, 1))), 1.0
    elif antialias:
        t = _antialiased(kind, size, out, scale)
        largest = float(t.weight.max())
    else:
        index, weight, used, largest = _merged(kind, size, out, align_corners, scale)
        t = _table(index, weight, used)
    bits = 0
    while bits < 22 and int(0.5 + largest * 2 ** (bits + 1)) < 2**15:
        bits += 1
    fixed = np.trunc(np.copysign(0.5, t.weight) + t.weight * 2**bits)
    return FixedTable(t.first, t.index, fixed.astype(np.float32), bits)
