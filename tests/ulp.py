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
}  # fmt: skip


def worst_ulp(name, dtype, count=1500):
    """The largest error over the function's interesting range, in units in the last place of the true value."""
    g = rng(7)
    if name in POSITIVE:
        x = np.concatenate([np.exp(g.uniform(-60, 60, count)), g.uniform(0.5, 2, count)])
    else:
        x = np.concatenate([g.uniform(-30, 30, count), g.uniform(-1, 1, count), g.uniform(-80, 80, count)])
    x = x.astype(dtype)
    y = getattr(_cpu, f"{name}_forward")(x)
    worst = 0.0
    with mpmath.workdps(40):
        for a, b in zip(x, y):
            true = EXACT[name](mpmath.mpf(float(a)))
            if abs(true) > 1e-36 and abs(true) < 3e38:  # normal float32 results
                worst = max(
                    worst,
                    float(abs(true - mpmath.mpf(float(b))) / float(np.spacing(dtype(abs(float(true)))))),
                )
    return worst
