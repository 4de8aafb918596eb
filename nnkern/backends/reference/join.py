"""Joining arrays, in NumPy."""

import numpy as np


def cat_forward(xs, axis):
    return np.concatenate([x for x in xs if x.shape != (0,)] or xs, axis)
