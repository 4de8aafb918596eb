"""Distances between all pairs of rows, and products, distances and cosines row by row, in NumPy."""

import numpy as np


def _same(op, x, y):
    if x.ndim == 0 or x.shape != y.shape:
        raise ValueError(f"{op}: x and y must have one shape, (..., width)")


def row_dots_forward(x, y):
    _same("row_dots", x, y)
    return (x * y).sum(-1)


def pairwise_distance_forward(x, y, eps):
    _same("pairwise_distance", x, y)
    return np.sqrt(np.square(x - y + x.dtype.type(eps)).sum(-1))


def cosine_similarity_forward(x, y, eps):
    _same("cosine_similarity", x, y)
    lengths = [np.maximum(np.sqrt(np.square(a).sum(-1)), x.dtype.type(eps)) for a in (x, y)]
    return (x * y).sum(-1) / (lengths[0] * lengths[1])


def normalize_forward(x, eps):
    if x.ndim == 0:
        raise ValueError("normalize: input must have an axis")
    return x / np.maximum(np.sqrt(np.square(x).sum(-1, keepdims=True)), x.dtype.type(eps))


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
