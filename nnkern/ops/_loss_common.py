"""What all losses share: reductions, labels that need no gradient, and shapes that must agree."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import like, to_ndarray
from ..function import grad_mode
from ..tensor import Tensor
from .reduce import mean, sum
from .shape import broadcast_to

REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


def reduction_code(op: str, reduction: str) -> int:
    if reduction not in REDUCTIONS:
        raise ValueError(f"{op}: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    return REDUCTIONS[reduction]


def any_kind(function: Callable[..., Any]) -> Callable[..., Any]:
    """A composition that also takes arrays of other kinds than NumPy's: the result is of the first one's kind."""

    def foreign(x: Any) -> bool:
        return hasattr(x, "__dlpack__") and not isinstance(x, (np.ndarray, Tensor))

    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        found = [x for x in (*args, *options.values()) if foreign(x)]
        if not found:
            return function(*args, **options)
        op = function.__name__
        y = function(*[to_ndarray(x, op) if foreign(x) else x for x in args],
                     **{k: to_ndarray(x, op) if foreign(x) else x for k, x in options.items()})  # fmt: skip
        return like(y, args[0]) if isinstance(y, np.ndarray) else y

    return wrapper


def reduced(losses: Any, code: int) -> Any:
    return losses if code == 0 else mean(losses) if code == 1 else sum(losses)


def plain(op: str, x: Any) -> np.ndarray:
    """The array behind x, whatever kind it is: for labels, which no derivative goes through."""
    return x.data if isinstance(x, Tensor) else to_ndarray(x, op)


def constant(op: str, weight: Any) -> Any:
    """weight, which these losses give no gradient to: refused if it waits for one."""
    if isinstance(weight, Tensor) and weight.requires_grad and grad_mode.enabled:
        raise ValueError(f"{op}: no gradient flows to weight (shape {weight.shape}); pass weight.detach()")
    return weight


def float_labels(op: str, target: Any, x: Any) -> Any:
    """Integer or boolean labels in x's dtype; float ones as they are."""
    raw = plain(op, target)
    return target if raw.dtype.kind not in "biu" else raw.astype(plain(op, x).dtype)


def same_shape(op: str, **arrays: Any) -> None:
    """ValueError unless all arrays have one shape."""
    shapes = [tuple(a.shape) for a in arrays.values()]
    if any(s != shapes[0] for s in shapes):
        shown = ", ".join(f"{name}.shape={s}" for name, s in zip(arrays, shapes))
        raise ValueError(f"{op}: {' and '.join(arrays)} must have one shape ({shown})")


def spread(op: str, x: Any, target: Any, warn: bool = False) -> tuple[Any, Any]:
    """x and target, broadcast to their common shape. `warn`: say so, for (N, 1) beside (N,) is seldom meant."""
    xs, ts = tuple(x.shape), tuple(target.shape)
    if xs == ts:
        return x, target
    try:
        shape = np.broadcast_shapes(xs, ts)
    except ValueError:
        raise ValueError(
            f"{op}: x and target must have one shape, or shapes that broadcast (x.shape={xs}, target.shape={ts})"
        ) from None
    if warn:
        warnings.warn(
            f"{op}: x {xs} and target {ts} are broadcast to {shape}; equal shapes are what is usually meant",
            stacklevel=4,
        )
    return broadcast_to(x, shape), broadcast_to(target, shape)
