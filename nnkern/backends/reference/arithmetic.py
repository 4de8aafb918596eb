"""Sums, differences, products and quotients in NumPy, and how kernels are made of NumPy's functions."""

import numpy as np


def unary(function, keeps_whole=False):
    """The kernel of y = function(x); whole numbers are kept or become float32."""

    def kernel(x, out=None):
        x = x if keeps_whole or x.dtype.kind == "f" else x.astype(np.float32)
        return into(function(x).astype(x.dtype, copy=False), out)

    return kernel


def binary(function):
    """The kernel of z = function(x, y), arrays or numbers."""

    def kernel(x, y, out=None):
        return into(function(*alike(x, y)), out)

    return kernel


def exact(function):
    """The kernel of a comparison: numbers beside whole numbers are compared as what they are."""

    def kernel(x, y, out=None):
        mixed = [a for a in (x, y) if isinstance(a, np.ndarray) and a.dtype.kind != "f"]
        whole = len(mixed) == 1 and not (isinstance(x, np.ndarray) and isinstance(y, np.ndarray))
        return into(function(x, y) if whole else function(*alike(x, y)), out)

    return kernel


def into(y, out):
    if out is None:
        return y
    out[...] = y
    return out


def alike(x, y):
    """x and y in one dtype, by PyTorch's rule: floats' beside whole numbers, else the wider; numbers follow the arrays."""
    dtypes = [a.dtype for a in (x, y) if isinstance(a, np.ndarray)]
    floats = [t for t in dtypes if t.kind == "f"]
    numbers = [a for a in (x, y) if not isinstance(a, np.ndarray)]
    if floats:
        to = np.result_type(*floats)
    elif not dtypes or any(isinstance(a, (float, np.floating)) for a in numbers):
        to = np.dtype(np.float32)
    elif dtypes == [np.dtype(bool)] and any(not isinstance(a, (bool, np.bool_)) for a in numbers):
        to = np.dtype(np.int64)
    else:
        to = np.result_type(*dtypes)
    return np.asarray(x, to), np.asarray(y, to)


def _quotient(x, y):
    return (
        np.true_divide(x, y)
        if x.dtype.kind == "f"
        else np.true_divide(x.astype(np.float32), y.astype(np.float32))
    )


neg_forward = unary(np.negative, True)
add_forward = binary(np.add)
sub_forward = binary(np.subtract)
mul_forward = binary(np.multiply)
div_forward = binary(_quotient)

__all__ = ["add_forward", "div_forward", "mul_forward", "neg_forward", "sub_forward"]
