"""Errors of the elementary functions in units in the last place, against 40-digit arithmetic."""

import mpmath
import numpy as np
from support import rng

from nnkern import _cpu

POSITIVE = {"log", "log2", "log10", "log1p", "sqrt", "rsqrt"}  # functions whose arguments are

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


NUMBERS = {"softplus": (1.0, np.inf), "elu": (1.0, 1.0, 1.0)}  # of those that take some


def _worst(results, true_values, dtype):
    """The largest error among the true values that are normal numbers of dtype."""
    info, worst = np.finfo(dtype), 0.0
    for y, true in zip(results, true_values):
        if 100 * float(info.tiny) < abs(true) < float(info.max):
            error = abs(true - mpmath.mpf(float(y))) / float(np.spacing(dtype(abs(float(true)))))
            worst = max(worst, float(error))
    return worst


def worst_ulp(name, dtype, count=1500):
    """The largest error over the function's interesting range, in units in the last place of the true value."""
    g = rng(7)
    if name in POSITIVE:
        x = np.concatenate([np.exp(g.uniform(-60, 60, count)), g.uniform(0.5, 2, count)])
    else:
        x = np.concatenate([g.uniform(-30, 30, count), g.uniform(-1, 1, count), g.uniform(-80, 80, count)])
    x = x.astype(dtype)
    with mpmath.workdps(40):
        exact = (EXACT[name](mpmath.mpf(float(a))) for a in x)
        return _worst(getattr(_cpu, f"{name}_forward")(x, *NUMBERS.get(name, ())), exact, dtype)


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
