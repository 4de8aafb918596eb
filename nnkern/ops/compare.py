"""Comparisons, logic and choice, with NumPy's broadcasting: eq ... ge, isnan, logical_and, where, maximum, clamp.

Comparisons and logic give bool arrays and have no gradient. The rules of elementwise.py hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import numpy_dtype
from ..function import Function
from ..tensor import Tensor
from .arithmetic import BinaryKernel, mul, unbroadcast

__all__ = [
    "clamp", "eq", "ge", "gt", "isfinite", "isinf", "isnan", "le", "logical_and", "logical_not",
    "logical_or", "logical_xor", "lt", "masked_fill", "maximum", "minimum", "ne", "where",
]  # fmt: skip


_inf = float("inf")
# A plain array has no tape: it goes straight to the kernel.
_ndarray = np.ndarray
_kernels = Function.kernels


class Compare(Function):
    takes_numbers = True

    def __init__(self, kernel: str) -> None:
        self.kernel = kernel

    @property
    def name(self) -> str:
        return self.kernel.removesuffix("_forward")

    def forward(self, *arrays: Any) -> Any:
        return getattr(self.kernels, self.kernel)(*arrays)


def eq(x: Any, y: Any) -> Any:
    """x == y."""
    return Compare("eq_forward")(x, y)


def ne(x: Any, y: Any) -> Any:
    """x != y (True for NaN)."""
    return Compare("ne_forward")(x, y)


def lt(x: Any, y: Any) -> Any:
    """x < y."""
    return Compare("lt_forward")(x, y)


def le(x: Any, y: Any) -> Any:
    """x <= y."""
    return Compare("le_forward")(x, y)


def gt(x: Any, y: Any) -> Any:
    """x > y."""
    return Compare("gt_forward")(x, y)


def ge(x: Any, y: Any) -> Any:
    """x >= y."""
    return Compare("ge_forward")(x, y)


def isnan(x: Any) -> Any:
    """True where x is NaN."""
    return Compare("isnan_forward")(x)


def isinf(x: Any) -> Any:
    """True where x is inf or -inf."""
    return Compare("isinf_forward")(x)


def isfinite(x: Any) -> Any:
    """True where x is neither NaN nor infinite."""
    return Compare("isfinite_forward")(x)


def _truth(x: Any) -> Any:
    """Numbers as bool: whether they are not 0 (NaN is not)."""
    return ne(x, 0) if getattr(x, "dtype", np.bool_) != np.bool_ else x


def logical_and(x: Any, y: Any) -> Any:
    """x and y, each true where it is not 0."""
    return Compare("logical_and_forward")(_truth(x), _truth(y))


def logical_or(x: Any, y: Any) -> Any:
    """x or y, each true where it is not 0."""
    return Compare("logical_or_forward")(_truth(x), _truth(y))


def logical_xor(x: Any, y: Any) -> Any:
    """Exactly one of x and y, each true where it is not 0."""
    return Compare("logical_xor_forward")(_truth(x), _truth(y))


def logical_not(x: Any) -> Any:
    """True where x is 0 or False."""
    return Compare("logical_not_forward")(_truth(x))


class Where(Function):
    def forward(self, c: Any, x: Any, y: Any) -> Any:
        self.saved = (c,)
        return self.kernels.where_forward(c, x, y)

    def backward(self, gy: Any) -> Any:
        c = self.saved[0]
        _, x, y = self.inputs
        _, need_x, need_y = self.needs_input_grad
        gx = unbroadcast(where(c, gy, 0.0), x) if need_x else None
        return None, gx, (unbroadcast(where(c, 0.0, gy), y) if need_y else None)


def where(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition (bool) holds, else y; all three broadcast."""
    return Where()(condition, x, y)


def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """x with `value` (a number, or an array or Tensor without dims) where mask (bool) holds; x and mask broadcast."""
    if getattr(value, "ndim", 0):
        raise ValueError(f"masked_fill: value must be one number (value.shape={tuple(value.shape)})")
    dtype = numpy_dtype(getattr(x, "dtype", np.float32))  # which x keeps
    if isinstance(value, Tensor):
        from .elementwise import astype

        _fitting(value.item(), dtype)
        return where(mask, astype(value, dtype), x)
    return where(mask, _fitting(value.item() if hasattr(value, "item") else value, dtype), x)


def _fitting(number: Any, dtype: Any) -> Any:
    """A number for masked_fill of an array of dtype, of its kind."""
    if dtype.kind in "iub" and isinstance(number, (bool, int, float)):
        kind = bool if dtype.kind == "b" else int
        if number != number or number in (_inf, -_inf) or (kind is int and number != int(number)):
            raise TypeError(f"masked_fill: {number} does not fit an array of {dtype}")
        return kind(number)
    return number


class Extremum(BinaryKernel):
    """The gradient goes to the larger (smaller) operand; equal ones share it, and NaN gives it to both."""

    beats = ""

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        need_x, need_y = self.needs_input_grad
        a = x.data if isinstance(x, Tensor) else x
        b = y.data if isinstance(y, Tensor) else y
        beats = globals()[self.beats]
        shared = where(eq(a, b), mul(gy, 0.5), gy)
        gx = unbroadcast(where(beats(b, a), 0.0, shared), x) if need_x else None
        g_y = unbroadcast(where(beats(a, b), 0.0, shared), y) if need_y else None
        return gx, g_y


class Maximum(Extremum):
    beats = "gt"


def maximum(x: Any, y: Any) -> Any:
    """The larger of x and y, element by element; NaN wins."""
    if type(x) is _ndarray and type(y) is _ndarray:
        return _kernels.maximum_forward(x, y)
    return Maximum()(x, y)


class Minimum(Extremum):
    beats = "lt"


def minimum(x: Any, y: Any) -> Any:
    """The smaller of x and y, element by element; NaN wins."""
    if type(x) is _ndarray and type(y) is _ndarray:
        return _kernels.minimum_forward(x, y)
    return Minimum()(x, y)


class AtLeast(Function):
    """clamp's min: the gradient is x's where x is as large, else the bound's."""

    name = "clamp"
    takes_numbers = True
    keeps, loses = staticmethod(ge), staticmethod(lt)

    def forward(self, x: Any, y: Any) -> Any:
        self.saved = (x, y)
        return self.kernels.maximum_forward(x, y)

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        need_x, need_y = self.needs_input_grad
        a = x.data if isinstance(x, Tensor) else x
        b = y.data if isinstance(y, Tensor) else y
        gx = unbroadcast(where(self.keeps(a, b), gy, 0.0), x) if need_x else None
        g_y = unbroadcast(where(self.loses(a, b), gy, 0.0), y) if need_y else None
        return gx, g_y


class AtMost(AtLeast):
    keeps, loses = staticmethod(le), staticmethod(gt)

    def forward(self, x: Any, y: Any) -> Any:
        self.saved = (x, y)
        return self.kernels.minimum_forward(x, y)


class Clamp(Function):
    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        y = self.kernels.clamp_forward(x, self.low, self.high)
        return y if self.low == self.low and self.high == self.high else np.full_like(y, np.nan)

    def backward(self, gy: Any) -> Any:
        x = self.saved[0]
        x = x.data if isinstance(x, Tensor) else x
        return where(logical_and(ge(x, self.low), le(x, self.high)), gy, 0.0)


def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """x limited to min <= x <= max; either may be None, a number or an array. NaN stays NaN, and a bound of NaN gives it."""
    if min is None and max is None:
        raise ValueError("clamp: min or max is needed")
    numbers = (int, float, type(None))
    if isinstance(min, numbers) and isinstance(max, numbers):
        low, high = -_inf if min is None else min, _inf if max is None else max
        plain = type(x) is _ndarray and low == low and high == high
        return _kernels.clamp_forward(x, low, high) if plain else Clamp(low, high)(x)
    if min is not None:
        x = AtLeast()(x, min)
    return x if max is None else AtMost()(x, max)
