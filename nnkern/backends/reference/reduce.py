"""Reductions over any axes in NumPy. axes: an int or a sequence of them; () is all. Integer sums and products are int64."""

import numpy as np


def _axes(axes):
    return None if np.size(axes) == 0 else tuple(np.atleast_1d(axes).tolist())


def _wide(x):
    return x if x.dtype.kind == "f" else x.astype(np.int64)


def sum_forward(x, axes, keepdims):
    return np.asarray(np.sum(_wide(x), _axes(axes), keepdims=keepdims))


def prod_forward(x, axes, keepdims):
    return np.asarray(np.prod(_wide(x), _axes(axes), keepdims=keepdims))


def mean_forward(x, axes, keepdims):
    total = sum_forward(x, axes, keepdims)
    with np.errstate(all="ignore"):
        return np.asarray(total / total.dtype.type(x.size // max(1, total.size)))


def amax_forward(x, axes, keepdims):
    return np.asarray(np.max(x, _axes(axes), keepdims=keepdims))


def amin_forward(x, axes, keepdims):
    return np.asarray(np.min(x, _axes(axes), keepdims=keepdims))


def any_forward(x, axes, keepdims):
    return np.asarray(np.any(x, _axes(axes), keepdims=keepdims))


def all_forward(x, axes, keepdims):
    return np.asarray(np.all(x, _axes(axes), keepdims=keepdims))


def argmax_forward(x, axes, keepdims):
    """(values, indices) along one axis, or in the flattened array; the first of equals, and the first NaN above all."""
    axis = None if np.size(axes) == 0 else int(np.ravel(axes)[0])
    return amax_forward(x, axes, keepdims), np.asarray(np.argmax(x, axis, keepdims=keepdims))


def argmin_forward(x, axes, keepdims):
    axis = None if np.size(axes) == 0 else int(np.ravel(axes)[0])
    return amin_forward(x, axes, keepdims), np.asarray(np.argmin(x, axis, keepdims=keepdims))


def norm_forward(x, axes, keepdims):
    return np.asarray(np.sqrt(np.sum(x * x, _axes(axes), keepdims=keepdims)))


def var_mean_forward(x, axes, correction, keepdims):
    mean = mean_forward(x, axes, True)
    squares = sum_forward((x - mean) ** 2, axes, keepdims)
    with np.errstate(all="ignore"):
        var = np.asarray(squares / x.dtype.type(max(0, x.size // max(1, squares.size) - correction)))
    return var, mean.reshape(var.shape)
