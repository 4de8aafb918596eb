"""Tensors out of nothing: zeros, ones, full, arange, randn and the like, as in PyTorch.

dtype defaults to float32 for floats (arange and full follow their numbers); random numbers come from
nnkern.manual_seed's generator. `device` can be "cpu" alone.
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from .device import check_device, to_ndarray
from .random import generator
from .tensor import Tensor

__all__ = [
    "arange", "as_tensor", "asarray", "empty", "empty_like", "eye", "from_numpy", "full", "full_like", "is_tensor", "linspace",
    "logspace", "normal", "numel", "ones", "ones_like", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "randperm", "tensor", "tril_indices", "triu_indices", "zeros", "zeros_like",
]  # fmt: skip


def _shape(op: str, numbers: tuple[Any, ...]) -> tuple[int, ...]:
    """zeros(2, 3) and zeros((2, 3)) mean the same."""
    given = numbers[0] if len(numbers) == 1 and isinstance(numbers[0], (list, tuple)) else numbers
    return tuple(_count(op, "a size", n) for n in given)


def _count(op: str, what: str, n: Any) -> int:
    try:
        n = index(n)
    except TypeError:
        raise TypeError(f"{op}: {what} must be a whole number, got {n!r}") from None
    if n < 0:
        raise ValueError(f"{op}: {what} can't be negative, got {n}")
    return n


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A Tensor with a copy of data (Tensor(data) shares its memory)."""
    check_device(device)
    array = Tensor(data).data
    return Tensor(np.array(array, dtype=dtype or array.dtype), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """data as a Tensor that shares its memory if it can; a Tensor of that dtype as it is."""
    check_device(device)
    t = data if isinstance(data, Tensor) else Tensor(data)
    return t if dtype is None else t.to(dtype)


asarray = as_tensor


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares the array's memory."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(array).__name__}")
    return Tensor(array)


def is_tensor(x: Any) -> bool:
    """Whether x is a Tensor."""
    return isinstance(x, Tensor)


def numel(x: Any) -> int:
    """The number of elements."""
    return x.data.size if isinstance(x, Tensor) else to_ndarray(x, "numel").size


def empty(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Uninitialised."""
    check_device(device)
    return Tensor(np.empty(_shape("empty", shape), dtype or np.float32), requires_grad)


def zeros(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros."""
    check_device(device)
    return Tensor(np.zeros(_shape("zeros", shape), dtype or np.float32), requires_grad)


def ones(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones."""
    check_device(device)
    return Tensor(np.ones(_shape("ones", shape), dtype or np.float32), requires_grad)


def full(
    shape: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Every element fill_value; the dtype of a Python float is float32, of an int int64, of a bool bool."""
    check_device(device)
    if dtype is None and isinstance(fill_value, float):
        dtype = np.float32
    return Tensor(np.full(_shape("full", (shape,)), fill_value, dtype), requires_grad)


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """start, start + step, ... below end; integers give int64, floats float32."""
    check_device(device)
    start, end = (0, start) if end is None else (start, end)
    if isinstance(step, (int, float)) and step == 0:
        raise ValueError("arange: step must not be 0")
    if dtype is None and any(isinstance(v, float) for v in (start, end, step)):
        dtype = np.float32
    return Tensor(np.arange(*(start, end, step), dtype=dtype), requires_grad)


def linspace(
    start: float,
    end: float,
    steps: int,
    dtype: Any = np.float32,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """`steps` equally spaced numbers from start to end, both included."""
    check_device(device)
    return Tensor(
        np.linspace(start, end, _count("linspace", "steps", steps), dtype=dtype or np.float32), requires_grad
    )


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    dtype: Any = np.float32,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """`steps` numbers from base^start to base^end, both included, with equal quotients."""
    check_device(device)
    return Tensor(
        np.logspace(start, end, _count("logspace", "steps", steps), base=base, dtype=dtype or np.float32),
        requires_grad,
    )


def tril_indices(row: int, col: int, offset: int = 0) -> Tensor:
    """The places of the elements on and below a diagonal of a row x col matrix, row by row: int64 of shape (2, n)."""
    return Tensor(np.stack(np.tril_indices(row, offset, col)).astype(np.int64))


def triu_indices(row: int, col: int, offset: int = 0) -> Tensor:
    """The places of the elements on and above a diagonal of a row x col matrix, row by row: int64 of shape (2, n)."""
    return Tensor(np.stack(np.triu_indices(row, offset, col)).astype(np.int64))


def eye(
    n: int, m: int | None = None, dtype: Any = np.float32, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Ones on the diagonal of an n x m matrix."""
    check_device(device)
    return Tensor(
        np.eye(_count("eye", "n", n), m if m is None else _count("eye", "m", m), dtype=dtype or np.float32),
        requires_grad,
    )


def rand(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Uniform in [0, 1)."""
    check_device(device)
    return Tensor(np.asarray(generator().random(_shape("rand", shape), dtype or np.float32)), requires_grad)


def randn(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Standard normal."""
    check_device(device)
    return Tensor(
        np.asarray(generator().standard_normal(_shape("randn", shape), dtype or np.float32)), requires_grad
    )


def randint(low: int, high: Any = None, size: Any = (), dtype: Any = np.int64, device: Any = None) -> Tensor:
    """Uniform integers in [low, high), or in [0, low) if high is left out: randint(10, (2, 3))."""
    check_device(device)
    if isinstance(high, (list, tuple)):
        high, size = None, high
    low, high = (0, low) if high is None else (low, high)
    if not low < high:
        raise ValueError(f"randint: low must be below high, got {low} and {high}")
    return Tensor(np.asarray(generator().integers(low, high, _shape("randint", (size,))), dtype))


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None) -> Tensor:
    """Normal with these means and standard deviations: numbers beside a size, or Tensors or arrays that broadcast."""
    mean, std = (v.data if isinstance(v, Tensor) else v for v in (mean, std))
    dtype = next((v.dtype for v in (mean, std) if isinstance(v, np.ndarray)), np.float32)
    return Tensor(np.asarray(generator().normal(mean, std, size), dtype))


def randperm(n: int, device: Any = None) -> Tensor:
    """0 ... n - 1 in random order."""
    check_device(device)
    return Tensor(generator().permutation(_count("randperm", "n", n)))


def _like(op: str, x: Any, dtype: Any) -> tuple[Any, ...]:
    if not isinstance(x, Tensor):
        x = to_ndarray(x, op)
    return x.shape, dtype or x.dtype


def empty_like(x: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Unset values, shape and dtype of x."""
    check_device(device)
    shape, dtype = _like("empty_like", x, dtype)
    return empty(shape, dtype=dtype, requires_grad=requires_grad)


def zeros_like(x: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros, shape and dtype of x."""
    check_device(device)
    shape, dtype = _like("zeros_like", x, dtype)
    return zeros(shape, dtype=dtype, requires_grad=requires_grad)


def ones_like(x: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones, shape and dtype of x."""
    check_device(device)
    shape, dtype = _like("ones_like", x, dtype)
    return ones(shape, dtype=dtype, requires_grad=requires_grad)


def full_like(
    x: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """fill_value everywhere, shape and dtype of x."""
    check_device(device)
    shape, dtype = _like("full_like", x, dtype)
    return full(shape, fill_value, dtype, requires_grad)


def rand_like(x: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Uniform numbers in [0, 1), shape and dtype of x."""
    check_device(device)
    shape, dtype = _like("rand_like", x, dtype)
    return rand(shape, dtype=dtype, requires_grad=requires_grad)


def randn_like(x: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Standard normal numbers, shape and dtype of x."""
    check_device(device)
    shape, dtype = _like("randn_like", x, dtype)
    return randn(shape, dtype=dtype, requires_grad=requires_grad)


def randint_like(x: Any, low: int, high: int | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """Uniform integers in [low, high), or in [0, low) if high is left out; shape and dtype of x."""
    shape, dtype = _like("randint_like", x, dtype)
    return randint(low, high, shape, dtype, device)


def _attach() -> None:
    """x.new_zeros(2, 3) is zeros(2, 3) in x's dtype."""

    def method(function: Any) -> Any:
        def new(self: Tensor, *shape: Any, dtype: Any = None, **options: Any) -> Tensor:
            return function(*shape, dtype=dtype or self.dtype, **options)

        new.__doc__ = f"{function.__name__}, in this tensor's dtype unless another is given."
        return new

    for function in (empty, full, ones, tensor, zeros):
        setattr(Tensor, f"new_{function.__name__}", method(function))


_attach()
