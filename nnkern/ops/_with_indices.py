"""The max pools under PyTorch's names for return_indices=True."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from . import pool, unpool

__all__ = [
    "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d_with_indices",
    "fractional_max_pool2d_with_indices", "fractional_max_pool3d_with_indices", "max_pool1d_with_indices",
    "max_pool2d_with_indices", "max_pool3d_with_indices",
]  # fmt: skip


def _with_indices(function: Callable[..., Any]) -> Callable[..., Any]:
    name, signature = function.__name__, inspect.signature(function)

    def with_indices(*args: Any, **options: Any) -> Any:
        given = signature.bind(*args, **options)
        given.arguments["return_indices"] = True
        return function(*given.args, **given.kwargs)

    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = f"{name} with return_indices=True, whatever is given for it."
    with_indices.__signature__ = signature  # type: ignore[attr-defined]
    return with_indices


max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices = map(
    _with_indices, (pool.max_pool1d, pool.max_pool2d, pool.max_pool3d)
)
adaptive_max_pool1d_with_indices, adaptive_max_pool2d_with_indices, adaptive_max_pool3d_with_indices = map(
    _with_indices, (pool.adaptive_max_pool1d, pool.adaptive_max_pool2d, pool.adaptive_max_pool3d)
)
fractional_max_pool2d_with_indices, fractional_max_pool3d_with_indices = map(
    _with_indices, (unpool.fractional_max_pool2d, unpool.fractional_max_pool3d)
)
