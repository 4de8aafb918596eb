"""Cross-entropy in NumPy: loss = -sum_c q_c w_c log p_c with the target as smoothed probabilities q."""

import numpy as np

from .softmax import softmax_forward


def coefficients(x, target, weight, ignore_index, label_smoothing):
    """(q w, rows that count): what log p is multiplied by, in x's shape, and what a mean divides by."""
    axis = 0 if x.ndim == 1 else 1
    n = x.shape[axis]
    w = np.ones(n, x.dtype) if weight is None else weight
    w = w.reshape([n if i == axis else 1 for i in range(x.ndim)])
    even = label_smoothing / n
    if target.dtype.kind == "f":
        return ((1 - label_smoothing) * target + even) * w, x.dtype.type(x.size // n)
    kept = np.expand_dims(target != ignore_index, axis)
    classes = np.expand_dims(np.where(target == ignore_index, 0, target), axis)
    if ((classes < 0) | (classes >= n)).any():
        raise IndexError(f"cross_entropy: a target is outside of classes 0 to {n - 1}")
    one_hot = np.arange(n).reshape(w.shape) == classes
    counted = np.sum(one_hot * w * kept)
    return ((1 - label_smoothing) * one_hot + even) * w * kept, x.dtype.type(counted)


def nll_loss_forward(x, target, weight, ignore_index, reduction):
    qw, counted = coefficients(x, target, weight, ignore_index, 0)
    loss = -np.sum(np.where(qw == 0, 0, qw * x), 0 if x.ndim == 1 else 1)
    if reduction == 0:
        return np.asarray(loss, x.dtype)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sum(loss) / (counted if reduction == 1 else 1)).astype(x.dtype)


def nll_loss_backward(gy, x, target, weight, ignore_index, reduction):
    qw, counted = coefficients(x, target, weight, ignore_index, 0)
    g = (
        np.expand_dims(gy, 0 if x.ndim == 1 else 1)
        if reduction == 0
        else gy / (counted if reduction == 1 else 1)
    )
    return np.asarray(np.where(qw == 0, 0, -g * qw), x.dtype)


def cross_entropy_forward(x, target, weight, ignore_index, reduction, label_smoothing):
    axis = 0 if x.ndim == 1 else 1
    qw, counted = coefficients(x, target, weight, ignore_index, label_smoothing)
    loss = -np.sum(qw * softmax_forward(x, axis, True), axis).astype(x.dtype)
    top = np.max(x, axis)
    log_sum = np.log(np.sum(np.exp(x - np.expand_dims(top, axis)), axis))
    statistics = np.stack([np.ravel(top), np.ravel(log_sum)])
    if reduction == 0:
        return np.asarray(loss), statistics
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sum(loss) / (counted if reduction == 1 else 1)).astype(x.dtype), statistics


def cross_entropy_backward(gy, x, target, weight, statistics, ignore_index, reduction, label_smoothing):
    axis = 0 if x.ndim == 1 else 1
    qw, counted = coefficients(x, target, weight, ignore_index, label_smoothing)
    g = np.expand_dims(gy, axis) if reduction == 0 else gy / (counted if reduction == 1 else 1)
    return (g * (softmax_forward(x, axis, False) * np.sum(qw, axis, keepdims=True) - qw)).astype(x.dtype)
