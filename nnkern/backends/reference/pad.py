"""Surrounding (and cropping) arrays, in NumPy: every axis is a list of places in x."""

import numpy as np


def _places(n, low, high, mode):
    """For each element of the padded axis its place in x; -1: none."""
    i = np.arange(-low, n + high)
    if mode == 0:
        return np.where((i < 0) | (i >= n), -1, i)
    if mode == 1:
        return np.where(i < 0, -i, np.where(i >= n, 2 * (n - 1) - i, i))
    if mode == 2:
        return np.clip(i, 0, n - 1)
    start = max(0, -low)  # what is cropped does not come back at the other end
    return start + (i - start) % (n - start - max(0, -high))


def _pairs(pads, ndim):
    return [(0, 0)] * (ndim - len(pads) // 2) + list(zip(pads[::2], pads[1::2]))[::-1]


def pad_forward(x, pads, mode, value):
    """pads: (before, after) of the last axis, then of the one before it, and so on; negative ones crop."""
    for axis, (low, high) in enumerate(_pairs(pads, x.ndim)):
        if low == high == 0:
            continue
        places = _places(x.shape[axis], low, high, mode)
        found = np.full([len(places) if d == axis else n for d, n in enumerate(x.shape)], value, x.dtype)
        lead = (slice(None),) * axis
        found[(*lead, places >= 0)] = x[(*lead, places[places >= 0])]
        x = found
    return x.copy()


def pad_backward(gy, input_size, pads, mode):
    for axis, (low, high) in enumerate(_pairs(pads, gy.ndim)):
        gx = np.zeros([input_size[axis] if d == axis else n for d, n in enumerate(gy.shape)], gy.dtype)
        np.add.at(gx, (*(slice(None),) * axis, _places(input_size[axis], low, high, mode)), gy)
        gy = gx
    return gy
