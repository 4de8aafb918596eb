"""Functions of one array, element by element, and powers.

Everywhere: inputs are Tensors, arrays or numbers, float32 or float64 (both alike; numbers take the dtype of the array
beside them). Whole numbers and bools go as in PyTorch: functions with fractions for results make float32 of them (exp,
div, a float beside them), the others keep them; beside floats they take the floats' dtype, beside one another the wider
one. Shapes that do not broadcast are a ValueError naming both; float32 beside float64 is a TypeError, since it would
double or round unasked. Accuracy in ulp: docs/accuracy.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import numpy_dtype
from ..function import Function
from .arithmetic import NamedKernel, add, div, mul, neg, sub, unbroadcast
from .compare import eq, ge, logical_and, where

__all__ = [
    "abs", "astype", "ceil", "cos", "cosh", "erf", "exp", "exp2", "expm1", "floor", "log", "log10",
    "log1p", "log2", "pow", "reciprocal", "round", "rsqrt", "sign", "sin", "sinh", "sqrt", "square",
    "tan", "trunc",
]  # fmt: skip

# A plain array has no tape: it goes straight to the kernel.
_ndarray = np.ndarray
_kernels = Function.kernels


class Unary(NamedKernel):
    """y = f(x); saves x."""

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return getattr(self.kernels, self.kernel)(x)


class UnaryFromResult(NamedKernel):
    """y = f(x) whose derivative is easiest from y; saves y."""

    def forward(self, x: Any) -> Any:
        y = getattr(self.kernels, self.kernel)(x)
        self.saved = (y,)
        return y


class Step(NamedKernel):
    """Piecewise constant: the gradient is 0."""

    def forward(self, x: Any) -> Any:
        return getattr(self.kernels, self.kernel)(x)

    def backward(self, gy: Any) -> Any:
        return mul(gy, 0.0)


class Abs(Unary):
    def backward(self, gy: Any) -> Any:
        return mul(gy, sign(self.saved[0]))


def abs(x: Any) -> Any:
    """|x|; its gradient at 0 is 0."""
    return _kernels.abs_forward(x) if type(x) is _ndarray else Abs()(x)


class Sign(Step):
    kernel = "sign_forward"


def sign(x: Any) -> Any:
    """-1, 0 or 1 (0 for NaN, as in PyTorch)."""
    return Sign()(x)


class Exp(UnaryFromResult):
    def backward(self, gy: Any) -> Any:
        return mul(gy, self.saved[0])


def exp(x: Any) -> Any:
    """e^x."""
    return _kernels.exp_forward(x) if type(x) is _ndarray else Exp()(x)


class Exp2(UnaryFromResult):
    def backward(self, gy: Any) -> Any:
        return mul(gy, mul(self.saved[0], 0.6931471805599453))


def exp2(x: Any) -> Any:
    """2^x."""
    return _kernels.exp2_forward(x) if type(x) is _ndarray else Exp2()(x)


class Expm1(UnaryFromResult):
    def backward(self, gy: Any) -> Any:
        return mul(gy, add(self.saved[0], 1.0))


def expm1(x: Any) -> Any:
    """e^x - 1, exact near 0."""
    return _kernels.expm1_forward(x) if type(x) is _ndarray else Expm1()(x)


class Log(Unary):
    def backward(self, gy: Any) -> Any:
        return div(gy, self.saved[0])


def log(x: Any) -> Any:
    """Natural logarithm; -inf at 0, NaN below."""
    return _kernels.log_forward(x) if type(x) is _ndarray else Log()(x)


class Log2(Unary):
    def backward(self, gy: Any) -> Any:
        return div(gy, mul(self.saved[0], 0.6931471805599453))


def log2(x: Any) -> Any:
    """Logarithm to base 2."""
    return _kernels.log2_forward(x) if type(x) is _ndarray else Log2()(x)


class Log10(Unary):
    def backward(self, gy: Any) -> Any:
        return div(gy, mul(self.saved[0], 2.302585092994046))


def log10(x: Any) -> Any:
    """Logarithm to base 10."""
    return _kernels.log10_forward(x) if type(x) is _ndarray else Log10()(x)


class Log1p(Unary):
    def backward(self, gy: Any) -> Any:
        return div(gy, add(self.saved[0], 1.0))


def log1p(x: Any) -> Any:
    """log(1 + x), exact near 0."""
    return _kernels.log1p_forward(x) if type(x) is _ndarray else Log1p()(x)


class Sqrt(UnaryFromResult):
    def backward(self, gy: Any) -> Any:
        return div(gy, mul(self.saved[0], 2.0))


def sqrt(x: Any) -> Any:
    """Square root; its gradient at 0 is inf."""
    return _kernels.sqrt_forward(x) if type(x) is _ndarray else Sqrt()(x)


class Rsqrt(UnaryFromResult):
    def backward(self, gy: Any) -> Any:
        y = self.saved[0]
        return mul(mul(gy, -0.5), mul(y, mul(y, y)))


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return _kernels.rsqrt_forward(x) if type(x) is _ndarray else Rsqrt()(x)


class Square(Unary):
    def backward(self, gy: Any) -> Any:
        return mul(gy, mul(self.saved[0], 2.0))


def square(x: Any) -> Any:
    """x * x."""
    return _kernels.square_forward(x) if type(x) is _ndarray else Square()(x)


class Reciprocal(UnaryFromResult):
    def backward(self, gy: Any) -> Any:
        return neg(mul(gy, square(self.saved[0])))


def reciprocal(x: Any) -> Any:
    """1 / x."""
    return Reciprocal()(x)


class Sin(Unary):
    def backward(self, gy: Any) -> Any:
        return mul(gy, cos(self.saved[0]))


def sin(x: Any) -> Any:
    """Sine of x in radians."""
    return _kernels.sin_forward(x) if type(x) is _ndarray else Sin()(x)


class Cos(Unary):
    def backward(self, gy: Any) -> Any:
        return neg(mul(gy, sin(self.saved[0])))


def cos(x: Any) -> Any:
    """Cosine of x in radians."""
    return _kernels.cos_forward(x) if type(x) is _ndarray else Cos()(x)


class Tan(UnaryFromResult):
    def backward(self, gy: Any) -> Any:
        return mul(gy, add(square(self.saved[0]), 1.0))


def tan(x: Any) -> Any:
    """Tangent of x in radians."""
    return _kernels.tan_forward(x) if type(x) is _ndarray else Tan()(x)


class Sinh(Unary):
    def backward(self, gy: Any) -> Any:
        return mul(gy, cosh(self.saved[0]))


def sinh(x: Any) -> Any:
    """Hyperbolic sine."""
    return _kernels.sinh_forward(x) if type(x) is _ndarray else Sinh()(x)


class Cosh(Unary):
    def backward(self, gy: Any) -> Any:
        return mul(gy, sinh(self.saved[0]))


def cosh(x: Any) -> Any:
    """Hyperbolic cosine."""
    return _kernels.cosh_forward(x) if type(x) is _ndarray else Cosh()(x)


class Erf(Unary):
    def backward(self, gy: Any) -> Any:
        return mul(gy, mul(exp(neg(square(self.saved[0]))), 1.1283791670955126))


def erf(x: Any) -> Any:
    """The error function: 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    return _kernels.erf_forward(x) if type(x) is _ndarray else Erf()(x)


class Floor(Step):
    kernel = "floor_forward"


def floor(x: Any) -> Any:
    """The next whole number below; its gradient is 0."""
    return Floor()(x)


class Ceil(Step):
    kernel = "ceil_forward"


def ceil(x: Any) -> Any:
    """The next whole number above; its gradient is 0."""
    return Ceil()(x)


class Round(Step):
    kernel = "round_forward"


def round(x: Any) -> Any:
    """The nearest whole number, ties to the even one; its gradient is 0."""
    return Round()(x)


class Trunc(Step):
    kernel = "trunc_forward"


def trunc(x: Any) -> Any:
    """The next whole number towards 0; its gradient is 0."""
    return Trunc()(x)


class Pow(Function):
    takes_numbers = True

    def forward(self, x: Any, y: Any) -> Any:
        z = self.kernels.pow_forward(x, y)
        self.saved = (x, y, z)
        return z

    def backward(self, gy: Any) -> Any:
        x, y, z = self.saved
        need_x, need_y = self.needs_input_grad
        gx = gz = None
        if need_x:
            slope = mul(y, pow(x, sub(y, 1) if not isinstance(y, (int, float)) else y - 1))
            # x^0 is flat, also at x = 0 where 0 * 0^-1 would be NaN
            if isinstance(y, (int, float)):
                slope = 0.0 if y == 0 else slope
            else:
                slope = where(eq(y, 0.0), 0.0, slope)
            gx = unbroadcast(mul(gy, slope), x)
        if need_y:
            x = astype(x, z.dtype) if hasattr(x, "dtype") else np.asarray(x, z.dtype)
            flat = logical_and(eq(x, 0.0), ge(y, 0.0))  # 0^y is 0 for all y > 0
            gz = unbroadcast(mul(gy, where(flat, 0.0, mul(z, log(where(flat, 1.0, x))))), y)
        return gx, gz


def _holds_floats(x: Any) -> bool:
    dtype = getattr(x, "dtype", None)
    return dtype.kind == "f" if isinstance(dtype, np.dtype) else getattr(dtype, "is_floating_point", False)


def pow(x: Any, y: Any) -> Any:
    """x ** y. Small whole exponents and 0.5 take the short way.

    Whole numbers to whole powers stay whole; those powers must not be negative numbers.
    As in C, x**0 and 1**y are 1, also for NaN; a negative x has a power for whole y only, else NaN.
    """
    if type(x) is _ndarray and type(y) is _ndarray:
        return _kernels.pow_forward(x, y)
    if isinstance(y, (int, float)) and not isinstance(x, (int, float)):
        if type(y) is float and not _holds_floats(x):
            return Pow()(x, y)
        if y == 2:
            return square(x)
        if y == 1:
            return mul(x, y)
        if y == 3:
            return mul(square(x), x)
        if y == 0.5:
            return sqrt(x)
        if y == -1 and _holds_floats(x):
            return reciprocal(x)
    return Pow()(x, y)


class AsType(Function):
    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def forward(self, x: Any) -> Any:
        self.source = x.dtype
        return x.astype(self.dtype)

    def backward(self, gy: Any) -> Any:
        return astype(gy, self.source)


def astype(x: Any, dtype: Any) -> Any:
    """x in another dtype; a copy unless it already has that dtype."""
    dtype = numpy_dtype(dtype)
    return x if getattr(x, "dtype", None) == dtype else AsType(dtype)(x)
