"""max_unpool, which puts winners back where max pooling found them, and fractional max pooling."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..function import Function
from ..random import generator
from ..tensor import Tensor
from ._pooling import MaxPoolGrad, PoolTake, Window, batched, ignores_nan, like_input, named, taped
from ._windows import numbers, output_sizes, strides

__all__ = [
    "fractional_max_pool2d", "fractional_max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip


class MaxUnpool(Function):
    """Zeros of `size`, with x put at the places of index."""

    name = "max_unpool"

    def __init__(self, size: Sequence[int]) -> None:
        self.size = tuple(size)

    def forward(self, x: Any, index: Any) -> Any:
        self.saved = (index,)
        return self.kernels.max_unpool_forward(x, index, self.size)

    def backward(self, gy: Any) -> Any:
        (index,) = self.saved
        return PoolTake(Window(()))(gy, index), None


class FractionalMaxPool(Function):
    """The largest element of windows that begin where the samples say, and where it lies."""

    name = "fractional_max_pool"

    def __init__(
        self, kernel_size: tuple[int, ...], output_size: tuple[int, ...], ignore_nan: bool, index: bool
    ) -> None:
        self.sizes, self.options = (kernel_size, output_size), (ignore_nan, index)

    def forward(self, x: Any, samples: Any) -> Any:
        y, index = self.kernels.fractional_max_pool_forward(x, *self.sizes, samples, *self.options)
        self.saved, self.size = (index,), x.shape[2:]
        return y, index

    def backward(self, gy: Any, _: Any = None) -> Any:
        (index,) = self.saved
        return MaxPoolGrad(Window(()), self.size)(gy, index), None


def _unpooled_size(
    op: str, size: Sequence[int], kernel_size: Any, stride: Any, padding: Any, wanted: Any
) -> Any:
    n = len(size)
    kernel = numbers(op, "kernel_size", kernel_size, n)
    stride = strides(op, stride, kernel)
    padding = numbers(op, "padding", padding, n)
    usual = tuple((m - 1) * s + k - 2 * p for m, k, s, p in zip(size, kernel, stride, padding))
    if wanted is None:
        return usual
    given = output_sizes(op, wanted, n)
    if any(abs(g - u) >= s for g, u, s in zip(given, usual, stride)):
        raise ValueError(
            f"{op}: output_size {given} must differ from {usual} by less than the stride {stride}"
        )
    return given


def _max_unpool(n: int) -> Any:
    def max_unpool(
        input: Any,
        indices: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Any = None,
    ) -> Any:
        op = f"max_unpool{n}d"
        x, index = batched(op, input, n), batched(op, indices, n)
        if input.ndim != indices.ndim:
            raise ValueError(
                f"{op}: input and indices must have the same shape "
                f"(input.shape={tuple(input.shape)}, indices.shape={tuple(indices.shape)})"
            )
        size = _unpooled_size(op, x.shape[2:], kernel_size, stride, padding, output_size)
        return like_input(MaxUnpool(size)(x, index), input)

    return named(
        max_unpool, f"max_unpool{n}d",
        f"""Zeros with every element of input where max_pool{n}d(..., return_indices=True) had found it.

    input, indices (int64): what max_pool{n}d returned; kernel_size, stride, padding: what it was given. output_size: the
    size of its input (an int, one per axis, or the whole shape), where strides leave a choice. Equal indices: the last one counts. Raises IndexError for an index
    outside, ValueError for an impossible output_size. Semantics: torch.nn.functional.max_unpool{n}d.

    >>> nnkern.max_unpool1d(np.array([[3.0, 2.0]]), np.array([[1, 2]]), 2)
    array([[0., 3., 2., 0.]])
    """,
    )  # fmt: skip


max_unpool1d, max_unpool2d, max_unpool3d = map(_max_unpool, (1, 2, 3))


def _fractional_size(op: str, size: Sequence[int], output_size: Any, output_ratio: Any) -> tuple[int, ...]:
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{op}: give either output_size or output_ratio")
    if output_size is not None:
        return numbers(op, "output_size", output_size, len(size))
    ratios: tuple[Any, ...] = (
        (output_ratio,) * len(size) if isinstance(output_ratio, Real) else tuple(output_ratio)
    )
    if len(ratios) != len(size) or not all(isinstance(r, Real) and 0 < float(r) < 1 for r in ratios):
        raise ValueError(
            f"{op}: output_ratio must lie between 0 and 1, one or {len(size)} of them, not {output_ratio!r}"
        )
    return tuple(int(m * float(r)) for m, r in zip(size, ratios))


def _fractional_max_pool(n: int) -> Any:
    def fractional_max_pool(
        input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
        _random_samples: Any = None, *, nan: str = "propagate",
    ) -> Any:  # fmt: skip
        op = f"fractional_max_pool{n}d"
        x = batched(op, input, n)
        kernel = numbers(op, "kernel_size", kernel_size, n)
        size = _fractional_size(op, x.shape[2:], output_size, output_ratio)
        if _random_samples is None:
            dtype = x.dtype if isinstance(x, (np.ndarray, Tensor)) else np.asarray(x).dtype
            _random_samples = generator().random((*x.shape[:2], n)).astype(dtype)
        pool = FractionalMaxPool(kernel, size, ignores_nan(op, nan), return_indices or taped(x))
        y, index = pool(x, _random_samples)
        return like_input((y, index), input) if return_indices else like_input(y, input)

    return named(
        fractional_max_pool, f"fractional_max_pool{n}d",
        f"""The largest element of windows that begin at pseudo-random places (Graham 2014, 'Fractional Max-Pooling').

    The result has output_size elements per axis, or int(size * output_ratio). _random_samples (N, C, {n}) in [0, 1) says
    where windows begin; None draws from nnkern.manual_seed's generator. return_indices, nan: see max_pool{n}d.
    Semantics: torch.nn.functional.fractional_max_pool{n}d.

    >>> nnkern.fractional_max_pool{n}d(np.ones((1, 1, {", ".join("8" * n)})), 2, output_size=5).shape
    (1, 1, {", ".join("5" * n)})
    """,
    )  # fmt: skip


fractional_max_pool2d, fractional_max_pool3d = map(_fractional_max_pool, (2, 3))
