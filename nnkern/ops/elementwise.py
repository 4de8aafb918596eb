"""Elementwise functions, with NumPy's broadcasting.

Everywhere: inputs are Tensors, arrays or numbers, float32 or float64 (both alike; numbers take the dtype of the array
beside them). Additions, products, comparisons and the like also take integers. Shapes that do not broadcast are a
ValueError naming both; dtypes that do not agree are a TypeError. Accuracy in ulp: docs/accuracy.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..function import Function
from ..tensor import Tensor

__all__ = [
    "abs",
    "add",
    "astype",
    "ceil",
    "clamp",
    "cos",
    "cosh",
    "div",
    "eq",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "ge",
    "gelu",
    "gt",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "log",
    "log1p",
    "log2",
    "log10",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "ne",
    "neg",
    "pow",
    "reciprocal",
    "relu",
    "relu_grad",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "square",
    "sub",
    "tan",
    "tanh",
    "trunc",
    "where",
]  # fmt: skip


# Two plain arrays have no tape: arithmetic goes straight to the kernel.
_ndarray = np.ndarray
_kernels = Function.kernels


def _sum_to(g: Any, x: Any) -> Any:
    """g summed over the axes along which x was broadcast; None for numbers, which have no gradient."""
    if g.shape == x.shape:
        return g
    from .reduce import sum_to

    return sum_to(g, x)


# --- one input -----------------------------------------------------------------------------------------------------


class Unary(Function):
    """y = f(x); saves x."""

    kernel = ""

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return getattr(self.kernels, self.kernel)(x)


class UnaryFromResult(Function):
    """y = f(x) whose derivative is easiest from y; saves y."""

    kernel = ""

    def forward(self, x: Any) -> Any:
        y = getattr(self.kernels, self.kernel)(x)
        self.saved = (y,)
        return y


class Step(Function):
    """Piecewise constant: the gradient is 0."""

    kernel = ""

    def forward(self, x: Any) -> Any:
        return getattr(self.kernels, self.kernel)(x)

    def backward(self, gy: Any) -> Any:
        return mul(gy, 0.0)


class Neg(Function):
    def forward(self, x: Any) -> Any:
        return self.kernels.neg_forward(x)

    def backward(self, gy: Any) -> Any:
        return neg(gy)


def neg(x: Any) -> Any:
    """-x."""
    return Neg()(x)


class Abs(Unary):
    kernel = "abs_forward"

    def backward(self, gy: Any) -> Any:
        return mul(gy, sign(self.saved[0]))


def abs(x: Any) -> Any:
    """|x|; its gradient at 0 is 0."""
    return Abs()(x)


class Sign(Step):
    kernel = "sign_forward"


def sign(x: Any) -> Any:
    """-1, 0 or 1 (0 for NaN, as in PyTorch)."""
    return Sign()(x)


class Exp(UnaryFromResult):
    kernel = "exp_forward"

    def backward(self, gy: Any) -> Any:
        return mul(gy, self.saved[0])


def exp(x: Any) -> Any:
    """e^x."""
    return Exp()(x)


class Exp2(UnaryFromResult):
    kernel = "exp2_forward"

    def backward(self, gy: Any) -> Any:
        return mul(gy, mul(self.saved[0], 0.6931471805599453))


def exp2(x: Any) -> Any:
    """2^x."""
    return Exp2()(x)


class Expm1(UnaryFromResult):
    kernel = "expm1_forward"

    def backward(self, gy: Any) -> Any:
        return mul(gy, add(self.saved[0], 1.0))


def expm1(x: Any) -> Any:
    """e^x - 1, exact near 0."""
    return Expm1()(x)


class Log(Unary):
    kernel = "log_forward"

    def backward(self, gy: Any) -> Any:
        return div(gy, self.saved[0])


def log(x: Any) -> Any:
    """Natural logarithm; -inf at 0, NaN below."""
    return Log()(x)


class Log2(Unary):
    kernel = "log2_forward"

    def backward(self, gy: Any) -> Any:
        return div(gy, mul(self.saved[0], 0.6931471805599453))


def log2(x: Any) -> Any:
    """Logarithm to base 2."""
    return Log2()(x)


class Log10(Unary):
    kernel = "log10_forward"

    def backward(self, gy: Any) -> Any:
        return div(gy, mul(self.saved[0], 2.302585092994046))


def log10(x: Any) -> Any:
    """Logarithm to base 10."""
    return Log10()(x)


class Log1p(Unary):
    kernel = "log1p_forward"

    def backward(self, gy: Any) -> Any:
        return div(gy, add(self.saved[0], 1.0))


def log1p(x: Any) -> Any:
    """log(1 + x), exact near 0."""
    return Log1p()(x)


class Sqrt(UnaryFromResult):
    kernel = "sqrt_forward"

    def backward(self, gy: Any) -> Any:
        return div(gy, mul(self.saved[0], 2.0))


def sqrt(x: Any) -> Any:
    """Square root; its gradient at 0 is inf."""
    return Sqrt()(x)


class Rsqrt(UnaryFromResult):
    kernel = "rsqrt_forward"

    def backward(self, gy: Any) -> Any:
        y = self.saved[0]
        return mul(mul(gy, -0.5), mul(y, mul(y, y)))


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return Rsqrt()(x)


class Square(Unary):
    kernel = "square_forward"

    def backward(self, gy: Any) -> Any:
        return mul(gy, mul(self.saved[0], 2.0))


def square(x: Any) -> Any:
    """x * x."""
    return Square()(x)


class Reciprocal(UnaryFromResult):
    kernel = "reciprocal_forward"

    def backward(self, gy: Any) -> Any:
        return neg(mul(gy, square(self.saved[0])))


def reciprocal(x: Any) -> Any:
    """1 / x."""
    return Reciprocal()(x)


class Sin(Unary):
    kernel = "sin_forward"

    def backward(self, gy: Any) -> Any:
        return mul(gy, cos(self.saved[0]))


def sin(x: Any) -> Any:
    """Sine of x in radians."""
    return Sin()(x)


class Cos(Unary):
    kernel = "cos_forward"

    def backward(self, gy: Any) -> Any:
        return neg(mul(gy, sin(self.saved[0])))


def cos(x: Any) -> Any:
    """Cosine of x in radians."""
    return Cos()(x)


class Tan(UnaryFromResult):
    kernel = "tan_forward"

    def backward(self, gy: Any) -> Any:
        return mul(gy, add(square(self.saved[0]), 1.0))


def tan(x: Any) -> Any:
    """Tangent of x in radians."""
    return Tan()(x)


class Sinh(Unary):
    kernel = "sinh_forward"

    def backward(self, gy: Any) -> Any:
        return mul(gy, cosh(self.saved[0]))


def sinh(x: Any) -> Any:
    """Hyperbolic sine."""
    return Sinh()(x)


class Cosh(Unary):
    kernel = "cosh_forward"

    def backward(self, gy: Any) -> Any:
        return mul(gy, sinh(self.saved[0]))


def cosh(x: Any) -> Any:
    """Hyperbolic cosine."""
    return Cosh()(x)


class Tanh(UnaryFromResult):
    kernel = "tanh_forward"

    def backward(self, gy: Any) -> Any:
        y = self.saved[0]
        if isinstance(gy, Tensor):
            return mul(gy, sub(1.0, mul(y, y)))
        return self.kernels.tanh_grad_forward(gy, y)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return Tanh()(x)


class Sigmoid(UnaryFromResult):
    kernel = "sigmoid_forward"

    def backward(self, gy: Any) -> Any:
        y = self.saved[0]
        if isinstance(gy, Tensor):
            return mul(gy, mul(y, sub(1.0, y)))
        return self.kernels.sigmoid_grad_forward(gy, y)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return Sigmoid()(x)


class Erf(Unary):
    kernel = "erf_forward"

    def backward(self, gy: Any) -> Any:
        return mul(gy, mul(exp(neg(square(self.saved[0]))), 1.1283791670955126))


def erf(x: Any) -> Any:
    """The error function: 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    return Erf()(x)


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


class ReLU(Function):
    name = "relu"

    def forward(self, x: Any) -> Any:
        y = self.kernels.relu_forward(x)
        self.saved = (y,)
        return y

    def backward(self, gy: Any) -> Any:
        return relu_grad(gy, self.saved[0])


def relu(x: Any) -> Any:
    """max(x, 0); NaN stays NaN, the gradient at 0 is 0."""
    return ReLU()(x)


class ReLUGrad(Function):
    name = "relu_grad"

    def forward(self, gy: Any, y: Any) -> Any:
        self.saved = (y,)
        return self.kernels.relu_grad_forward(gy, y)

    def backward(self, ggx: Any) -> Any:
        return relu_grad(ggx, self.saved[0]), None


def relu_grad(gy: Any, y: Any) -> Any:
    """gy where y > 0, else 0: the gradient of relu, y being its input or its result."""
    return ReLUGrad()(gy, y)


class GELU(Function):
    def __init__(self, approximate: str) -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got '{approximate}'")
        self.kind = "gelu" if approximate == "none" else "gelu_tanh"

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return getattr(self.kernels, f"{self.kind}_forward")(x)

    def backward(self, gy: Any) -> Any:
        x = self.saved[0]
        if not isinstance(gy, Tensor):
            return getattr(self.kernels, f"{self.kind}_grad_forward")(gy, x)
        if self.kind == "gelu":
            density = mul(exp(mul(square(x), -0.5)), 0.3989422804014327)
            slope = add(mul(add(erf(mul(x, 0.7071067811865476)), 1.0), 0.5), mul(x, density))
        else:
            inner = mul(add(x, mul(mul(square(x), x), 0.044715)), 2 * 0.7978845608028654)
            s = sigmoid(inner)
            inner_slope = mul(add(mul(square(x), 3 * 0.044715), 1.0), 2 * 0.7978845608028654)
            slope = add(s, mul(mul(x, mul(s, sub(1.0, s))), inner_slope))
        return mul(gy, slope)


def gelu(x: Any, approximate: str = "none") -> Any:
    """x Phi(x), Phi the normal distribution function; approximate='tanh' takes the tanh formula instead.

    Source: Hendrycks & Gimpel, Gaussian Error Linear Units, arXiv 1606.08415.
    """
    return GELU(approximate)(x)


class SiLU(Unary):
    kernel = "silu_forward"

    def backward(self, gy: Any) -> Any:
        x = self.saved[0]
        if not isinstance(gy, Tensor):
            return self.kernels.silu_grad_forward(gy, x)
        s = sigmoid(x)
        return mul(gy, mul(s, add(mul(x, sub(1.0, s)), 1.0)))


def silu(x: Any) -> Any:
    """x sigmoid(x), also called swish."""
    return SiLU()(x)


class Softplus(Unary):
    kernel = "softplus_forward"

    def backward(self, gy: Any) -> Any:
        return mul(gy, sigmoid(self.saved[0]))


def softplus(x: Any, beta: float = 1, threshold: float = 20) -> Any:
    """log(1 + e^(beta x)) / beta, a smooth relu; x itself where beta x > threshold, as in PyTorch."""
    y = Softplus()(x) if beta == 1 else div(Softplus()(mul(x, float(beta))), float(beta))
    return y if threshold >= 20 else where(gt(x, threshold / beta), x, y)


# --- two inputs ----------------------------------------------------------------------------------------------------


class Add(Function):
    def forward(self, x: Any, y: Any) -> Any:
        self.shapes = getattr(x, "shape", None), getattr(y, "shape", None)
        return self.kernels.add_forward(x, y)

    def backward(self, gy: Any) -> Any:
        xs, ys = self.shapes
        if xs == ys:
            return gy, gy
        x, y = self.inputs
        return (None if xs is None else _sum_to(gy, x)), (None if ys is None else _sum_to(gy, y))


def add(x: Any, y: Any, out: Any = None) -> Any:
    """x + y. `out` (arrays only) takes the result; it may be x or y themselves."""
    if out is not None:
        return _into("add", x, y, out)
    if type(x) is _ndarray and type(y) is _ndarray:
        return _kernels.add_forward(x, y)
    return Add()(x, y)


class Sub(Function):
    def forward(self, x: Any, y: Any) -> Any:
        return self.kernels.sub_forward(x, y)

    def backward(self, gy: Any) -> Any:
        x, y = self.inputs
        need_x, need_y = self.needs_input_grad
        return (_sum_to(gy, x) if need_x else None), (_sum_to(neg(gy), y) if need_y else None)


def sub(x: Any, y: Any, out: Any = None) -> Any:
    """x - y. `out`: see add."""
    if out is not None:
        return _into("sub", x, y, out)
    if type(x) is _ndarray and type(y) is _ndarray:
        return _kernels.sub_forward(x, y)
    return Sub()(x, y)


class Mul(Function):
    def forward(self, x: Any, y: Any) -> Any:
        # x is needed for y's gradient only, and a number has none
        self.saved = (None if isinstance(y, (int, float)) else x, None if isinstance(x, (int, float)) else y)
        return self.kernels.mul_forward(x, y)

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        need_x, need_y = self.needs_input_grad
        gx = _sum_to(mul(gy, y), self.inputs[0]) if need_x else None
        return gx, (_sum_to(mul(gy, x), self.inputs[1]) if need_y else None)


def mul(x: Any, y: Any, out: Any = None) -> Any:
    """x * y. `out`: see add."""
    if out is not None:
        return _into("mul", x, y, out)
    if type(x) is _ndarray and type(y) is _ndarray:
        return _kernels.mul_forward(x, y)
    return Mul()(x, y)


class Div(Function):
    def forward(self, x: Any, y: Any) -> Any:
        self.saved = (x, y)
        return self.kernels.div_forward(x, y)

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        need_x, need_y = self.needs_input_grad
        gx = div(gy, y)
        g_y = _sum_to(neg(mul(gx, div(x, y))), y) if need_y else None
        return (_sum_to(gx, x) if need_x else None), g_y


def div(x: Any, y: Any, out: Any = None) -> Any:
    """x / y. `out`: see add."""
    if out is not None:
        return _into("div", x, y, out)
    if type(x) is _ndarray and type(y) is _ndarray:
        return _kernels.div_forward(x, y)
    return Div()(x, y)


def _into(op: str, x: Any, y: Any, out: Any) -> Any:
    for a in (x, y, out):
        if isinstance(a, Tensor):
            raise TypeError(
                f"{op}: out= works on arrays; for Tensors use the in-place method, such as x.add_(y)"
            )
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{op}: out must be an ndarray, got {type(out).__name__}")
    return getattr(Function.kernels, f"{op}_forward")(x, y, out)


class Pow(Function):
    def forward(self, x: Any, y: Any) -> Any:
        z = self.kernels.pow_forward(x, y)
        self.saved = (x, y, z)
        return z

    def backward(self, gy: Any) -> Any:
        x, y, z = self.saved
        need_x, need_y = self.needs_input_grad
        gx = gz = None
        if need_x:
            slope = mul(y, pow(x, sub(y, 1.0) if not isinstance(y, (int, float)) else y - 1))
            # x^0 is flat, also at x = 0 where 0 * 0^-1 would be NaN
            if isinstance(y, (int, float)):
                slope = mul(x, 0.0) if y == 0 else slope
            else:
                slope = where(eq(y, 0.0), 0.0, slope)
            gx = _sum_to(mul(gy, slope), x)
        if need_y:
            base = where(gt(x, 0.0), x, 1.0) if not isinstance(x, (int, float)) else max(x, 1e-300)
            gz = _sum_to(
                mul(gy, mul(z, log(base) if not isinstance(base, float) else float(np.log(base)))), y
            )
        return gx, gz


def pow(x: Any, y: Any) -> Any:
    """x ** y. Small whole exponents and 0.5 take the short way."""
    if isinstance(y, (int, float)) and not isinstance(x, (int, float)):
        if y == 2:
            return square(x)
        if y == 1:
            return mul(x, 1.0)
        if y == 3:
            return mul(square(x), x)
        if y == 0.5:
            return sqrt(x)
        if y == -1:
            return reciprocal(x)
    return Pow()(x, y)


class Extremum(Function):
    """The gradient goes to the larger (smaller) operand; equal ones share it."""

    kernel = beats = ""

    def forward(self, x: Any, y: Any) -> Any:
        self.saved = (x, y)
        return getattr(self.kernels, self.kernel)(x, y)

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        need_x, need_y = self.needs_input_grad
        a = x.data if isinstance(x, Tensor) else x
        b = y.data if isinstance(y, Tensor) else y
        wins, tie = globals()[self.beats], eq(a, b)
        half = mul(gy, 0.5)
        gx = _sum_to(where(tie, half, where(wins(a, b), gy, 0.0)), x) if need_x else None
        g_y = _sum_to(where(tie, half, where(wins(b, a), gy, 0.0)), y) if need_y else None
        return gx, g_y


class Maximum(Extremum):
    kernel, beats = "maximum_forward", "gt"


def maximum(x: Any, y: Any) -> Any:
    """The larger of x and y, element by element; NaN wins."""
    return Maximum()(x, y)


class Minimum(Extremum):
    kernel, beats = "minimum_forward", "lt"


def minimum(x: Any, y: Any) -> Any:
    """The smaller of x and y, element by element; NaN wins."""
    return Minimum()(x, y)


# --- comparisons and logic: bool results, no gradient ------------------------------------------------------------------


class Compare(Function):
    def __init__(self, kernel: str) -> None:
        self.kernel = kernel

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


def logical_and(x: Any, y: Any) -> Any:
    """x and y, bool arrays."""
    return Compare("logical_and_forward")(x, y)


def logical_or(x: Any, y: Any) -> Any:
    """x or y, bool arrays."""
    return Compare("logical_or_forward")(x, y)


def logical_xor(x: Any, y: Any) -> Any:
    """Exactly one of x and y, bool arrays."""
    return Compare("logical_xor_forward")(x, y)


def logical_not(x: Any) -> Any:
    """not x, a bool array."""
    return Compare("logical_not_forward")(x)


# --- choice --------------------------------------------------------------------------------------------------------


class Where(Function):
    def forward(self, c: Any, x: Any, y: Any) -> Any:
        self.saved = (c,)
        return self.kernels.where_forward(c, x, y)

    def backward(self, gy: Any) -> Any:
        c = self.saved[0]
        _, x, y = self.inputs
        _, need_x, need_y = self.needs_input_grad
        gx = _sum_to(where(c, gy, 0.0), x) if need_x else None
        return None, gx, (_sum_to(where(c, 0.0, gy), y) if need_y else None)


def where(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition (bool) holds, else y; all three broadcast."""
    return Where()(condition, x, y)


class Clamp(Function):
    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.kernels.clamp_forward(x, self.low, self.high)

    def backward(self, gy: Any) -> Any:
        x = self.saved[0]
        x = x.data if isinstance(x, Tensor) else x
        return where(logical_and(ge(x, self.low), le(x, self.high)), gy, 0.0)


def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """x limited to min <= x <= max; either may be None, a number or an array. NaN stays NaN."""
    if min is None and max is None:
        raise ValueError("clamp: min or max is needed")
    numbers = (int, float, type(None))
    if isinstance(min, numbers) and isinstance(max, numbers):
        return Clamp(-float("inf") if min is None else min, float("inf") if max is None else max)(x)
    if min is not None:
        x = maximum(x, min)
    return x if max is None else minimum(x, max)


class AsType(Function):
    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)

    def forward(self, x: Any) -> Any:
        self.source = x.dtype
        return x.astype(self.dtype)

    def backward(self, gy: Any) -> Any:
        return astype(gy, self.source)


def astype(x: Any, dtype: Any) -> Any:
    """x in another dtype; a copy unless it already has that dtype."""
    return x if x.dtype == np.dtype(dtype) else AsType(dtype)(x)
