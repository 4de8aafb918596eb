"""Gated activations in NumPy: x is cut in two halves along the axis, and one is the gate of the other."""

import numpy as np

from .activation import GRADIENTS, UNARY


def glu_forward(x, axis):
    a, b = np.split(x, 2, axis)
    return a * UNARY["sigmoid"](b)


def glu_backward(gy, x, axis):
    a, b = np.split(x, 2, axis)
    s = UNARY["sigmoid"](b)
    return np.concatenate([gy * s, gy * a * s * (1 - s)], axis)


def _gated(name, x, axis):
    a, b = np.split(x, 2, axis)
    return (UNARY[name](a) * b).astype(x.dtype)


def _gated_grad(name, gy, x, axis):
    a, b = np.split(x, 2, axis)
    return np.concatenate([GRADIENTS[f"{name}_grad"](gy * b, a), gy * UNARY[name](a)], axis).astype(x.dtype)


def swiglu_forward(x, axis):
    return _gated("silu", x, axis)


def swiglu_backward(gy, x, axis):
    return _gated_grad("silu", gy, x, axis)


def geglu_forward(x, axis):
    return _gated("gelu", x, axis)


def geglu_backward(gy, x, axis):
    return _gated_grad("gelu", gy, x, axis)


def geglu_tanh_forward(x, axis):
    return _gated("gelu_tanh", x, axis)


def geglu_tanh_backward(gy, x, axis):
    return _gated_grad("gelu_tanh", gy, x, axis)


def _pieces(x, pieces, axis):
    """x with an axis of the pieces behind `axis`."""
    return x.reshape(*x.shape[:axis], x.shape[axis] // pieces, pieces, *x.shape[axis + 1 :])


def maxout_forward(x, pieces, axis):
    axis %= x.ndim
    return _pieces(x, pieces, axis).max(axis + 1)


def maxout_backward(gy, x, pieces, axis):
    """The gradient goes to the first of equals."""
    axis %= x.ndim
    parts = _pieces(x, pieces, axis)
    gx = np.zeros_like(parts)
    np.put_along_axis(
        gx, np.expand_dims(parts.argmax(axis + 1), axis + 1), np.expand_dims(gy, axis + 1), axis + 1
    )
    return gx.reshape(x.shape)


__all__ = [n for n in globals() if n.endswith(("_forward", "_backward"))]
