"""Activations made of straight pieces, their kinks where PyTorch has them."""

from __future__ import annotations

from math import inf
from typing import Any

from numpy import iinfo

from ._activation import Activation, activate, kernels, ndarray
from .arithmetic import add, div, mul
from .compare import ge, gt, le, logical_and, lt, where
from .elementwise import abs

_WHOLE = "ilqB"  # the whole numbers that kernels take


class Hardtanh(Activation):
    name = "hardtanh"

    @staticmethod
    def direct(x: Any, low: float, high: float) -> Any:
        if isinstance(x, ndarray) and x.dtype.char in _WHOLE:
            limits = iinfo(x.dtype)
            low, high = (limits.min if low == -inf else low), (limits.max if high == inf else high)
            return kernels.minimum_forward(kernels.maximum_forward(x, int(low)), int(high))
        return kernels.hardtanh_forward(x, low, high)

    def plain(self, gy: Any, x: Any, *numbers: float) -> Any:
        return where(logical_and(gt(x, numbers[0]), lt(x, numbers[1])), gy, 0.0)


def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x limited to [min_val, max_val]; the gradient is 0 at and beyond the limits. Takes integers, too."""
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val must not be above max_val, got {min_val} and {max_val}")
    return activate(Hardtanh, x, inplace, "hardtanh_", min_val, max_val)


def hardtanh_(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """hardtanh over x itself."""
    return hardtanh(x, min_val, max_val, True)


def relu6(x: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return activate(Hardtanh, x, inplace, "relu6_", 0.0, 6.0)


class Hardsigmoid(Activation):
    name = "hardsigmoid"

    def plain(self, gy: Any, x: Any, *numbers: float) -> Any:
        return where(lt(abs(x), 3.0), div(gy, 6.0), 0.0)


def hardsigmoid(x: Any, inplace: bool = False) -> Any:
    """relu6(x + 3) / 6."""
    return activate(Hardsigmoid, x, inplace, "hardsigmoid_")


class Hardswish(Activation):
    name = "hardswish"

    def plain(self, gy: Any, x: Any, *numbers: float) -> Any:
        inside = mul(gy, add(div(x, 3.0), 0.5))
        return where(le(x, -3.0), 0.0, where(ge(x, 3.0), gy, inside))


def hardswish(x: Any, inplace: bool = False) -> Any:
    """x relu6(x + 3) / 6. Howard et al. 2019, arXiv 1905.02244."""
    return activate(Hardswish, x, inplace, "hardswish_")


class Softshrink(Activation):
    name = "softshrink"

    def plain(self, gy: Any, x: Any, *numbers: float) -> Any:
        return where(gt(abs(x), numbers[0]), gy, 0.0)


def softshrink(x: Any, lambd: float = 0.5) -> Any:
    """x moved by lambd towards 0, and 0 where |x| <= lambd."""
    if lambd < 0:
        raise ValueError(f"softshrink: lambd must not be negative, got {lambd}")
    return activate(Softshrink, x, False, "", lambd)


class Hardshrink(Activation):
    name = "hardshrink"
    plain = Softshrink.plain


def hardshrink(x: Any, lambd: float = 0.5) -> Any:
    """x, and 0 where |x| <= lambd."""
    return activate(Hardshrink, x, False, "", lambd)


class Threshold(Activation):
    name = "threshold"

    @staticmethod
    def direct(x: Any, level: float, value: float) -> Any:
        if isinstance(x, ndarray) and x.dtype.char in _WHOLE:
            return kernels.where_forward(kernels.le_forward(x, level), int(value), x)
        return kernels.threshold_forward(x, level, value)

    def plain(self, gy: Any, x: Any, *numbers: float) -> Any:
        return where(le(x, numbers[0]), 0.0, gy)


def threshold(x: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, else value. Takes integers, too."""
    return activate(Threshold, x, inplace, "threshold_", threshold, value)


def threshold_(x: Any, threshold: float, value: float) -> Any:
    """threshold over x itself."""
    return activate(Threshold, x, True, "threshold_", threshold, value)
