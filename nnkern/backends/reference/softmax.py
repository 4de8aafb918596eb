"""Softmax and its logarithm in NumPy."""

import numpy as np


def softmax_forward(x, axis, log):
    with np.errstate(invalid="ignore"):  # a row of -Inf has no softmax: NaN
        z = x - np.max(x, axis, keepdims=True, initial=-np.inf)
        s = np.sum(np.exp(z), axis, keepdims=True)
    return np.asarray(z - np.log(s) if log else np.exp(z) / s)


def softmax_backward(gy, y, axis, log):
    if log:
        return np.asarray(gy - np.exp(y) * np.sum(gy, axis, keepdims=True))
    return np.asarray(y * (gy - np.sum(gy * y, axis, keepdims=True)))
