"""Division with a remainder: remainder (Python's %), fmod (C's) and floor_divide (//); the rules of elementwise.py hold.

Whole numbers stay whole; zeros among those that they are divided by are a ValueError. Floats divided by 0 give NaN (an
infinity from floor_divide). bool beside bool is a TypeError.
"""

from __future__ import annotations

from typing import Any

from ..function import Function
from .arithmetic import BinaryKernel, div, mul, neg, sub, unbroadcast
from .elementwise import astype, round

__all__ = ["floor_divide", "fmod", "remainder"]


class Remainder(BinaryKernel):
    """x - y n: the whole n is a constant to the gradient."""

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        need_x, need_y = self.needs_input_grad
        g_y = unbroadcast(neg(mul(gy, self.times(x, y))), self.inputs[1]) if need_y else None
        return (unbroadcast(gy, self.inputs[0]) if need_x else None), g_y

    def times(self, x: Any, y: Any) -> Any:
        """n."""
        return floor_divide(x, y)


def remainder(x: Any, y: Any) -> Any:
    """x - y floor(x / y), with the sign of y: Python's x % y. Exact.

    Gradients: 1 for x, -floor(x / y) for y. Semantics: torch.remainder.

    >>> nnkern.remainder(np.array([-3.0, 5.5]), 2.0)
    array([1. , 1.5])
    """
    return Remainder()(x, y)


class Fmod(Remainder):
    def times(self, x: Any, y: Any) -> Any:
        left = fmod(x, y)
        return round(div(sub(astype(x, left.dtype) if hasattr(x, "dtype") else x, left), y))


def fmod(x: Any, y: Any) -> Any:
    """x - y trunc(x / y), with the sign of x: C's fmod. Exact.

    Gradients: 1 for x, -trunc(x / y) for y. Semantics: torch.fmod.

    >>> nnkern.fmod(np.array([-3.0, 5.5]), 2.0)
    array([-1. ,  1.5])
    """
    return Fmod()(x, y)


class FloorDivide(Function):
    """Piecewise constant: the gradients are 0."""

    takes_numbers = True

    def forward(self, x: Any, y: Any) -> Any:
        return self.kernels.floor_divide_forward(x, y)

    def backward(self, gy: Any) -> Any:
        zero = mul(gy, 0.0)
        need = self.needs_input_grad
        return tuple(unbroadcast(zero, x) if n else None for n, x in zip(need, self.inputs))


def floor_divide(x: Any, y: Any) -> Any:
    """floor(x / y), as if the quotient had not been rounded before: x // y. The gradients are 0.

    >>> nnkern.floor_divide(np.array([-3, 5]), 2)
    array([-2,  2])
    """
    return FloorDivide()(x, y)
