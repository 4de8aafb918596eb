"""Elementwise kernels in NumPy."""

import numpy as np


def neg_forward(x, out=None):
    return np.negative(x, out=out)
