"""Losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..function import Function
from ..tensor import Tensor
from ._loss_common import any_kind, constant, float_labels, plain, reduced, reduction_code, same_shape
from ._loss_margin import (
    cosine_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from .activation import sigmoid
from .arithmetic import add, div, mul, sub
from .elementwise import pow
from .loss_pointwise import binary_cross_entropy_with_logits
from .matmul import linear
from .reduce import sum
from .shape import reshape, unsqueeze
from .softmax import log_softmax, softmax

__all__ = [
    "cosine_embedding_loss", "cross_entropy", "dice_loss", "linear_cross_entropy", "sigmoid_focal_loss", "margin_ranking_loss",
    "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss",
    "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


def _coefficients(arrays: Any, ignore_index: int, smoothing: float) -> tuple[Any, Any]:
    """(q w, rows that count) for second derivatives. The reference is loaded for them alone: it makes imports slow."""
    from ..backends.reference.loss import coefficients

    return coefficients(*arrays, ignore_index, smoothing)  # type: ignore[call-arg,no-untyped-call]


def _of_one_row(op: str, x: Any, target: Any) -> Any:
    """target, which for x (C,) may be (1,), too, as in PyTorch."""
    if (
        getattr(x, "ndim", 0) != 1
        or getattr(target, "shape", None) != (1,)
        or plain(op, target).dtype.kind == "f"
    ):
        return target
    return reshape(target, ())


def _share(counted: Any) -> float:
    """What a mean multiplies by; where nothing counts there is no slope."""
    return 1 / float(counted) if counted else 0.0


class CrossEntropy(Function):
    name = "cross_entropy"

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
        qw, counted = _coefficients(raw, ignore_index, smoothing)
        qw = qw.astype(x.dtype)
        g = unsqueeze(gy, dim) if reduction == 0 else mul(gy, _share(counted) if reduction == 1 else 1.0)
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

    x: (C,), (N, C) or (N, C, d1...). target: class numbers (int64, int32 or uint8) of x's shape without C, or probabilities
    of x's shape and dtype (without ignore_index). weight: (C,) one factor for each class. Rows whose target is ignore_index count for
    nothing. label_smoothing mixes the target with the even distribution. reduction: 'none' gives one loss for each
    target; 'mean' divides the sum by the sum of weight[target] (class numbers) or by their count (probabilities).
    Raises ValueError for shapes that don't fit, IndexError for a class that x does not have (naming its place).

    >>> nnkern.cross_entropy(np.array([[0.0, 100.0]]), np.array([1]))
    array(0.)
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1], got {label_smoothing}")
    if ignore_index >= 0 and plain("cross_entropy", target).dtype.kind == "f":
        raise ValueError(
            f"cross_entropy: ignore_index is for class numbers, not for probabilities, got {ignore_index}"
        )
    return CrossEntropy(ignore_index, reduction_code("cross_entropy", reduction), label_smoothing)(
        x, _of_one_row("cross_entropy", x, target), constant("cross_entropy", weight)
    )


class NLLLoss(Function):
    name = "nll_loss"

    def __init__(self, ignore_index: int, reduction: int) -> None:
        self.options = (ignore_index, reduction)

    def forward(self, x: Any, target: Any, weight: Any) -> Any:
        self.saved = (x, target, weight)
        return self.kernels.nll_loss_forward(x, target, weight, *self.options)

    def backward(self, gy: Any) -> Any:
        x, target, weight = self.saved
        if not isinstance(gy, Tensor):
            return self.kernels.nll_loss_backward(gy, x, target, weight, *self.options), None, None
        dim, (ignore_index, reduction) = 0 if x.ndim == 1 else 1, self.options
        raw = [a.data if isinstance(a, Tensor) else a for a in (x, target, weight)]
        qw, counted = _coefficients(raw, ignore_index, 0)
        g = unsqueeze(gy, dim) if reduction == 0 else mul(gy, _share(counted) if reduction == 1 else 1.0)
        return mul(g, -qw.astype(x.dtype)), None, None


def nll_loss(
    x: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """-w[target] x[target], for log-probabilities x (C,), (N, C) or (N, C, d1...) and class numbers.

    Options and errors are those of cross_entropy, which is this behind log_softmax.

    >>> print(nll_loss(np.log([[0.25, 0.75]]), np.array([0])).round(4))
    1.3863
    """
    weight = constant("nll_loss", weight)
    target = _of_one_row("nll_loss", x, target)
    return NLLLoss(ignore_index, reduction_code("nll_loss", reduction))(x, target, weight)


def linear_cross_entropy(
    x: Any, linear_weight: Any, target: Any, *, linear_bias: Any = None, weight: Any = None,
    reduction: str = "mean", ignore_index: int | None = None, label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    """cross_entropy(linear(x, linear_weight, linear_bias), target): the head of a language model.

    x: (D,) or (N, D), linear_weight: (C, D), linear_bias: (C,); or (C, d1..., D) and (C, d1...) for a target (N, d1...).
    ignore_index: None is -100. The rest as in cross_entropy.
    """
    classes, *more, width = linear_weight.shape
    if more:
        linear_weight = linear_weight.reshape(-1, width)
        linear_bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = linear(x, linear_weight, linear_bias)
    if more:
        logits = logits.reshape(-1, classes, *more)
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(logits, target, weight, ignored, reduction, label_smoothing)


@any_kind
def sigmoid_focal_loss(
    x: Any, target: Any, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Any:
    """binary_cross_entropy_with_logits times a (1 - p)^gamma: what is told well already counts for little.

    p is the probability that sigmoid(x) gives the target, a is alpha where the target is 1 and 1 - alpha where it is 0
    (no factor if alpha is negative). Signature and default reduction are torchvision's. Lin et al., arXiv 1708.02002.

    >>> sigmoid_focal_loss(np.array([0.0]), np.array([1.0]), alpha=-1).round(4).tolist()
    [0.1733]
    """
    code = reduction_code("sigmoid_focal_loss", reduction)
    target = float_labels("sigmoid_focal_loss", target, x)
    losses = binary_cross_entropy_with_logits(x, target, reduction="none")
    p = sigmoid(x)
    missed = add(mul(p, sub(1.0, target)), mul(sub(1.0, p), target))
    losses = mul(losses, pow(missed, gamma))
    if alpha >= 0:
        losses = mul(losses, add(mul(target, 2 * alpha - 1), 1 - alpha))
    return reduced(losses, code)


@any_kind
def dice_loss(x: Any, target: Any, smooth: float = 1.0, reduction: str = "mean") -> Any:
    """1 - (2 sum(x t) + smooth) / (sum x + sum t + smooth) for each sample and class, summed over places.

    x: probabilities (N, C, d1...). target: of x's shape, or class numbers (N, d1...). 'none' gives (N, C). Raises
    ValueError for shapes that don't fit, IndexError for a class that x does not have. Sudre et al., arXiv 1707.03237.

    >>> dice_loss(np.array([[[1.0, 0.0], [0.0, 1.0]]]), np.array([[0, 1]]))
    array(0.)
    """
    op = "dice_loss"
    code = reduction_code(op, reduction)
    t = plain(op, target)
    if x.ndim < 2:
        raise ValueError(f"{op}: x must be (N, C, d1...) (x.shape={tuple(x.shape)})")
    if t.dtype.kind in "iu" and t.ndim == x.ndim - 1:
        bad = np.argwhere((t < 0) | (t >= x.shape[1]))
        if len(bad):
            at = ", ".join(str(i) for i in bad[0]) or "()"
            raise IndexError(
                f"{op}: target[{at}] is {t[tuple(bad[0])]}, but x has classes 0 to {x.shape[1] - 1}"
            )
        target = np.moveaxis(np.expand_dims(t, -1) == np.arange(x.shape[1]), -1, 1)
    target = float_labels(op, target, x)
    same_shape(op, x=x, target=target)
    places = tuple(range(2, x.ndim))

    def total(a: Any) -> Any:
        return sum(a, places) if places else a

    met = add(mul(total(mul(x, target)), 2.0), smooth)
    return reduced(sub(1.0, div(met, add(add(total(x), total(target)), smooth))), code)
