"""Norms in NumPy."""

import numpy as np


def _along(v, x):
    """v, one number per channel, beside x (N, C, ...)."""
    return v.reshape(1, -1, *(1,) * (x.ndim - 2))


def _blend(running, momentum, value):
    running[...] = (1 - momentum) * running + momentum * value


def _affine(y, w, b):
    y = y if w is None else y * _along(w, y)
    return y if b is None else y + _along(b, y)


def batch_norm_forward(x, w, b, running_mean, running_var, residual, training, momentum, eps, relu):
    axes, count = (0, *range(2, x.ndim)), x.size // max(1, x.shape[1])
    if training and count == 1:
        raise ValueError("batch_norm: training needs more than one value per channel")
    if count == 0:
        return x.copy(), np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    if training:
        mean, var = x.mean(axes), x.var(axes)
        if running_mean is not None:
            _blend(running_mean, momentum, mean)
        if running_var is not None:
            _blend(running_var, momentum, var * (count / (count - 1)))
    else:
        mean = np.zeros(x.shape[1], x.dtype) if running_mean is None else running_mean.copy()
        var = np.ones(x.shape[1], x.dtype) if running_var is None else running_var.copy()
    y = _affine((x - _along(mean, x)) / np.sqrt(_along(var, x) + x.dtype.type(eps)), w, b)
    y = y if residual is None else y + residual
    return np.maximum(y, 0) if relu else y, mean, var


def batch_norm_backward(gy, x, w, mean, var, y, training, eps, residual):
    axes, count = (0, *range(2, x.ndim)), x.size // max(1, x.shape[1])
    gz = gy if y is None else np.where(y <= 0, 0, gy).astype(x.dtype)
    rstd = 1 / np.sqrt(_along(var, x) + x.dtype.type(eps))
    hat = (x - _along(mean, x)) * rstd
    gb, gw = gz.sum(axes), (gz * hat).sum(axes)
    gx = gz - (_along(gb, x) + hat * _along(gw, x)) / x.dtype.type(count) if training and count else gz
    gx = gx * rstd if w is None else gx * rstd * _along(w, x)
    return gx, gw, gb, gz if residual else np.zeros(0, x.dtype)


def _grouped(x, groups):
    return x.reshape(x.shape[0], groups, -1)


def group_norm_forward(x, w, b, groups, eps):
    if x.size == 0:
        return x.copy(), *np.zeros((2, x.shape[0], groups), x.dtype)
    z = _grouped(x, groups)
    mean, var = z.mean(2), z.var(2)
    y = (z - mean[..., None]) / np.sqrt(var[..., None] + x.dtype.type(eps))
    return _affine(y.reshape(x.shape), w, b), mean, var


def group_norm_backward(gy, x, w, mean, var, groups, eps):
    if x.size == 0:
        return x.copy(), *np.zeros((2, x.shape[1]), x.dtype)
    axes, rstd = (0, *range(2, x.ndim)), 1 / np.sqrt(var[..., None] + x.dtype.type(eps))
    hat = (_grouped(x, groups) - mean[..., None]) * rstd
    gb, gw = gy.sum(axes), (gy * hat.reshape(x.shape)).sum(axes)
    g = _grouped(_affine(gy, w, None), groups)
    gx = rstd * (g - g.mean(2, keepdims=True) - hat * (g * hat).mean(2, keepdims=True))
    return gx.reshape(x.shape), gw, gb


def _window(v, low, high):
    """The sum over the channels c - low to c + high of v."""
    padded = np.pad(v, [(0, 0), (low, high), *[(0, 0)] * (v.ndim - 2)])
    return sum(padded[:, i : i + v.shape[1]] for i in range(low + high + 1))


def _scale(x, size, alpha, k):
    return x.dtype.type(k) + x.dtype.type(alpha / size) * _window(x * x, size // 2, (size - 1) // 2)


def local_response_norm_forward(x, size, alpha, beta, k):
    return x * _scale(x, size, alpha, k) ** x.dtype.type(-beta)


def local_response_norm_backward(gy, x, size, alpha, beta, k):
    s = _scale(x, size, alpha, k)
    g = gy * s ** x.dtype.type(-beta)
    return g - x.dtype.type(2 * alpha * beta / size) * x * _window(g * x / s, (size - 1) // 2, size // 2)
