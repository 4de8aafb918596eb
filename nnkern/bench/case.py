"""A benchmark case: what is computed, by whom, and how much work it is."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

# Operations per element in csrc/simd/math.inl and log.inl, in float32, a multiply-add counting as two.
FUNCTION_FLOPS = {
    "exp": 20,
    "log": 22,
    "pow": 60,
    "tanh": 16,
    "sigmoid": 23,
    "erf": 16,
    "gelu": 36,
    "gelu_tanh": 40,
    "silu": 23,
    "mish": 38,
    "softplus": 30,
    "logsigmoid": 30,
    "elu": 24,
    "tanhshrink": 45,
}


@dataclass(frozen=True)
class Case:
    """candidates() builds the data and returns {library: function without arguments that returns the result}.

    'nnkern' is always there; 'numpy' is NumPy's best idiom, 'numpy (usual)' the common one where that is another;
    'torch' is PyTorch, absent when it is not installed. Images have 'torch (channels_last)' beside it: the faster
    of the two counts as PyTorch. Results of all are compared before timing. `full` cases run under --full only.

    flops: arithmetic operations of one call; a function value counts as FUNCTION_FLOPS says, moving an element as
    one. bytes: its operands and its result, each once, whatever passes over them an implementation makes. Every case
    has both: the machine's limit for it follows from them, and its place on the roofline.
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
    family: str = ""  # the module it stands in; all_cases() fills it


def torch_module() -> Any:
    """PyTorch, or None."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        return None


@functools.lru_cache(maxsize=4)  # making 50 MB of them takes longer than most measurements
def random(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """Normal random numbers; the same array again for the same arguments, so nobody writes to it."""
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
        module = importlib.import_module(f"nnkern.bench.cases.{name}")
        found += [replace(case, family=name) for case in module.cases()]
    return found
