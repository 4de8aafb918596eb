"""Functions of one array, and powers, in NumPy."""

import math

import numpy as np

from .arithmetic import binary, unary


def _erf(x):
    return np.vectorize(math.erf, otypes=[np.float64])(x)


UNARY = {
    "abs": np.abs, "sign": lambda x: (x > 0) * 1.0 - (x < 0) * 1.0, "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1,
    "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x), "square": np.square, "reciprocal": lambda x: 1 / x, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh, "erf": _erf, "floor": np.floor, "ceil": np.ceil, "round": np.round,
    "trunc": np.trunc,
}  # fmt: skip

KEEP_WHOLE = ("abs", "sign", "square", "floor", "ceil", "round", "trunc")

globals().update({f"{name}_forward": unary(f, name in KEEP_WHOLE) for name, f in UNARY.items()})
pow_forward = binary(np.power)

__all__ = ["pow_forward", *(f"{name}_forward" for name in UNARY)]
