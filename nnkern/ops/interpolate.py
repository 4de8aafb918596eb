"""Resampling of images and signals: nearest, linear, cubic, area, antialiased; each axis by its table of weights."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ..device import numpy_dtype
from ..function import Function
from ._tables import fixed_table, table
from .index import index_select

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

# mode: spatial axes it is for, and the kind of its tables
_MODES = {
    "nearest": ((1, 2, 3), "nearest"),
    "nearest-exact": ((1, 2, 3), "nearest-exact"),
    "area": ((1, 2, 3), "area"),
    "linear": ((1,), "linear"),
    "bilinear": ((2,), "linear"),
    "trilinear": ((3,), "linear"),
    "bicubic": ((2,), "cubic"),
}


class Resample(Function):
    """tables: of each axis a pair, the way there and the way back."""

    def __init__(self, tables: Any) -> None:
        self.tables = tables

    def forward(self, x: Any) -> Any:
        return self.kernels.interpolate_forward(x, [a for there, _ in self.tables for a in there])

    def backward(self, gy: Any) -> Any:
        return Resample([(back, there) for there, back in self.tables])(gy)


class ResampleBytes(Function):
    """Of uint8 images, in whole numbers; without a gradient. tables: of both axes."""

    def __init__(self, tables: Any) -> None:
        self.tables = tables

    def forward(self, x: Any) -> Any:
        arrays = [a for t in self.tables for a in (t.first, t.index, t.weight)]
        return self.kernels.interpolate_u8_forward(x, arrays, [t.bits for t in self.tables])


def _per_axis(name: str, value: Any, n: int) -> Any:
    """value as a tuple of n numbers, or None."""
    if value is None:
        return None
    value = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(value, (tuple, list)):
        return (value,) * n
    if len(value) != n:
        raise ValueError(f"interpolate: {name} must be a number or {n} of them, got {tuple(value)}")
    return tuple(value)


def _sizes(input: Any, size: Any, scale_factor: Any, recompute_scale_factor: Any) -> Any:
    """The result's spatial sizes, and the scale that each axis is resampled by (None: from the sizes)."""
    n, shape = input.ndim - 2, tuple(input.shape)
    size, scale = _per_axis("size", size, n), _per_axis("scale_factor", scale_factor, n)
    if (size is None) == (scale is None):
        given = "neither" if size is None else "both"
        raise ValueError(f"interpolate: give either size or scale_factor, got {given}")
    if size is not None and recompute_scale_factor:
        raise ValueError("interpolate: recompute_scale_factor needs scale_factor, got size")
    if size:
        if not all(hasattr(s, "__index__") for s in size):
            raise TypeError(f"interpolate: size must be whole numbers, got {size}")
        out = tuple(map(operator.index, size))
    else:
        if not all(math.isfinite(s) for s in scale):
            raise ValueError(f"interpolate: scale_factor must be finite, got {scale}")
        out = tuple(math.floor(k * float(s)) for k, s in zip(shape[2:], scale))
    if min(out) < 1 or min(shape[1:]) < 1:
        raise ValueError(f"interpolate: input and output must have a pixel (input.shape={shape}, size={out})")
    return out, (None,) * n if size or recompute_scale_factor else tuple(map(float, scale))


def _checked_kind(input: Any, mode: str, align_corners: Any, antialias: bool) -> str:
    if mode not in _MODES:
        raise ValueError(f"interpolate: mode must be one of {', '.join(map(repr, _MODES))}, got {mode!r}")
    axes, kind = _MODES[mode]
    if input.ndim - 2 not in axes:
        shape = tuple(input.shape)
        raise ValueError(
            f"interpolate: mode {mode!r} needs {' or '.join(map(str, axes))} axes behind (N, C) (input.shape={shape})"
        )
    if align_corners is not None and kind not in ("linear", "cubic"):
        raise ValueError(f"interpolate: align_corners is for linear and cubic modes, not for {mode!r}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"interpolate: antialias is for 'bilinear' and 'bicubic', not for {mode!r}")
    return kind


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Resample the spatial axes of input to `size`, or by `scale_factor`.

    y[n, c, i, j] = sum over r, s of a[i, r] b[j, s] input[n, c, r, s], a and b the weights of each axis

    input: (N, C, W), (N, C, H, W) or (N, C, D, H, W); float32 or float64, for "nearest" and "nearest-exact" any dtype,
    for "bilinear" and "bicubic" also uint8: in whole numbers, rounded after each axis.
    mode: "nearest", "nearest-exact", "area" for all; "linear" for one axis, "bilinear" and "bicubic" for two, "trilinear"
    for three. size, scale_factor: one number or one for each axis, either of them; output sizes are rounded down.
    align_corners: the corner pixels' centres (not their outer edges) fall together. recompute_scale_factor: resample by
    the ratio of the sizes, not by scale_factor. antialias (bilinear, bicubic): filters as wide as the step when shrinking,
    as Pillow's. A channels-last image stays one. Raises ValueError for options that do not go together. Semantics:
    torch.nn.functional.interpolate.

    >>> interpolate(np.array([[[0.0, 1.0]]]), scale_factor=2, mode="linear")
    array([[[0.  , 0.25, 0.75, 1.  ]]])
    """
    kind = _checked_kind(input, mode, align_corners, antialias)
    out, scale = _sizes(input, size, scale_factor, recompute_scale_factor)
    dtype = numpy_dtype(input.dtype)
    if dtype == np.uint8 and mode in ("bilinear", "bicubic"):
        fixed = [
            fixed_table(kind, n, o, bool(align_corners), s, antialias)
            for n, o, s in zip(input.shape[2:], out, scale)
        ]
        return ResampleBytes(fixed)(input)
    real = dtype if dtype.kind == "f" else np.dtype(np.float32)
    tables = [
        table(kind, n, o, bool(align_corners), s, antialias, real)
        for n, o, s in zip(input.shape[2:], out, scale)
    ]
    if dtype.kind != "f" and kind.startswith("nearest"):
        for dim, (there, _) in enumerate(tables, 2):
            input = index_select(input, dim, there.index)
        return input
    return Resample(tables)(input)


def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: Any = None
) -> Any:
    """interpolate under its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """interpolate with mode "nearest"."""
    return interpolate(input, size, scale_factor)


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """interpolate with mode "bilinear" and align_corners."""
    return interpolate(input, size, scale_factor, "bilinear", True)
