"""Sums, differences, products and quotients, with NumPy's broadcasting; the rules of elementwise.py hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..function import Function
from ..tensor import Tensor

__all__ = [
    "add", "div", "mul", "neg", "sub",
]  # fmt: skip

# Two plain arrays have no tape: arithmetic goes straight to the kernel.
_ndarray = np.ndarray
_kernels = Function.kernels


def unbroadcast(g: Any, x: Any) -> Any:
    """g summed over the axes along which x was broadcast; None for numbers, which have no gradient."""
    if g.shape == x.shape:
        return g
    from .reduce import sum_to

    return sum_to(g, x)


class NamedKernel(Function):
    """Its kernel has the name of the class: Exp runs exp_forward."""

    kernel: str

    def __init_subclass__(cls) -> None:
        cls.kernel = f"{cls.__name__.lower()}_forward"


class BinaryKernel(NamedKernel):
    """Of two arrays or numbers, both of which the gradient needs."""

    takes_numbers = True

    def forward(self, x: Any, y: Any) -> Any:
        self.saved = (x, y)
        return getattr(self.kernels, self.kernel)(x, y)


class Neg(Function):
    def forward(self, x: Any) -> Any:
        return self.kernels.neg_forward(x)

    def backward(self, gy: Any) -> Any:
        return neg(gy)


def neg(x: Any) -> Any:
    """-x."""
    return Neg()(x)


class Add(Function):
    takes_numbers = True

    def forward(self, x: Any, y: Any) -> Any:
        self.shapes = getattr(x, "shape", None), getattr(y, "shape", None)
        return self.kernels.add_forward(x, y)

    def backward(self, gy: Any) -> Any:
        xs, ys = self.shapes
        if xs == ys:
            return gy, gy
        x, y = self.inputs
        return (None if xs is None else unbroadcast(gy, x)), (None if ys is None else unbroadcast(gy, y))


def add(x: Any, y: Any, out: Any = None, *, alpha: float = 1) -> Any:
    """x + alpha y. `out` (arrays only) takes the result; it may be x or y themselves."""
    if out is not None:
        return _into("add", x, y if alpha == 1 else mul(y, alpha), out)
    if alpha != 1:
        return add(x, mul(y, alpha))
    if type(x) is _ndarray and type(y) is _ndarray:
        return _kernels.add_forward(x, y)
    return Add()(x, y)


class Sub(Function):
    takes_numbers = True

    def forward(self, x: Any, y: Any) -> Any:
        return self.kernels.sub_forward(x, y)

    def backward(self, gy: Any) -> Any:
        x, y = self.inputs
        need_x, need_y = self.needs_input_grad
        return (unbroadcast(gy, x) if need_x else None), (unbroadcast(neg(gy), y) if need_y else None)


def sub(x: Any, y: Any, out: Any = None, *, alpha: float = 1) -> Any:
    """x - alpha y. `out`: see add."""
    if out is not None:
        return _into("sub", x, y if alpha == 1 else mul(y, alpha), out)
    if alpha != 1:
        return sub(x, mul(y, alpha))
    if type(x) is _ndarray and type(y) is _ndarray:
        return _kernels.sub_forward(x, y)
    return Sub()(x, y)


class Mul(Function):
    takes_numbers = crosswise = True

    def forward(self, x: Any, y: Any) -> Any:
        # x is needed for y's gradient only, and a number has none
        self.saved = (None if isinstance(y, (int, float)) else x, None if isinstance(x, (int, float)) else y)
        return self.kernels.mul_forward(x, y)

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        need_x, need_y = self.needs_input_grad
        gx = unbroadcast(mul(gy, y), self.inputs[0]) if need_x else None
        return gx, (unbroadcast(mul(gy, x), self.inputs[1]) if need_y else None)


def mul(x: Any, y: Any, out: Any = None) -> Any:
    """x * y. `out`: see add."""
    if out is not None:
        return _into("mul", x, y, out)
    if type(x) is _ndarray and type(y) is _ndarray:
        return _kernels.mul_forward(x, y)
    return Mul()(x, y)


class Div(Function):
    takes_numbers = True

    def forward(self, x: Any, y: Any) -> Any:
        self.saved = (x, y)
        return self.kernels.div_forward(x, y)

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        need_x, need_y = self.needs_input_grad
        gx = div(gy, y)
        g_y = unbroadcast(neg(mul(gx, div(x, y))), y) if need_y else None
        return (unbroadcast(gx, x) if need_x else None), g_y


def div(x: Any, y: Any, out: Any = None, *, rounding_mode: str | None = None) -> Any:
    """x / y. `out`: see add. rounding_mode "floor" or "trunc" rounds the quotient so; whole numbers stay whole then."""
    if rounding_mode is not None:
        if out is None:
            return _rounded(x, y, rounding_mode)
        _check_out("div", x, y, out)
        return _copied("div", _rounded(x, y, rounding_mode), out)
    if out is not None:
        return _into("div", x, y, out)
    if type(x) is _ndarray and type(y) is _ndarray:
        return _kernels.div_forward(x, y)
    return Div()(x, y)


def _rounded(x: Any, y: Any, rounding_mode: str) -> Any:
    from .elementwise import trunc
    from .remainder import floor_divide, fmod

    if rounding_mode not in ("floor", "trunc"):
        raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")
    if rounding_mode == "floor":
        return floor_divide(x, y)
    kinds = {getattr(getattr(v, "dtype", None), "kind", "f" if isinstance(v, float) else "i") for v in (x, y)}
    return trunc(div(x, y)) if "f" in kinds else floor_divide(sub(x, fmod(x, y)), y)


def _copied(op: str, result: Any, out: Any) -> Any:
    if out.shape != result.shape or out.dtype != result.dtype:
        raise ValueError(f"{op}: out is {out.dtype} {out.shape} but the result {result.dtype} {result.shape}")
    np.copyto(out, result)
    return out


def _into(op: str, x: Any, y: Any, out: Any) -> Any:
    _check_out(op, x, y, out)
    return getattr(Function.kernels, f"{op}_forward")(x, y, out)


def _check_out(op: str, x: Any, y: Any, out: Any) -> None:
    for a in (x, y, out):
        if isinstance(a, Tensor):
            raise TypeError(
                f"{op}: out= works on arrays; for Tensors use the in-place method, such as x.add_(y)"
            )
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{op}: out must be an ndarray, got {type(out).__name__}")
