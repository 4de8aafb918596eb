"""Errors of the elementary functions in units in the last place.

A few thousand arguments against 40-digit arithmetic, and many more, densest where kernels were wrong once, against
NumPy's functions of the next wider type: cheap, and wide enough (29 and 11 bits more than what is measured).
"""

import functools
import math

import mpmath
import numpy as np
from support import rng

from nnkern import _cpu

POSITIVE = {"log", "log2", "log10", "log1p", "sqrt", "rsqrt"}  # functions whose arguments are
PERIODIC = {"sin", "cos", "tan"}

EXACT = {
    "exp": mpmath.exp, "exp2": lambda x: mpmath.mpf(2) ** x, "expm1": mpmath.expm1, "log": mpmath.log,
    "log2": lambda x: mpmath.log(x, 2), "log10": mpmath.log10, "log1p": mpmath.log1p, "sin": mpmath.sin, "cos": mpmath.cos,
    "tan": mpmath.tan, "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh, "erf": mpmath.erf,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "sqrt": mpmath.sqrt, "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "silu": lambda x: x / (1 + mpmath.exp(-x)), "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "logsigmoid": lambda x: -mpmath.log1p(mpmath.exp(-x)), "mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
    "elu": lambda x: x if x > 0 else mpmath.expm1(x), "softsign": lambda x: x / (1 + abs(x)),
    "tanhshrink": lambda x: x - mpmath.tanh(x), "gelu": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
}  # fmt: skip


def _mish(x):
    n = np.exp(np.minimum(x, 40)) * (np.exp(np.minimum(x, 40)) + 2)
    return x * (n / (n + 2))


# The same on arrays, but for what NumPy lacks (erf) or loses digits at (tanhshrink).
DENSE = {
    **{name: getattr(np, name) for name in EXACT if hasattr(np, name)},
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(x.dtype.type(0), x),
    "logsigmoid": lambda x: -np.logaddexp(x.dtype.type(0), -x),
    "mish": _mish,
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "softsign": lambda x: x / (1 + abs(x)),
}
_erf, _erfc = np.vectorize(math.erf, otypes=[float]), np.vectorize(math.erfc, otypes=[float])
DENSE_FLOAT32 = {"erf": _erf, "gelu": lambda x: x * _erfc(x * -math.sqrt(0.5)) / 2}

NUMBERS = {"softplus": (1.0, np.inf), "elu": (1.0, 1.0, 1.0)}  # of those that take some
# Where errors were largest, in this version or before.
HARD = {
    "gelu": (-1.4357356331081188, -1.8339937357339009, -2.19266462),
    "tanh": (0.20998395224010044, 0.2112550532432973),
    "mish": (-7.5850108898003654, -12.209174039034298, -15.9405661, -0.0130143212),
    "sigmoid": (-16.635704, -36.761751980948709),
    "silu": (-16.6778278,),
}


def _wider(dtype):
    """A type that holds dtype's true values, or None: long double is no more than double on some platforms."""
    if dtype == np.float32:
        return np.float64
    return np.longdouble if np.finfo(np.longdouble).nmant > 60 else None


def _worst(results, true_values, dtype):
    """The largest error among the true values that are normal numbers of dtype."""
    info, worst = np.finfo(dtype), 0.0
    for y, true in zip(results, true_values):
        if 100 * float(info.tiny) < abs(true) < float(info.max):
            error = abs(true - mpmath.mpf(float(y))) / float(np.spacing(dtype(abs(float(true)))))
            worst = max(worst, float(error))
    return worst


def _worst_dense(y, true, dtype):
    info = np.finfo(dtype)
    normal = (abs(true) > 100 * true.dtype.type(info.tiny)) & (abs(true) < true.dtype.type(info.max))
    true, y = true[normal], y[normal]
    return float(np.max(abs(true - y) / np.spacing(abs(true).astype(dtype)), initial=0))


def _kernel(name, x):
    return getattr(_cpu, f"{name}_forward")(x, *NUMBERS.get(name, ()))


@functools.cache
def _dense(name, dtype, count=60_000):
    """Many arguments and their true values, or None."""
    wide = _wider(dtype)
    f = DENSE.get(name) or (DENSE_FLOAT32.get(name) if dtype == np.float32 else None)
    if wide is None or f is None:
        return None
    g = rng(9)
    if name in POSITIVE:
        x = [np.exp(g.uniform(-60, 60, count)), g.uniform(0.5, 2, count), 1 + g.uniform(-1, 1, count) / 64]
    else:
        x = [g.uniform(-top, top, count) for top in (80, 20, 5, 1)] + [g.uniform(0.19, 0.22, count)]
        x += [np.exp(g.uniform(-12, 0, count)) * g.choice([-1, 1], count)]
    if name in PERIODIC:  # the numbers closest to multiples of pi / 2, within the reduction's reach
        k = np.arange(1, 19_000) if dtype == np.float32 else g.integers(1, 630_000, count)
        x.append(k * (wide(np.pi / 2) + wide(6.123233995736766e-17)))
    x = np.concatenate([a.astype(dtype) for a in x])
    with np.errstate(all="ignore"):
        return x, f(x.astype(wide))


@functools.cache
def _exact(name, dtype, count=300):
    """Some arguments and their true values."""
    g = rng(7)
    if name in POSITIVE:
        x = np.concatenate([np.exp(g.uniform(-60, 60, count)), g.uniform(0.5, 2, count)])
    else:
        x = np.concatenate([*(g.uniform(-top, top, count) for top in (30, 1, 80)), HARD.get(name, ())])
    x = x.astype(dtype)
    with mpmath.workdps(40):
        return x, [EXACT[name](mpmath.mpf(float(a))) for a in x]


def worst_ulp(name, dtype):
    """The largest error over the function's interesting range, in units in the last place of the true value."""
    x, true = _exact(name, dtype)
    worst = _worst(_kernel(name, x), true, dtype)
    if found := _dense(name, dtype):
        x, true = found
        worst = max(worst, _worst_dense(_kernel(name, x), true, dtype))
    return worst


def worst_pow_ulp(dtype, count=1500):
    """The same for x^y: bases of all sizes and close to 1, exponents that fill the range of results."""
    g, top = rng(8), np.log2(np.finfo(dtype).max) - 1
    near = 1 + g.choice([-1, 1], count) * 10 ** g.uniform(-6, -1, count)
    x = np.concatenate([np.exp(g.uniform(-60, 60, count)), np.exp(g.uniform(-0.7, 0.7, count)), near]).astype(
        dtype
    )
    y = (g.uniform(-top, top, x.size) / np.log2(x.astype(np.float64))).astype(dtype)
    with mpmath.workdps(40):
        exact = (mpmath.power(mpmath.mpf(float(a)), mpmath.mpf(float(b))) for a, b in zip(x, y))
        return _worst(_cpu.pow_forward(x, y), exact, dtype)
