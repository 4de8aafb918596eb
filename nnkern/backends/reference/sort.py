"""Sorting in NumPy. NaN is the largest; equal elements keep their order."""

import numpy as np


def _rank(x, descending):
    """Whole numbers in the order of x, equal where x is."""
    keys = np.unique(x, return_inverse=True, equal_nan=True)[1].reshape(x.shape)
    return -keys if descending else keys


def sort_forward(x, axis, descending):
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    index = np.argsort(_rank(x, descending), axis, kind="stable").astype(np.int64)
    return np.take_along_axis(x, index, axis), index


def topk_forward(x, k, axis, largest):
    values, index = sort_forward(x, axis, largest)
    if x.ndim == 0:
        return values, index
    return np.take(values, np.arange(k), axis), np.take(index, np.arange(k), axis)
