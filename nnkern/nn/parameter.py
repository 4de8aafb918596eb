"""Parameter: a Tensor that a Module trains."""

from __future__ import annotations

from operator import index
from typing import Any

from ..tensor import Tensor


class Parameter(Tensor):
    """A Tensor that registers itself when it becomes an attribute of a Module.

    >>> Parameter(np.zeros(3, np.float32)).requires_grad
    True
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


def check_sizes(layer: Any, **sizes: Any) -> None:
    """TypeError or ValueError unless all sizes of a layer are whole numbers that are not negative."""
    for name, size in sizes.items():
        for n in size if isinstance(size, (tuple, list)) else (size,):
            try:
                negative = index(n) < 0
            except TypeError:
                raise TypeError(f"{type(layer).__name__}: {name} must be a whole number, got {n!r}") from None
            if negative:
                raise ValueError(f"{type(layer).__name__}: {name} can't be negative, got {size}")
