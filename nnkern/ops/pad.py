"""Surrounding an array by a number, its reflection, its edge or its other end."""

from __future__ import annotations

from typing import Any

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
    channels-last image stays one. Raises ValueError for pads that do not fit. Semantics: torch.nn.functional.pad.

    >>> pad(np.ones((2, 2)), (1, 0)).tolist()
    [[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    >>> pad(np.arange(3.0), (2, 1), "reflect").tolist()
    [2.0, 1.0, 0.0, 1.0, 2.0, 1.0]
    """
    if mode not in _MODES:
        raise ValueError(f"pad: mode must be one of {', '.join(map(repr, _MODES))}, got {mode!r}")
    if value and mode != "constant":
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
    return Pad([int(p) for p in pad], _MODES[mode], float(value or 0))(x)
