"""Division with a remainder in NumPy."""

import numpy as np

from .arithmetic import alike, into


def _division(function):
    """The kernel of z = function(x, y); whole numbers are not divided by 0."""

    def kernel(x, y, out=None):
        x, y = alike(x, y)
        if x.dtype.kind == "b":
            raise TypeError("numbers are needed, not bool")
        if x.dtype.kind != "f" and np.any(np.broadcast_arrays(x, y)[1] == 0):
            raise ValueError("whole numbers can't be divided by 0")
        return into(np.asarray(function(x, y)), out)

    return kernel


def _remainder(x, y):
    with np.errstate(all="ignore"):
        left = np.fmod(x, y)  # np.remainder's zeros have the sign of y, PyTorch's that of x
        return np.where((left != 0) & ((left < 0) != (y < 0)), left + y, left)


def _floor_divide(x, y):
    with np.errstate(all="ignore"):
        return np.floor_divide(x, y)


def _fmod(x, y):
    with np.errstate(all="ignore"):
        return np.fmod(x, y)


remainder_forward = _division(_remainder)
fmod_forward = _division(_fmod)
floor_divide_forward = _division(_floor_divide)

__all__ = ["floor_divide_forward", "fmod_forward", "remainder_forward"]
