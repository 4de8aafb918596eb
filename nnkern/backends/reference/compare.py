"""Comparisons, logic and choice in NumPy."""

import numpy as np

from .arithmetic import alike, binary, exact, into

BINARY = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "maximum": np.maximum, "minimum": np.minimum,
}  # fmt: skip

globals().update({f"{name}_forward": (binary if "imum" in name else exact)(f) for name, f in BINARY.items()})


def isnan_forward(x):
    return np.isnan(x)


def isinf_forward(x):
    return np.isinf(x)


def isfinite_forward(x):
    return np.isfinite(x)


def logical_and_forward(x, y):
    return np.logical_and(x, y)


def logical_or_forward(x, y):
    return np.logical_or(x, y)


def logical_xor_forward(x, y):
    return np.logical_xor(x, y)


def logical_not_forward(x):
    return np.logical_not(x)


def where_forward(c, x, y):
    if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
        return np.where(c, *alike(x, y))
    z = np.where(c, x, y)
    return z.astype(np.float32) if z.dtype.kind == "f" else z


def clamp_forward(x, low, high, out=None):
    x = np.array(x)
    for limit, number in ((np.maximum, low), (np.minimum, high)):
        if not np.isinf(number):
            x = limit(*alike(x, number))
    return into(x, out)


__all__ = [
    *(f"{name}_forward" for name in BINARY),
    "clamp_forward",
    "isfinite_forward",
    "isinf_forward",
    "isnan_forward",
    "logical_and_forward",
    "logical_not_forward",
    "logical_or_forward",
    "logical_xor_forward",
    "where_forward",
]  # fmt: skip
