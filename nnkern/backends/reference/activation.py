"""Activations and their gradients in NumPy."""

import math

import numpy as np

from .arithmetic import binary, into, unary


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


UNARY: dict = {
    "tanh": np.tanh, "sigmoid": _sigmoid, "relu": lambda x: np.maximum(x, 0), "gelu": _gelu,
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(_gelu_inner(x))), "silu": lambda x: x * _sigmoid(x),
}  # fmt: skip

# The gradient first, then what the forward saved: x (gelu, silu), y (tanh, sigmoid) or either (relu).
GRADIENTS: dict = {
    "relu_grad": lambda g, y: np.where(y <= 0, g.dtype.type(0), g), "tanh_grad": lambda g, y: g * (1 - y * y),
    "sigmoid_grad": lambda g, y: g * y * (1 - y), "gelu_grad": lambda g, x: (g * _gelu_slope(x)).astype(g.dtype),
    "gelu_tanh_grad": lambda g, x: g * _gelu_tanh_slope(x),
    "silu_grad": lambda g, x: g * _sigmoid(x) * (1 + x * (1 - _sigmoid(x))),
}  # fmt: skip

prelu_forward = binary(lambda x, w: np.where(x > 0, x, x * w))


def prelu_backward(gy, x, w):
    """w holds one number, or one per channel."""
    one = w.size == 1
    weight = w.reshape(()) if one else w.reshape(-1, *[1] * (x.ndim - 2))
    axes = None if one else tuple(i for i in range(x.ndim) if i != 1)
    gw = np.where(x > 0, 0, gy * x).sum(axes)
    return np.where(x > 0, gy, weight * gy), gw.reshape(w.shape).astype(w.dtype)


def leaky_relu_forward(x, slope, out=None):
    return into(np.where(x > 0, x, slope * x), out)


def leaky_relu_backward(gy, x, slope):
    return np.where(x > 0, gy, slope * gy)


def elu_forward(x, alpha, scale, rate, out=None):
    """elu, and with other numbers selu and celu."""
    return into(np.where(x > 0, scale * x, alpha * np.expm1(np.minimum(rate * x, 0))), out)


def elu_backward(gy, x, alpha, scale, rate):
    return np.where(x > 0, scale * gy, gy * (alpha * rate) * np.exp(np.minimum(rate * x, 0)))


def softplus_forward(x, beta, threshold, out=None):
    return into(np.where(beta * x > threshold, x, np.logaddexp(0, beta * x) / beta), out)


def softplus_backward(gy, x, beta, threshold):
    return np.where(beta * x > threshold, gy, gy * _sigmoid(beta * x))


def softsign_forward(x, out=None):
    return into(x / (1 + np.abs(x)), out)


def softsign_backward(gy, x):
    return gy / (1 + np.abs(x)) ** 2


def hardtanh_forward(x, low, high, out=None):
    return into(np.clip(x, low, high), out)


def hardtanh_backward(gy, x, low, high):
    return np.where((x > low) & (x < high), gy, gy.dtype.type(0))


def hardsigmoid_forward(x, out=None):
    return into(np.clip(x + 3, 0, 6) / 6, out)


def hardsigmoid_backward(gy, x):
    return np.where(np.abs(x) < 3, gy / 6, gy.dtype.type(0))


def hardswish_forward(x, out=None):
    return into(x * np.clip(x + 3, 0, 6) / 6, out)


def hardswish_backward(gy, x):
    return np.where(x <= -3, gy.dtype.type(0), np.where(x >= 3, gy, gy * (x / 3 + 0.5)))


def mish_forward(x, out=None):
    return into(x * np.tanh(np.logaddexp(0, x)), out)


def mish_backward(gy, x):
    t = np.tanh(np.logaddexp(0, x))
    return gy * (t + x * (1 - t * t) * _sigmoid(x))


def logsigmoid_forward(x, out=None):
    return into(-np.logaddexp(0, -x), out)


def logsigmoid_backward(gy, x):
    return gy * _sigmoid(-x)


def tanhshrink_forward(x, out=None):
    wide = x.astype(np.longdouble)  # near 0 the difference has few digits left
    return into((wide - np.tanh(wide)).astype(x.dtype), out)


def tanhshrink_backward(gy, x):
    return gy * np.tanh(x) ** 2


def softshrink_forward(x, lambd, out=None):
    return into(np.where(np.abs(x) <= lambd, x.dtype.type(0), x - np.copysign(x.dtype.type(lambd), x)), out)


def softshrink_backward(gy, x, lambd):
    return np.where(np.abs(x) > lambd, gy, gy.dtype.type(0))


def hardshrink_forward(x, lambd, out=None):
    return into(np.where(np.abs(x) <= lambd, x.dtype.type(0), x), out)


def hardshrink_backward(gy, x, lambd):
    return np.where(np.abs(x) > lambd, gy, gy.dtype.type(0))


def threshold_forward(x, level, value, out=None):
    return into(np.where(x <= level, x.dtype.type(value), x), out)


def threshold_backward(gy, x, level, value):
    return np.where(x <= level, gy.dtype.type(0), gy)


globals().update({f"{name}_forward": unary(f, name == "relu") for name, f in UNARY.items()})
globals().update({f"{name}_forward": binary(f) for name, f in GRADIENTS.items()})
__all__ = [n for n in globals() if n.endswith(("_forward", "_backward"))]
