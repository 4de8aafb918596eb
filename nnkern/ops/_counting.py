"""What looks at values and gives no gradient: nonzero, unique, bincount, comparisons of whole arrays. Names are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import random
from ..device import to_ndarray
from ..function import Function
from ..tensor import Tensor

__all__ = [
    "allclose", "argwhere", "bernoulli", "bincount", "bucketize", "count_nonzero", "equal", "isclose", "multinomial",
    "nonzero", "searchsorted", "unique",
]  # fmt: skip


class Plain(Function):
    """A function of NumPy's on the arrays, with results of the arguments' kind; no gradient goes through it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def forward(self, *arrays: Any) -> Any:
        y = self.function(*arrays)
        return tuple(np.asarray(a) for a in y) if isinstance(y, tuple) else np.asarray(y)


def _plain(function: Callable[..., Any], *xs: Any) -> Any:
    return Plain(function)(*[x.detach() if isinstance(x, Tensor) else x for x in xs])


def _array(x: Any, op: str) -> np.ndarray:
    return x.data if isinstance(x, Tensor) else to_ndarray(x, op)


def argwhere(x: Any) -> Any:
    """The places of x's elements that are not 0, as rows of an int64 matrix with a column for each dim.

    >>> argwhere(np.array([[0, 1], [1, 0]])).tolist()
    [[0, 1], [1, 0]]
    """
    return _plain(np.argwhere, x)


def nonzero(x: Any, as_tuple: bool = False) -> Any:
    """argwhere; with as_tuple its columns, so that x[nonzero(x, as_tuple=True)] are x's elements other than 0."""
    if not as_tuple:
        return argwhere(x)
    return _plain(lambda a: np.nonzero(np.atleast_1d(a)), x)


def count_nonzero(x: Any, dim: Any = None) -> Any:
    """How many elements over dim are not 0, as int64."""
    return _plain(lambda a: np.asarray(np.count_nonzero(a, dim), np.int64), x)


def unique(
    x: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: Any = None
) -> Any:
    """The different values of x in rising order (always), or its different slices along dim.

    With return_inverse also where in them each element of x is, with return_counts how often each occurs: a tuple then.

    >>> unique(np.array([3, 1, 3]), return_counts=True)
    (array([1, 3]), array([1, 2]))
    """

    def run(a: np.ndarray) -> Any:
        values, inverse, counts = np.unique(a, return_inverse=True, return_counts=True, axis=dim)
        inverse = inverse.reshape(a.shape if dim is None else -1)
        found = (values, inverse if return_inverse else None, counts if return_counts else None)
        wanted = tuple(f for f in found if f is not None)
        return wanted if len(wanted) > 1 else values

    return _plain(run, x)


def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each of 0, 1, 2... occurs in the vector x of whole numbers, or the sums of their weights."""

    def run(a: np.ndarray, w: np.ndarray | None) -> np.ndarray:
        if a.ndim != 1 or a.dtype.kind not in "iu" or (a < 0).any():
            raise ValueError(
                f"bincount: x must be a vector of whole numbers >= 0, got {a.dtype} of shape {a.shape}"
            )
        counts = np.bincount(a, w, minlength)
        return counts if w is None or w.dtype != np.float32 else counts.astype(np.float32)

    return _plain(run, x, weights)


def isclose(x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """|x - y| <= atol + rtol |y|, element by element, as bool."""
    return _plain(lambda a, b: np.isclose(a, b, rtol, atol, equal_nan), x, y)


def allclose(x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether isclose holds everywhere."""
    return bool(np.allclose(_array(x, "allclose"), _array(y, "allclose"), rtol, atol, equal_nan))


def equal(x: Any, y: Any) -> bool:
    """Whether x and y have the same shape and elements."""
    return bool(np.array_equal(_array(x, "equal"), _array(y, "equal")))


def searchsorted(sorted_sequence: Any, values: Any, *, right: bool = False) -> Any:
    """For each value the place in a rising vector where it would keep the order: before its equals, or after them (right)."""
    return _plain(lambda a, v: np.searchsorted(a, v, "right" if right else "left"), sorted_sequence, values)


def bucketize(x: Any, boundaries: Any, *, right: bool = False) -> Any:
    """searchsorted with its arguments the other way round: in which interval between boundaries each x lies."""
    return _plain(lambda v, a: np.searchsorted(a, v, "right" if right else "left"), x, boundaries)


def multinomial(x: Any, num_samples: int, replacement: bool = False) -> Any:
    """Indices drawn with the probabilities x (..., n), which need not sum to 1: int64 of shape (..., num_samples).

    Without replacement each index comes once at most. x must be a vector or matrix, not negative, with a sum above 0.
    The random numbers are nnkern.manual_seed's.
    """

    def run(p: np.ndarray) -> np.ndarray:
        p = np.asarray(p, np.float64)
        rows = np.atleast_2d(p)
        enough = replacement or num_samples <= np.count_nonzero(rows, -1).min(initial=num_samples)
        if (
            p.ndim not in (1, 2)
            or not (rows >= 0).all()
            or not np.isfinite(s := rows.sum(-1)).all()
            or (s <= 0).any()
        ):
            raise ValueError(
                f"multinomial: x must be one or two dims of finite probabilities, with a sum above 0 (x.shape={p.shape})"
            )
        if num_samples < 1 or not enough:
            raise ValueError(
                f"multinomial: {num_samples} samples can't be drawn from {np.count_nonzero(rows, -1).min()}"
            )
        draw = random.generator()
        if replacement:
            ends = np.cumsum(rows, -1)
            u = draw.random((rows.shape[0], num_samples)) * ends[:, -1:]
            y = np.stack([np.searchsorted(e, v, "right") for e, v in zip(ends, u)])
        else:  # the largest of log(p) plus Gumbel noise (Efraimidis and Spirakis, 2006)
            with np.errstate(divide="ignore"):
                keys = np.log(rows) + draw.gumbel(size=rows.shape)
            y = np.argsort(-keys, -1)[:, :num_samples]
        return y.reshape(*p.shape[:-1], num_samples).astype(np.int64)

    return _plain(run, x)


def bernoulli(x: Any) -> Any:
    """1 with probability x, else 0, in x's dtype. The random numbers are nnkern.manual_seed's."""

    def run(p: np.ndarray) -> np.ndarray:
        if not ((p >= 0) & (p <= 1)).all():
            raise ValueError("bernoulli: probabilities must lie between 0 and 1")
        return np.asarray(random.generator().random(p.shape) < p, p.dtype)

    return _plain(run, x)
