"""Shape ops that move memory, in NumPy."""

import numpy as np


def copy_forward(x, out=None):
    if out is None:
        return np.array(x, order="C")
    if out.shape != x.shape:
        raise ValueError(f"copy: out has the wrong shape (out.shape={out.shape}, result.shape={x.shape})")
    out[...] = x
    return out


def pad_forward(x, pads, value):
    """pads: (before, after) of the last axis, then of the one before it, and so on; negative ones crop."""
    pairs = [(0, 0)] * (x.ndim - len(pads) // 2) + list(zip(pads[::2], pads[1::2]))[::-1]
    kept = [range(max(0, -a), max(0, -a, n + min(0, b))) for n, (a, b) in zip(x.shape, pairs)]
    y = np.full([n + a + b for n, (a, b) in zip(x.shape, pairs)], value, x.dtype)
    y[tuple(slice(r.start + a, r.start + a + len(r)) for r, (a, b) in zip(kept, pairs))] = x[
        tuple(slice(r.start, r.stop) for r in kept)
    ]
    return y


def triangle_forward(x, diagonal, upper):
    return np.triu(x, diagonal) if upper else np.tril(x, diagonal)
