"""How a sequence knows its order: sinusoids, rotary embedding, ALiBi."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import as_array, like, numpy_dtype
from ..function import Function
from ..tensor import Tensor
from .arithmetic import add, mul, sub
from .join import cat, stack

__all__ = ["alibi_bias", "alibi_slopes", "rope", "sinusoidal_positions"]


def _angles(positions: Any, width: int, base: float) -> Any:
    """positions x base^(-2 i / width), in float64."""
    return np.asarray(positions, np.float64)[..., None] * base ** (-np.arange(0, width, 2) / width)


def sinusoidal_positions(length: int, width: int, base: float = 10000.0, dtype: Any = np.float32) -> Any:
    """The (length, width) table sin(t / base^(2i / width)) in even columns, cos in odd ones.

    Vaswani et al. 2017, section 3.5.

    >>> sinusoidal_positions(2, 2)[0].tolist()
    [0.0, 1.0]
    """
    angles = _angles(np.arange(length), width, base)
    table = np.empty((length, width), numpy_dtype(dtype))
    table[:, 0::2], table[:, 1::2] = np.sin(angles), np.cos(angles)[:, : width // 2]
    return table


def _rotate(x: Any, cos: Any, sin: Any, interleaved: bool) -> Any:
    if interleaved:
        a, b = x[..., 0::2], x[..., 1::2]
    else:
        half = x.shape[-1] // 2
        a, b = x[..., :half], x[..., half:]
    first, second = sub(mul(a, cos), mul(b, sin)), add(mul(b, cos), mul(a, sin))
    return stack([first, second], -1).reshape(*x.shape) if interleaved else cat([first, second], -1)


class Rope(Function):
    def __init__(self, cos: Any, sin: Any, interleaved: bool) -> None:
        self.cos, self.sin, self.interleaved = cos, sin, interleaved

    def forward(self, x: Any) -> Any:
        return _rotate(x, self.cos, self.sin, self.interleaved)

    def backward(self, gy: Any) -> Any:
        return Rope(self.cos, -self.sin, self.interleaved)(gy)


def rope(x: Any, positions: Any = None, base: float = 10000.0, interleaved: bool = False) -> Any:
    """Rotary position embedding: each pair of features is turned by position / base^(2i / width).

    x: (..., length, width), width even. positions: a number, the place of the first row, or one number per row,
    broadcastable to (..., length); default 0, 1, 2, ... Pairs are (i, i + width / 2) as in GPT-NeoX and Llama,
    or (2i, 2i + 1) with interleaved=True as in RoFormer and GPT-J. Returns x's shape. Raises ValueError for an odd
    width. Su et al. 2021.

    >>> rope(np.ones((1, 2)), 0).tolist()
    [[1.0, 1.0]]
    """
    shape = tuple(x.shape)
    if len(shape) < 2 or shape[-1] % 2:
        raise ValueError(f"rope: x must be (..., length, width) with an even width (x.shape={shape})")
    if isinstance(positions, Tensor):
        positions = positions.data
    if positions is None or np.ndim(positions) == 0:
        positions = np.arange(shape[-2]) + (positions or 0)
    try:
        np.broadcast_to(np.asarray(positions), shape[:-1])
    except ValueError:
        raise ValueError(
            f"rope: positions must broadcast to x's rows (positions.shape={np.shape(positions)}, x.shape={shape})"
        ) from None
    angles = _angles(positions, shape[-1], base)
    dtype = numpy_dtype(x.dtype)
    return Rope(np.cos(angles).astype(dtype), np.sin(angles).astype(dtype), interleaved)(x)


def alibi_slopes(heads: int, dtype: Any = np.float32) -> Any:
    """One slope per head for alibi_bias: 2^(-8 h / heads) for a power of two, interleaved series otherwise.

    Press, Smith and Lewis 2022.

    >>> alibi_slopes(2).tolist()
    [0.0625, 0.00390625]
    """
    if heads < 1:
        raise ValueError(f"alibi_slopes: heads must be at least 1, got {heads}")
    whole = 1 << (heads.bit_length() - 1)
    slopes = [2 ** (-8 * (i + 1) / whole) for i in range(whole)]
    slopes += [2 ** (-4 * (2 * i + 1) / whole) for i in range(heads - whole)]
    return np.array(slopes, numpy_dtype(dtype))


def alibi_bias(slopes: Any, length: int, keys: int | None = None, offset: int = 0) -> Any:
    """The additive mask -slope * |query - key| of shape (heads, length, keys): attention with linear biases.

    slopes: alibi_slopes(heads), or any array of one number per head. Query i stands at i + offset.

    >>> alibi_bias(alibi_slopes(1), 2)[0].tolist()
    [[-0.0, -0.00390625], [-0.00390625, -0.0]]
    """
    given, slopes, keys = slopes, as_array(slopes, "alibi_bias"), length if keys is None else keys
    if slopes.ndim != 1 or length < 0 or keys < 0:
        raise ValueError(
            f"alibi_bias: slopes must be 1-d and lengths not negative, got slopes of shape {slopes.shape}, "
            f"length {length} and keys {keys}"
        )
    i, j = np.arange(length)[:, None] + offset, np.arange(keys)
    return like(-slopes[:, None, None] * np.abs(i - j).astype(slopes.dtype), given)
