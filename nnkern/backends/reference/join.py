"""Joining arrays, in NumPy."""

import numpy as np


def cat_forward(xs, axis):
    return np.concatenate(xs, axis)
