"""What activations share: in-place results, and a Function that has numbers of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import to_ndarray
from ..function import Function
from ..tensor import Tensor

# A plain array has no tape: it goes straight to the kernel.
ndarray = np.ndarray
kernels = Function.kernels


def run(f: Any, x: Any, inplace: bool, op: str) -> Any:
    """f(x), over x itself if `inplace`."""
    if not inplace:
        return f.forward(x) if type(x) is ndarray else f(x)
    if isinstance(x, Tensor):
        return x._change(op, f)
    array = to_ndarray(x, op)
    np.copyto(array, f(array), casting="equiv")
    return x


class Activation(Function):
    """y = f(x) with numbers of its own; saves x. Its kernels have its name; `plain` is backward by public functions."""

    name = ""
    direct: Any  # direct(x, *numbers): the forward kernel
    gradient: str
    plain: Any  # plain(gy, x, *numbers)

    def __init_subclass__(cls) -> None:
        if "direct" not in cls.__dict__:
            cls.direct = staticmethod(getattr(kernels, f"{cls.name}_forward"))
        cls.gradient = f"{cls.name}_backward"

    def __init__(self, *numbers: float) -> None:
        self.numbers = numbers

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.direct(x, *self.numbers)

    def backward(self, gy: Any) -> Any:
        x = self.saved[0]
        if isinstance(gy, Tensor):
            return self.plain(gy, x, *self.numbers)
        return getattr(self.kernels, self.gradient)(gy, x, *self.numbers)


def activate(cls: Any, x: Any, inplace: bool, op: str, *numbers: float) -> Any:
    """cls(*numbers)(x), over x itself if `inplace`."""
    if type(x) is ndarray and not inplace:
        return cls.direct(x, *numbers)
    return run(cls(*numbers), x, inplace, op)
