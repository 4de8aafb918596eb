"""What pool.py and unpool.py share: windows, the Functions behind both, and how their public functions are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..function import Function, grad_mode
from ..tensor import Tensor
from ._windows import numbers, padding_pairs, strides


class Window(NamedTuple):
    """As the kernels take it: an empty stride is adaptive, kernel_size is then the size of the result."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()  # low and high end of each axis
    dilation: tuple[int, ...] = ()


def window(
    op: str, size: Sequence[int], kernel_size: Any, stride: Any, padding: Any = 0, dilation: Any = 1
) -> Window:
    n = len(size)
    kernel_size = numbers(op, "kernel_size", kernel_size, n)
    stride = strides(op, stride, kernel_size)
    dilation = numbers(op, "dilation", dilation, n)
    if min(kernel_size) < 1 or min(stride) < 1 or min(dilation) < 1:
        raise ValueError(
            f"{op}: kernel_size {kernel_size}, stride {stride} and dilation {dilation} must be positive"
        )
    return Window(
        kernel_size, stride, padding_pairs(op, padding, size, kernel_size, stride, dilation), dilation
    )


def ignores_nan(op: str, nan: str) -> bool:
    if nan not in ("propagate", "ignore"):
        raise ValueError(f"{op}: nan {nan!r} is not one of 'propagate', 'ignore'")
    return nan == "ignore"


def taped(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad and grad_mode.enabled


def batched(op: str, x: Any, n: int) -> Any:
    """x with a batch axis."""
    if x.ndim == n + 2:
        return x
    if x.ndim != n + 1:
        raise ValueError(
            f"{op}: input must have {n + 2} axes (or {n + 1}, without the batch) (input.shape={tuple(x.shape)})"
        )
    return x.reshape(1, *x.shape)


def like_input(y: Any, x: Any) -> Any:
    """y (or each of it) without a batch axis if x has none."""
    if isinstance(y, tuple):
        return tuple(like_input(a, x) for a in y)
    return y if y.ndim == x.ndim else y.reshape(*y.shape[1:])


class MaxPoolGrad(Function):
    """gx: gy added up where the winners lie. index: tap numbers of the window, or int64 places."""

    def __init__(self, window: Window, size: Sequence[int]) -> None:
        self.window, self.size = window, tuple(size)

    def forward(self, gy: Any, index: Any) -> Any:
        self.saved = (index,)
        return self.kernels.max_pool_backward(gy, index, self.size, *self.window)

    def backward(self, ggx: Any) -> Any:
        (index,) = self.saved
        return PoolTake(self.window)(ggx, index), None


class PoolTake(Function):
    """What lies where the winners lay: the adjoint of MaxPoolGrad."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def forward(self, x: Any, index: Any) -> Any:
        self.saved, self.size = (index,), x.shape[2:]
        return self.kernels.pool_take_forward(x, index, *self.window)

    def backward(self, gy: Any) -> Any:
        (index,) = self.saved
        return MaxPoolGrad(self.window, self.size)(gy, index), None


def named(function: Callable[..., Any], name: str, doc: str) -> Callable[..., Any]:
    """function under its public name."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function
