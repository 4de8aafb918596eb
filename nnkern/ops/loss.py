"""Losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.reference.loss import coefficients
from ..function import Function
from ..tensor import Tensor
from ._loss_common import any_kind, reduction_code
from ._loss_margin import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from .arithmetic import add, mul, sub
from .index import gather
from .reduce import sum
from .shape import reshape, unsqueeze
from .softmax import log_softmax, softmax

__all__ = [
    "cosine_embedding_loss", "cross_entropy", "hinge_embedding_loss", "margin_ranking_loss",
    "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss",
    "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


class CrossEntropy(Function):
    def __init__(self, ignore_index: int, reduction: int, label_smoothing: float) -> None:
        self.options = (ignore_index, reduction, label_smoothing)

    def forward(self, x: Any, target: Any, weight: Any) -> Any:
        loss, statistics = self.kernels.cross_entropy_forward(x, target, weight, *self.options)
        self.saved = (x, target, weight, statistics)
        return loss

    def backward(self, gy: Any) -> Any:
        x, target, weight, statistics = self.saved
        if not isinstance(gy, Tensor) and not self.needs_input_grad[1]:
            gx = self.kernels.cross_entropy_backward(gy, x, target, weight, statistics, *self.options)
            return gx, None, None
        # With a second derivative, or for the target: -sum(q w log p) by plain ops.
        ignore_index, reduction, smoothing = self.options
        dim = 0 if x.ndim == 1 else 1
        raw = [a.data if isinstance(a, Tensor) else a for a in (x, target, weight)]
        qw, counted = coefficients(*raw, ignore_index, smoothing)  # type: ignore[call-arg,no-untyped-call]
        qw = qw.astype(x.dtype)
        g = unsqueeze(gy, dim) if reduction == 0 else mul(gy, 1 / float(counted) if reduction == 1 else 1.0)
        if not self.needs_input_grad[1]:
            return mul(g, sub(mul(softmax(x, dim), qw.sum(dim, keepdims=True)), qw)), None, None
        w = np.ones(x.shape[dim], x.dtype) if weight is None else raw[2]
        w = w.reshape([-1 if i == dim else 1 for i in range(x.ndim)])
        qw = mul(add(mul(target, 1 - smoothing), smoothing / x.shape[dim]), w)
        gx = mul(g, sub(mul(softmax(x, dim), sum(qw, dim, True)), qw))
        return gx, mul(mul(g, log_softmax(x, dim)), w * (smoothing - 1)), None


def cross_entropy(
    x: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-log softmax(x)[target]: the loss of a classifier, from logits.

    x: (C,), (N, C) or (N, C, d1...). target: class numbers (int64 or int32) of x's shape without C, or probabilities
    of x's shape and dtype. weight: (C,) one factor for each class. Rows whose target is ignore_index count for
    nothing. label_smoothing mixes the target with the even distribution. reduction: 'none' gives one loss for each
    target; 'mean' divides the sum by the sum of weight[target] (class numbers) or by their count (probabilities).
    Raises ValueError for shapes that don't fit, IndexError for a class that x does not have (naming its place).

    >>> nnkern.cross_entropy(np.array([[0.0, 100.0]]), np.array([1]))
    array(0.)
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1], got {label_smoothing}")
    return CrossEntropy(ignore_index, reduction_code("cross_entropy", reduction), label_smoothing)(
        x, target, weight
    )


@any_kind
def nll_loss(
    x: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """-x[target], for log-probabilities x (N, C, d1...) and class numbers; options as in cross_entropy."""
    code = reduction_code("nll_loss", reduction)
    dim = 0 if x.ndim == 1 else 1
    classes = target.data if isinstance(target, Tensor) else np.asarray(target)
    kept = classes != ignore_index
    classes = np.where(kept, classes, 0)
    w = (
        np.ones(x.shape[dim], x.dtype)
        if weight is None
        else weight.data
        if isinstance(weight, Tensor)
        else weight
    )
    factors = np.where(kept, -w[classes], 0).astype(x.dtype)
    picked = gather(x, dim, np.expand_dims(classes, dim))
    losses = mul(reshape(picked, classes.shape), factors)
    if code == 0:
        return losses
    total = sum(losses)
    return total if code == 2 else mul(total, -1 / float(factors.sum()))
