"""A benchmark case: what is computed, by whom, and how much work it is."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """candidates() builds the data and returns {library: function without arguments that returns the result}.

    'nnkern' is always there; 'numpy' is NumPy's best idiom, 'numpy (usual)' the common one where that is another;
    'torch' is PyTorch in its better layout, absent when it is not installed. Results of all are compared before timing.
    flops or bytes is the work of one call, whichever bounds it. `full` cases run under --full only.
    """

    op: str
    name: str
    candidates: Callable[[], dict[str, Callable[[], Any]]]
    flops: float = 0
    bytes: float = 0
    full: bool = False
    tolerance: float = 1e-4  # of max |result|; float32 sums in another order
    compared: Callable[[Any], Any] | None = None  # what of a result is compared; None: all of it
    dtype: str = "float32"


def torch_module() -> Any:
    """PyTorch, or None."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        return None


def random(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def families() -> list[str]:
    """The op families that have cases."""
    from . import cases

    return sorted(m.name for m in pkgutil.iter_modules(cases.__path__))


def all_cases(family: str | None = None) -> list[Case]:
    """The cases of one family, or of all."""
    names = families() if family is None else [family]
    found: list[Case] = []
    for name in names:
        found += importlib.import_module(f"nnkern.bench.cases.{name}").cases()
    return found
