"""Tensors out of nothing: zeros, ones, full, arange, randn and the like, as in PyTorch.

dtype defaults to float32 for floats (arange and full follow their numbers); random numbers come from
nnkern.manual_seed's generator.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .device import to_ndarray
from .random import generator
from .tensor import Tensor

__all__ = [
    "arange", "empty", "empty_like", "eye", "full", "full_like", "linspace", "ones", "ones_like", "rand",
    "rand_like", "randint", "randn", "randn_like", "randperm", "tensor", "zeros", "zeros_like",
]  # fmt: skip


def _shape(numbers: tuple[Any, ...]) -> tuple[Any, ...]:
    """zeros(2, 3) and zeros((2, 3)) mean the same."""
    return tuple(numbers[0]) if len(numbers) == 1 and not isinstance(numbers[0], int) else numbers


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor with a copy of data (Tensor(data) shares its memory)."""
    array = Tensor(data).data
    return Tensor(np.array(array, dtype=dtype or array.dtype), requires_grad)


def empty(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Uninitialised."""
    return Tensor(np.empty(_shape(shape), dtype), requires_grad)


def zeros(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Zeros."""
    return Tensor(np.zeros(_shape(shape), dtype), requires_grad)


def ones(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Ones."""
    return Tensor(np.ones(_shape(shape), dtype), requires_grad)


def full(shape: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Every element fill_value; the dtype of a Python float is float32, of an int int64, of a bool bool."""
    if dtype is None and isinstance(fill_value, float):
        dtype = np.float32
    return Tensor(np.full(_shape((shape,)), fill_value, dtype), requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """start, start + step, ... below end; integers give int64, floats float32."""
    start, end = (0, start) if end is None else (start, end)
    if dtype is None and any(isinstance(v, float) for v in (start, end, step)):
        dtype = np.float32
    return Tensor(np.arange(*(start, end, step), dtype=dtype), requires_grad)


def linspace(
    start: float, end: float, steps: int, dtype: Any = np.float32, requires_grad: bool = False
) -> Tensor:
    """`steps` equally spaced numbers from start to end, both included."""
    return Tensor(np.linspace(start, end, steps, dtype=dtype), requires_grad)


def eye(n: int, m: int | None = None, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an n x m matrix."""
    return Tensor(np.eye(n, m, dtype=dtype), requires_grad)


def rand(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Uniform in [0, 1)."""
    return Tensor(np.asarray(generator().random(_shape(shape), dtype)), requires_grad)


def randn(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Standard normal."""
    return Tensor(np.asarray(generator().standard_normal(_shape(shape), dtype)), requires_grad)


def randint(low: int, high: int | None = None, size: Any = ()) -> Tensor:
    """Uniform integers in [low, high), or in [0, low) if high is left out."""
    return Tensor(np.asarray(generator().integers(low, high, size), np.int64))


def randperm(n: int) -> Tensor:
    """0 ... n - 1 in random order."""
    return Tensor(generator().permutation(n))


def _like(op: str, x: Any, dtype: Any) -> tuple[Any, ...]:
    if not isinstance(x, Tensor):
        x = to_ndarray(x, op)
    return x.shape, dtype or x.dtype


def empty_like(x: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Unset values, shape and dtype of x."""
    shape, dtype = _like("empty_like", x, dtype)
    return empty(shape, dtype=dtype, requires_grad=requires_grad)


def zeros_like(x: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros, shape and dtype of x."""
    shape, dtype = _like("zeros_like", x, dtype)
    return zeros(shape, dtype=dtype, requires_grad=requires_grad)


def ones_like(x: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones, shape and dtype of x."""
    shape, dtype = _like("ones_like", x, dtype)
    return ones(shape, dtype=dtype, requires_grad=requires_grad)


def full_like(x: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """fill_value everywhere, shape and dtype of x."""
    shape, dtype = _like("full_like", x, dtype)
    return full(shape, fill_value, dtype, requires_grad)


def rand_like(x: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1), shape and dtype of x."""
    shape, dtype = _like("rand_like", x, dtype)
    return rand(shape, dtype=dtype, requires_grad=requires_grad)


def randn_like(x: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal numbers, shape and dtype of x."""
    shape, dtype = _like("randn_like", x, dtype)
    return randn(shape, dtype=dtype, requires_grad=requires_grad)
