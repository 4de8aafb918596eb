"""Matrix products in NumPy."""

import math

import numpy as np

__all__ = ["linear_forward", "matmul_forward", "matmul_packed_forward", "pack_forward"]


def matmul_forward(x, w, out=None):
    y = np.matmul(x, w)
    if out is None:
        return y
    out[...] = y
    return out


def activate(y, activation):
    """The epilogue's activations, by their number in csrc/cpu/gemm.h."""
    if activation == 1:
        return np.where(np.isnan(y), y, np.maximum(y, 0))
    if activation == 2:
        return 1 / (1 + np.exp(-y))
    if activation == 3:
        return np.tanh(y)
    if activation == 4:
        return y * 0.5 * (1 + np.vectorize(math.erf, otypes=[y.dtype])(y / math.sqrt(2)))
    if activation == 5:
        return 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y * y * y)))
    if activation == 6:
        return y / (1 + np.exp(-y))
    return y


def linear_forward(x, w, b=None, residual=None, activation=0, alpha=1.0, beta=1.0, out=None):
    y = alpha * np.matmul(x, np.swapaxes(w, 0, 1))
    if residual is not None:
        y = y + beta * residual
    if b is not None:
        y = y + b
    y = activate(y, activation).astype(x.dtype)
    if out is None:
        return y
    out[...] = y
    return out


def pack_forward(w):
    """Every backend has an order of its own; here it is that of w."""
    return np.ascontiguousarray(w).reshape(-1)


def matmul_packed_forward(x, packed, k, n, b, activation):
    y = np.matmul(x, packed.reshape(k, n))
    return activate(y if b is None else y + b, activation).astype(x.dtype)
