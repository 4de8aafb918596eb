"""Pooling over one, two or three spatial axes: the largest, smallest or mean element (or p-norm) of every window.

Layouts: arrays are (N, C, ...) in any strides. Contiguous (channels first) and channels-last arrays are read where
they lie, and the result has the layout of the input. Without the batch axis it has none either.
Everywhere: padding is an int, per axis an int or a (low, high) pair, 'valid' or 'same', at most half of what the kernel
reaches over; stride None is the kernel_size; dilation leaves elements out between those of a window; ceil_mode keeps
a last window that only partly lies inside. ValueError for what does not fit.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from numbers import Real
from typing import Any

from ..function import Function
from ._pooling import MaxPoolGrad, Window, batched, ignores_nan, like_input, named, taped, window
from ._windows import numbers, sized, whole
from .arithmetic import mul
from .compare import ne, where
from .elementwise import abs, pow
from .reduce import amax, mean
from .shape import expand

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "global_avg_pool", "global_max_pool", "lp_pool1d",
    "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool2d", "max_pool3d", "min_pool1d", "min_pool2d", "min_pool3d",
]  # fmt: skip

_NONE, _TAPS, _PLACES = range(3)  # what a kernel tells of the winners, as in csrc/ops.h


class MaxPool(Function):
    """The largest (smallest) element of each window; with places, also where it lies in the flattened image."""

    name = "max_pool"

    def __init__(self, window: Window, ceil_mode: bool, smallest: bool, ignore_nan: bool, index: int) -> None:
        self.window, self.index = window, index
        self.options = (ceil_mode, smallest, ignore_nan, index)

    def forward(self, x: Any) -> Any:
        y, index = self.kernels.max_pool_forward(x, *self.window, *self.options)
        self.saved, self.size = (index,), x.shape[2:]
        return (y, index) if self.index == _PLACES else y

    def backward(self, gy: Any, _: Any = None) -> Any:
        (index,) = self.saved
        return MaxPoolGrad(self.window, self.size)(gy, index)


class AvgPool(Function):
    """The sum of each window over its number of elements, or over divisor if that is not 0."""

    name = "avg_pool"

    def __init__(self, window: Window, ceil_mode: bool, count_include_pad: bool, divisor: int) -> None:
        self.window, self.ceil_mode, self.divide = window, ceil_mode, (count_include_pad, divisor)

    def forward(self, x: Any) -> Any:
        self.size = x.shape[2:]
        return self.kernels.avg_pool_forward(x, *self.window, self.ceil_mode, *self.divide)

    def backward(self, gy: Any) -> Any:
        return AvgPoolGrad(self, self.size)(gy)


class AvgPoolGrad(Function):
    """gx: every window's gy, divided, to each of its elements."""

    def __init__(self, pool: AvgPool, size: Sequence[int]) -> None:
        self.pool, self.size = pool, tuple(size)

    def forward(self, gy: Any) -> Any:
        return self.kernels.avg_pool_backward(gy, self.size, *self.pool.window, *self.pool.divide)

    def backward(self, ggx: Any) -> Any:
        return AvgPool(self.pool.window, self.pool.ceil_mode, *self.pool.divide)(ggx)


def _extreme(
    op: str, n: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    return_indices: bool, nan: str, smallest: bool = False,
) -> Any:  # fmt: skip
    images = batched(op, x, n)
    w = window(op, images.shape[2:], kernel_size, stride, padding, dilation)
    index = _PLACES if return_indices else _TAPS if taped(x) else _NONE
    return like_input(MaxPool(w, ceil_mode, smallest, ignores_nan(op, nan), index)(images), x)


def _max_pool(n: int) -> Any:
    def max_pool(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
        return_indices: bool = False, *, nan: str = "propagate",
    ) -> Any:  # fmt: skip
        return _extreme(
            f"max_pool{n}d", n, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, nan
        )

    return named(
        max_pool, f"max_pool{n}d",
        f"""The largest element of every window over {n} spatial {"axis" if n == 1 else "axes"}.

    y[n, c, o] = max over the taps t of input[n, c, o * stride + t * dilation - low]

    return_indices: also where each lies in the flattened image of its channel (int64; of equal ones the first).
    nan: 'propagate' makes a window with a NaN NaN; 'ignore' takes the largest of the others.
    padding is never chosen. Options and refusals: see nnkern.ops.pool. Semantics: torch.nn.functional.max_pool{n}d.

    >>> nnkern.max_pool1d(np.array([[1.0, 3.0, 2.0, 0.0]]), 2)
    array([[3., 2.]])
    """,
    )  # fmt: skip


def _min_pool(n: int) -> Any:
    def min_pool(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
        return_indices: bool = False, *, nan: str = "propagate",
    ) -> Any:  # fmt: skip
        return _extreme(
            f"min_pool{n}d", n, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, nan, True
        )  # fmt: skip

    return named(
        min_pool, f"min_pool{n}d", f"""The smallest element of every window: see max_pool{n}d, whose options these are.

    >>> nnkern.min_pool1d(np.array([[1.0, 3.0, 2.0, 0.0]]), 2)
    array([[1., 0.]])
    """,
    )  # fmt: skip


def _average(
    op: str, n: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Any:  # fmt: skip
    images = batched(op, x, n)
    w = window(op, images.shape[2:], kernel_size, stride, padding, dilation)
    if divisor_override == 0:
        raise ValueError(f"{op}: divisor_override must not be 0")
    return like_input(AvgPool(w, ceil_mode, count_include_pad, divisor_override or 0)(images), x)


def _avg_pool(n: int) -> Any:
    def avg_pool(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None, *, dilation: Any = 1,
    ) -> Any:  # fmt: skip
        op = f"avg_pool{n}d"
        return _average(
            op,
            n,
            input,
            kernel_size,
            stride,
            padding,
            dilation,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )

    return named(
        avg_pool, f"avg_pool{n}d",
        f"""The mean of every window over {n} spatial {"axis" if n == 1 else "axes"}.

    y[n, c, o] = (sum over the taps t of input[n, c, o * stride + t * dilation - low]) / divisor

    divisor: divisor_override if given, else the window's elements, those in the padding only if count_include_pad.
    Options and refusals: see nnkern.ops.pool. Semantics: torch.nn.functional.avg_pool{n}d.

    >>> nnkern.avg_pool1d(np.array([[1.0, 3.0, 2.0, 0.0]]), 2)
    array([[2., 1.]])
    """,
    )  # fmt: skip


def _lp_pool(n: int) -> Any:
    def lp_pool(
        input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False, *,
        padding: Any = 0, dilation: Any = 1,
    ) -> Any:  # fmt: skip
        op = f"lp_pool{n}d"
        if not isinstance(norm_type, Real):
            raise TypeError(f"{op}: norm_type must be a number, got {type(norm_type).__name__}")
        if norm_type == 0:
            raise ValueError(f"{op}: norm_type must not be 0")
        if norm_type in (math.inf, -math.inf):
            return _extreme(
                op, n, abs(input), kernel_size, stride, padding, dilation, ceil_mode, False, "propagate", norm_type < 0
            )  # fmt: skip
        taps = math.prod(numbers(op, "kernel_size", kernel_size, n))
        y = _average(
            op, n, pow(input, norm_type), kernel_size, stride, padding, dilation, ceil_mode, True, None
        )
        y = where(ne(y, 0.0), y, 0.0)  # y itself, without the root's infinite slope at 0
        return pow(mul(y, float(taps)), 1.0 / norm_type)

    return named(
        lp_pool, f"lp_pool{n}d", f"""The p-norm of every window: (sum of x ** norm_type) ** (1 / norm_type).

    norm_type inf: the largest absolute value, -inf: the smallest. The gradient is 0 where the sum is 0.
    Options: see nnkern.ops.pool. Under ceil_mode a window that is cut off counts as if it went on at its mean, as in
    torch.nn.functional.lp_pool{n}d, whose semantics these are.

    >>> nnkern.lp_pool1d(np.array([[3.0, 4.0]]), 2, 2)
    array([[5.]])
    """,
    )  # fmt: skip


def _output_size(op: str, value: Any, size: Sequence[int]) -> tuple[int, ...]:
    """An int, or per axis an int or None, which keeps that axis."""
    n = len(size)
    values = (value,) if value is None or isinstance(whole(value), int) else value
    try:
        wanted = [v if v is None else operator.index(v) for v in values]
    except TypeError:
        raise TypeError(f"{op}: output_size must be an int or {n} of them (or None), not {value!r}") from None
    if len(wanted) == 1:
        wanted = wanted * n
    kept = tuple(m if v is None else v for v, m in zip(wanted, size))
    if len(wanted) != n or min(kept) < 1:
        raise ValueError(f"{op}: output_size must be a positive int or {n} of them (or None), not {value!r}")
    return sized(op, "output_size", kept)


def _adaptive_avg_pool(n: int) -> Any:
    def adaptive_avg_pool(input: Any, output_size: Any) -> Any:
        op = f"adaptive_avg_pool{n}d"
        images = batched(op, input, n)
        size = _output_size(op, output_size, images.shape[2:])
        if math.prod(size) == 1 or not images.shape[1]:
            y = mean(input, tuple(range(-n, 0)), True)
            return y if math.prod(size) == 1 else expand(y, (*input.shape[:-n], *size))
        return like_input(AvgPool(Window(size), False, False, 0)(images), input)

    return named(
        adaptive_avg_pool, f"adaptive_avg_pool{n}d",
        f"""The mean of windows that divide the image into output_size parts, as equal as they can be.

    Window i of an axis is [floor(i * size / out), ceil((i + 1) * size / out)). output_size: an int, or one per axis,
    where None keeps the axis. Semantics: torch.nn.functional.adaptive_avg_pool{n}d.

    >>> nnkern.adaptive_avg_pool1d(np.array([[1.0, 2.0, 6.0]]), 2)
    array([[1.5, 4. ]])
    """,
    )  # fmt: skip


def _adaptive_max_pool(n: int) -> Any:
    def adaptive_max_pool(
        input: Any, output_size: Any, return_indices: bool = False, *, nan: str = "propagate"
    ) -> Any:
        op = f"adaptive_max_pool{n}d"
        images = batched(op, input, n)
        w = Window(_output_size(op, output_size, images.shape[2:]))
        index = _PLACES if return_indices else _TAPS if taped(input) else _NONE
        ignore = ignores_nan(op, nan)
        if index == _NONE and math.prod(w.kernel_size) == 1 and not ignore:
            return amax(input, tuple(range(-n, 0)), True)
        return like_input(MaxPool(w, False, False, ignore, index)(images), input)

    return named(
        adaptive_max_pool, f"adaptive_max_pool{n}d",
        f"""The largest element of windows that divide the image into output_size parts: see adaptive_avg_pool{n}d.

    return_indices and nan: see max_pool{n}d. Semantics: torch.nn.functional.adaptive_max_pool{n}d.

    >>> nnkern.adaptive_max_pool1d(np.array([[1.0, 2.0, 6.0]]), 2)
    array([[2., 6.]])
    """,
    )  # fmt: skip


max_pool1d, max_pool2d, max_pool3d = map(_max_pool, (1, 2, 3))
min_pool1d, min_pool2d, min_pool3d = map(_min_pool, (1, 2, 3))
avg_pool1d, avg_pool2d, avg_pool3d = map(_avg_pool, (1, 2, 3))
lp_pool1d, lp_pool2d, lp_pool3d = map(_lp_pool, (1, 2, 3))
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = map(_adaptive_avg_pool, (1, 2, 3))
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = map(_adaptive_max_pool, (1, 2, 3))


def _spatial(op: str, x: Any) -> int:
    if not 3 <= x.ndim <= 5:
        raise ValueError(f"{op}: input must have 3 to 5 axes, (N, C, ...) (input.shape={tuple(x.shape)})")
    return int(x.ndim) - 2


def global_avg_pool(input: Any) -> Any:
    """The mean of each channel of (N, C, ...), with length 1 in place of the spatial axes.

    >>> nnkern.global_avg_pool(np.ones((2, 3, 7, 7))).shape
    (2, 3, 1, 1)
    """
    return mean(input, tuple(range(-_spatial("global_avg_pool", input), 0)), True)


def global_max_pool(input: Any, *, nan: str = "propagate") -> Any:
    """The largest element of each channel of (N, C, ...), with length 1 in place of the spatial axes. nan: see max_pool2d.

    >>> nnkern.global_max_pool(np.ones((2, 3, 7, 7))).shape
    (2, 3, 1, 1)
    """
    n = _spatial("global_max_pool", input)
    return (adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d)[n - 1](input, 1, nan=nan)
