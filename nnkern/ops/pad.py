"""Surrounding an array by a number, its reflection, its edge or its other end."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..device import numpy_dtype
from ..function import Function

__all__ = ["pad"]

_MODES = {"constant": 0, "reflect": 1, "replicate": 2, "circular": 3}


class Pad(Function):
    def __init__(self, pads: Any, mode: int, value: float = 0.0) -> None:
        self.pads, self.mode, self.value = pads, mode, value

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        return self.kernels.pad_forward(x, self.pads, self.mode, self.value)

    def backward(self, gy: Any) -> Any:
        if self.mode:
            return PadGrad(self.x_shape, self.pads, self.mode)(gy)
        return Pad([-p for p in self.pads], 0)(gy)


class PadGrad(Function):
    """Every element of gy added up where it was taken from."""

    def __init__(self, x_shape: Any, pads: Any, mode: int) -> None:
        self.x_shape, self.pads, self.mode = x_shape, pads, mode

    def forward(self, gy: Any) -> Any:
        return self.kernels.pad_backward(gy, self.x_shape, self.pads, self.mode)

    def backward(self, ggx: Any) -> Any:
        return Pad(self.pads, self.mode)(ggx)


def pad(x: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    """Surround x: pad = (before, after) of the last dim, then of the one before it, and so on.

    mode: "constant" (by `value`, 0 if None), "reflect" (mirrored at the edge, which is not repeated: pads below the
    length), "replicate" (the edge repeated), "circular" (the other end: pads up to the length). Negative numbers crop.
    Any dims may be padded in all modes (PyTorch: the last one to three, behind N and C), and any dtype. A
    channels-last image stays one. Raises ValueError for pads that do not fit,
    and for a value that x's dtype does not have. Semantics: torch.nn.functional.pad.

    >>> pad(np.ones((2, 2)), (1, 0)).tolist()
    [[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    >>> pad(np.arange(3.0), (2, 1), "reflect").tolist()
    [2.0, 1.0, 0.0, 1.0, 2.0, 1.0]
    """
    if mode not in _MODES:
        raise ValueError(f"pad: mode must be one of {', '.join(map(repr, _MODES))}, got {mode!r}")
    if value and mode != "constant":
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
    pads = _whole(pad, x)
    if value and hasattr(x, "dtype") and (dtype := numpy_dtype(x.dtype)).kind in "iu":
        limits = np.iinfo(dtype)  # and the kernel takes a double
        if not limits.min <= value <= limits.max or int(float(value)) != value:
            raise ValueError(f"pad: value {value} does not fit x, which is {dtype}")
    return Pad(pads, _MODES[mode], float(value or 0))(x)


def _whole(pad: Any, x: Any) -> list[int]:
    """pad as whole numbers, none of which crops more than there is."""
    try:
        pads = [operator.index(p) for p in pad]
    except TypeError:
        raise TypeError(f"pad: pad must be whole numbers, got {pad}") from None
    if pads and min(pads) < 0:
        shape = tuple(getattr(x, "shape", ()))
        for i, p in enumerate(pads):
            dim = len(shape) - 1 - i // 2
            if dim >= 0 and -p > shape[dim]:
                n = shape[dim]
                raise ValueError(f"pad: {p} crops more than the length {n} of dim {dim} (x.shape={shape})")
    return pads
