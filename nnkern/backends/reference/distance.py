"""Distances between all pairs of rows in NumPy."""

import numpy as np


def _pairs(x):
    return np.triu_indices(len(x), 1)


def pdist_forward(x, p):
    if p < 0 or x.ndim != 2:
        raise ValueError("pdist: input must be (rows, width), and p not negative")
    i, j = _pairs(x)
    size = np.abs(x[i] - x[j])
    if p == 0:
        return (size != 0).sum(1).astype(x.dtype)
    if np.isinf(p):
        return size.max(1, initial=0)
    return (size ** x.dtype.type(p)).sum(1) ** x.dtype.type(1 / p)


def pdist_backward(gy, x, y, p):
    i, j = _pairs(x)
    d = x[i] - x[j]
    if p == 0:
        return np.zeros_like(x)
    if np.isinf(p):
        slope = np.sign(d) * (np.abs(d) == y[:, None])
    else:
        apart, far = np.where(d == 0, 1, np.abs(d)), np.where(y == 0, 1, y)
        slope = np.sign(d) * apart ** x.dtype.type(p - 1) * far[:, None] ** x.dtype.type(1 - p)
    gx = np.zeros_like(x)
    np.add.at(gx, i, gy[:, None] * slope)
    np.add.at(gx, j, -gy[:, None] * slope)
    return gx
