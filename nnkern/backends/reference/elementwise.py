"""Elementwise kernels in NumPy."""

import math

import numpy as np

__all__: list[str] = []


def _unary(function):
    def kernel(x, out=None):
        return _into(function(x).astype(x.dtype, copy=False), out)

    return kernel


def _binary(function):
    def kernel(x, y, out=None):
        return _into(function(*_alike(x, y)), out)

    return kernel


def _into(y, out):
    if out is None:
        return y
    out[...] = y
    return out


def _alike(x, y):
    """Numbers take the dtype of the array beside them, unless that would round them."""
    if isinstance(x, np.ndarray) and not isinstance(y, np.ndarray):
        return x, np.asarray(y, x.dtype if x.dtype.kind == "f" or y == int(y) else None)
    if isinstance(y, np.ndarray) and not isinstance(x, np.ndarray):
        return np.asarray(x, y.dtype if y.dtype.kind == "f" or x == int(x) else None), y
    return (np.asarray(x, np.float32), np.asarray(y, np.float32)) if not isinstance(x, np.ndarray) else (x, y)


def _erf(x):
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def _cdf(x):
    return 0.5 * np.vectorize(math.erfc, otypes=[np.float64])(-x.astype(np.float64) / math.sqrt(2))


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
    "neg": np.negative, "abs": np.abs, "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log10": np.log10, "log1p": np.log1p, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "square": np.square,
    "reciprocal": lambda x: 1 / x, "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "sigmoid": _sigmoid, "erf": _erf, "floor": np.floor, "ceil": np.ceil, "round": np.round,
    "trunc": np.trunc, "relu": lambda x: np.maximum(x, 0), "gelu": lambda x: x * _cdf(x),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(_gelu_inner(x))), "silu": lambda x: x * _sigmoid(x),
    "softplus": lambda x: np.logaddexp(0, x), "sign": lambda x: (x > 0) * 1.0 - (x < 0) * 1.0,
}  # fmt: skip

BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide, "maximum": np.maximum,
    "minimum": np.minimum, "pow": np.power, "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal,
    "relu_grad": lambda x, y: np.where(y > 0, x, x.dtype.type(0)), "tanh_grad": lambda x, y: x * (1 - y * y),
    "sigmoid_grad": lambda x, y: x * y * (1 - y), "gelu_grad": lambda x, y: (x * _gelu_slope(y)).astype(x.dtype),
    "gelu_tanh_grad": lambda x, y: x * _gelu_tanh_slope(y),
    "silu_grad": lambda x, y: x * _sigmoid(y) * (1 + y * (1 - _sigmoid(y))),
}  # fmt: skip

globals().update({f"{name}_forward": _unary(f) for name, f in UNARY.items()})
globals().update({f"{name}_forward": _binary(f) for name, f in BINARY.items()})
__all__ += [f"{name}_forward" for name in (*UNARY, *BINARY)]


def isnan_forward(x):
    return np.isnan(x)


def isinf_forward(x):
    return np.isinf(x)


def isfinite_forward(x):
    return np.isfinite(x)


def logical_and_forward(x, y):
    return np.logical_and(x, y)


def logical_or_forward(x, y):
    return np.logical_or(x, y)


def logical_xor_forward(x, y):
    return np.logical_xor(x, y)


def logical_not_forward(x):
    return np.logical_not(x)


def where_forward(c, x, y):
    x, y = _alike(x, y)
    return np.where(c, x, y)


def clamp_forward(x, low, high, out=None):
    return _into(np.clip(x, x.dtype.type(low), x.dtype.type(high)), out)


__all__ += [
    "clamp_forward",
    "isfinite_forward",
    "isinf_forward",
    "isnan_forward",
    "logical_and_forward",
    "logical_not_forward",
    "logical_or_forward",
    "logical_xor_forward",
    "where_forward",
]  # fmt: skip
