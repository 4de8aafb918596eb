"""Sums, differences, products and quotients in NumPy, and how kernels are made of NumPy's functions."""

import numpy as np


def unary(function):
    """The kernel of y = function(x)."""

    def kernel(x, out=None):
        return into(function(x).astype(x.dtype, copy=False), out)

    return kernel


def binary(function):
    """The kernel of z = function(x, y), arrays or numbers."""

    def kernel(x, y, out=None):
        return into(function(*alike(x, y)), out)

    return kernel


def into(y, out):
    if out is None:
        return y
    out[...] = y
    return out


def alike(x, y):
    """Numbers take the dtype of the array beside them, unless that would round them."""
    if isinstance(x, np.ndarray) and not isinstance(y, np.ndarray):
        return x, np.asarray(y, x.dtype if x.dtype.kind == "f" or y == int(y) else None)
    if isinstance(y, np.ndarray) and not isinstance(x, np.ndarray):
        return np.asarray(x, y.dtype if y.dtype.kind == "f" or x == int(x) else None), y
    return (np.asarray(x, np.float32), np.asarray(y, np.float32)) if not isinstance(x, np.ndarray) else (x, y)


neg_forward = unary(np.negative)
add_forward = binary(np.add)
sub_forward = binary(np.subtract)
mul_forward = binary(np.multiply)
div_forward = binary(np.true_divide)

__all__ = ["add_forward", "div_forward", "mul_forward", "neg_forward", "sub_forward"]
