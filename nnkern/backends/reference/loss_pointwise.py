"""Losses element by element in NumPy, and their slopes with respect to x."""

import numpy as np


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _bounded_log(x):
    return np.maximum(np.log(x), -100)


def _xlogx(t):
    return np.where(t == 0, 0, t * np.log(np.where(t == 0, 1, t)))


# The order of NN_LOSSES in csrc/simd/elementwise.h: (loss, slope) of prediction x, target t and a number a.
LOSSES = {
    "mse": (lambda x, t, a: (x - t) ** 2, lambda x, t, a: 2 * (x - t)),
    "l1": (lambda x, t, a: np.abs(x - t), lambda x, t, a: np.nan_to_num(np.sign(x - t))),
    "smooth_l1": (
        lambda x, t, a: np.where(np.abs(x - t) < a, (x - t) ** 2 / (2 * a), np.abs(x - t) - a / 2),
        lambda x, t, a: np.clip((x - t) / a, -1, 1),
    ),
    "huber": (
        lambda x, t, a: np.where(np.abs(x - t) <= a, (x - t) ** 2 / 2, a * (np.abs(x - t) - a / 2)),
        lambda x, t, a: np.clip(x - t, -a, a),
    ),
    "binary_cross_entropy": (
        lambda x, t, a: -t * _bounded_log(x) - (1 - t) * np.maximum(np.log1p(-x), -100),
        lambda x, t, a: (x - t) / np.maximum(x * (1 - x), 1e-12),
    ),
    "binary_cross_entropy_with_logits": (
        lambda x, t, a: (1 - t) * x + _softplus(-x),
        lambda x, t, a: _sigmoid(x) - t,
    ),
    "kl_div": (lambda x, t, a: _xlogx(t) - t * x, lambda x, t, a: -t + np.zeros_like(x)),
    "kl_div_log": (lambda x, t, a: np.exp(t) * (t - x), lambda x, t, a: -np.exp(t) + np.zeros_like(x)),
    "poisson_nll": (lambda x, t, a: np.exp(x) - t * x, lambda x, t, a: np.exp(x) - t),
    "soft_margin": (lambda x, t, a: _softplus(-t * x), lambda x, t, a: -t * _sigmoid(-t * x)),
    "hinge_embedding": (
        lambda x, t, a: np.where(t == 1, 0, np.maximum(0, a - x)) + np.where(t == -1, 0, x),
        lambda x, t, a: np.where((t != 1) & (x <= a), -1, 0) + np.where(t == -1, 0, 1),
    ),
}


def pointwise_loss_forward(x, target, weight, kind, reduction, a):
    with np.errstate(all="ignore"):
        name = list(LOSSES)[kind]
        if name == "binary_cross_entropy":
            for label, p in (("x", x), ("target", target)):
                if not np.all((p >= 0) & (p <= 1)):
                    raise ValueError(f"binary_cross_entropy: {label} must lie between 0 and 1")
        loss = LOSSES[name][0](x, target, x.dtype.type(a)) * (1 if weight is None else weight)
        if reduction:
            loss = np.sum(loss) / (x.size if reduction == 1 else 1)
    return np.asarray(loss, x.dtype)


def pointwise_loss_backward(gy, x, target, weight, kind, reduction, a):
    with np.errstate(all="ignore"):
        slope = list(LOSSES.values())[kind][1](x, target, x.dtype.type(a)) * (1 if weight is None else weight)
        return np.asarray(slope * (gy / x.size if reduction == 1 else gy), x.dtype)
