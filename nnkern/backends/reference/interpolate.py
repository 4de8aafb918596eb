"""Resampling in NumPy: one axis after the other, each by a table of places and weights."""

import numpy as np


def interpolate_forward(x, tables):
    """tables: for each spatial axis first, index, weight; see ops/_tables.py."""
    for axis in range(2, x.ndim):
        first, index, weight = tables[3 * axis - 6 : 3 * axis - 3]
        shape = [1] * x.ndim
        shape[axis] = -1
        terms = np.take(x, index, axis) * weight.reshape(shape)
        rows = np.repeat(np.arange(len(first) - 1), np.diff(first))
        y = np.zeros([len(first) - 1 if d == axis else n for d, n in enumerate(x.shape)], x.dtype)
        np.add.at(np.moveaxis(y, axis, 0), rows, np.moveaxis(terms, axis, 0))
        x = y
    return x


def interpolate_u8_forward(x, tables, bits):
    """The same for uint8, the last axis first: whole weights, sums over 2^bits, each axis' result rounded to uint8."""
    for axis in (3, 2):
        first, index, weight = tables[3 * axis - 6 : 3 * axis - 3]
        shape = [1] * x.ndim
        shape[axis] = -1
        terms = np.take(x, index, axis) * weight.astype(np.int64).reshape(shape)
        half = 1 << bits[axis - 2] >> 1
        sums = np.full([len(first) - 1 if d == axis else n for d, n in enumerate(x.shape)], half, np.int64)
        rows = np.repeat(np.arange(len(first) - 1), np.diff(first))
        np.add.at(np.moveaxis(sums, axis, 0), rows, np.moveaxis(terms, axis, 0))
        x = np.clip(sums >> bits[axis - 2], 0, 255).astype(np.uint8)
    return x
