"""Shape ops that move memory, in NumPy."""

import numpy as np


def copy_forward(x, out=None):
    if out is None:
        return np.array(x, order="C")
    if out.shape != x.shape:
        raise ValueError(f"copy: out has the wrong shape (out.shape={out.shape}, result.shape={x.shape})")
    out[...] = x
    return out


def triangle_forward(x, diagonal, upper):
    return np.triu(x, diagonal) if upper else np.tril(x, diagonal)
