"""Activations and their gradients in NumPy."""

import math

import numpy as np

from .arithmetic import binary, unary


def _cdf(x):
    return 0.5 * np.vectorize(math.erfc, otypes=[np.float64])(-x.astype(np.float64) / math.sqrt(2))


def _gelu(x):
    return np.maximum(x, -100) * _cdf(x)  # -Inf * 0 would be NaN


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _gelu_inner(x):
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)


def _gelu_tanh_slope(x):
    t = np.tanh(_gelu_inner(x))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)


def _gelu_slope(x):
    return _cdf(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


UNARY = {
    "tanh": np.tanh, "sigmoid": _sigmoid, "relu": lambda x: np.maximum(x, 0), "gelu": _gelu,
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(_gelu_inner(x))), "silu": lambda x: x * _sigmoid(x),
    "softplus": lambda x: np.logaddexp(0, x),
}  # fmt: skip

# The gradient first, then what the forward saved: x (gelu, silu), y (tanh, sigmoid) or either (relu).
GRADIENTS = {
    "relu_grad": lambda g, y: np.where(y > 0, g, g.dtype.type(0)), "tanh_grad": lambda g, y: g * (1 - y * y),
    "sigmoid_grad": lambda g, y: g * y * (1 - y), "gelu_grad": lambda g, x: (g * _gelu_slope(x)).astype(g.dtype),
    "gelu_tanh_grad": lambda g, x: g * _gelu_tanh_slope(x),
    "silu_grad": lambda g, x: g * _sigmoid(x) * (1 + x * (1 - _sigmoid(x))),
}  # fmt: skip

globals().update({f"{name}_forward": unary(f) for name, f in UNARY.items()})
globals().update({f"{name}_forward": binary(f) for name, f in GRADIENTS.items()})
__all__ = [f"{name}_forward" for name in (*UNARY, *GRADIENTS)]
