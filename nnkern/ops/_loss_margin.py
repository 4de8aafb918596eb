"""Losses with a margin: of pairs, triplets and class scores. All are compositions of public functions.

Where a margin is met exactly the gradient is PyTorch's: that of clamp (1) in losses of pairs and triplets, 0 in
multi_margin_loss and multilabel_margin_loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import grad
from ..function import Function
from ..tensor import Tensor
from ._loss_common import any_kind, float_labels, plain, reduced, reduction_code, same_shape
from .activation import relu, softplus
from .arithmetic import add, div, mul, neg, sub
from .compare import clamp, minimum, where
from .elementwise import abs, pow, sqrt, square
from .index import gather
from .reduce import amax, amin, mean, sum
from .shape import reshape, unsqueeze


def _broadcast(*shapes: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


@any_kind
def cosine_embedding_loss(x1: Any, x2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """1 - cos(x1, x2) where target is 1, max(0, cos(x1, x2) - margin) where it is -1.

    x1, x2: (N, D) and target (N,), or (D,) and a target of shape (); they broadcast. Raises ValueError for other shapes.
    """
    op = "cosine_embedding_loss"
    code = reduction_code(op, reduction)
    shapes = tuple(x1.shape), tuple(x2.shape), tuple(target.shape)
    if not (x1.ndim == x2.ndim == target.ndim + 1 <= 2 and _broadcast(*shapes[:2], (*shapes[2], 1))):
        raise ValueError(
            f"{op}: x1, x2 (N, D) and target (N,), or (D,) and (), would fit, also where they broadcast "
            f"(x1.shape={shapes[0]}, x2.shape={shapes[1]}, target.shape={shapes[2]})"
        )
    tiny = 1e-12  # PyTorch's: a vector of zeros has cosine 0
    squares = mul(add(sum(square(x1), -1), tiny), add(sum(square(x2), -1), tiny))
    cosine = div(sum(mul(x1, x2), -1), sqrt(squares))
    labels = plain(op, target)
    apart = where(labels == -1, clamp(sub(cosine, margin), 0.0), 0.0)
    return reduced(where(labels == 1, sub(1.0, cosine), apart), code)


@any_kind
def margin_ranking_loss(x1: Any, x2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """max(0, margin - target (x1 - x2)): target 1 wants x1 above x2, -1 below. The three broadcast.

    Raises ValueError if they have different numbers of dims.
    """
    op = "margin_ranking_loss"
    code = reduction_code(op, reduction)
    if not x1.ndim == x2.ndim == target.ndim:
        raise ValueError(
            f"{op}: x1, x2 and target need as many dims as each other "
            f"(x1.shape={tuple(x1.shape)}, x2.shape={tuple(x2.shape)}, target.shape={tuple(target.shape)})"
        )
    lead = mul(float_labels(op, target, x1), sub(x1, x2))
    return reduced(clamp(sub(margin, lead), 0.0), code)


class MarginLoss(Function):
    """Of one class in each row, or of several."""

    name = "multi_margin_loss"

    def __init__(self, p: int, margin: float, several: bool, reduction: int) -> None:
        if several:
            self.name = "multilabel_margin_loss"
        self.options = (p, margin, several, reduction)

    def forward(self, x: Any, target: Any, weight: Any) -> Any:
        self.saved = (x, target, weight)
        return self.kernels.margin_loss_forward(x, target, weight, *self.options)

    def backward(self, gy: Any) -> Any:
        x, target, weight = self.saved
        if not isinstance(gy, Tensor):
            return self.kernels.margin_loss_backward(gy, x, target, weight, *self.options), None, None
        (gx,) = grad(self.plain(x, target, weight), x, gy, create_graph=True)
        return gx, None, None

    def plain(self, x: Any, target: Any, weight: Any) -> Any:
        """The loss by plain ops: each label's score against all others."""
        p, margin, several, reduction = self.options
        target = plain("margin_loss", target).astype(np.int64)
        n = x.shape[-1]
        labels = target.reshape(*x.shape[:-1], n if several else 1)
        counted = np.logical_and.accumulate(labels != -1, -1)
        is_label = np.zeros(
            (*labels.shape[:-1], n + 1), bool
        )  # the last one stands for what follows the labels
        np.put_along_axis(is_label, np.where(counted, labels, n), True, -1)
        labels = np.where(counted, labels, 0)
        over = relu(sub(add(unsqueeze(x, -2), margin), unsqueeze(gather(x, -1, labels), -1)))
        over = where(counted[..., None] & ~is_label[..., None, :n], over if p == 1 else square(over), 0.0)
        losses = mul(sum(over, (-2, -1)), 1 / n)
        if weight is not None:
            losses = mul(losses, plain("margin_loss", weight)[labels[..., 0]])
        return reduced(losses if several else reshape(losses, target.shape), reduction)


def multi_margin_loss(
    x: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """sum over classes j other than y of (w[y] max(0, margin - x[y] + x[j])^p) / C, y the target: the hinge loss.

    x: (N, C) or (C,); target: (N,) or () class numbers; p: 1 or 2; weight: (C,). Raises ValueError for shapes that
    don't fit, IndexError for a class that x does not have, naming its place.
    """
    code = reduction_code("multi_margin_loss", reduction)
    return MarginLoss(p, margin, False, code)(x, target, weight)


def multilabel_margin_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """sum over labels y and classes j that are no label of max(0, 1 - x[y] + x[j]) / C.

    x: (N, C) or (C,); target of the same shape: the labels of each row, ended by -1. Raises IndexError for a label
    that x does not have, naming its place.
    """
    code = reduction_code("multilabel_margin_loss", reduction)
    return MarginLoss(1, 1.0, True, code)(x, target, None)


@any_kind
def multilabel_soft_margin_loss(x: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """The mean over classes of -w (t log sigmoid(x) + (1 - t) log sigmoid(-x)), targets t in [0, 1].

    x and target: (..., C); weight broadcasts to them. 'none' gives one loss for each row.
    """
    op = "multilabel_soft_margin_loss"
    code = reduction_code(op, reduction)
    target = float_labels(op, target, x)
    same_shape(op, x=x, target=target)
    losses = add(mul(target, softplus(neg(x), threshold=float("inf"))),
                 mul(sub(1.0, target), softplus(x, threshold=float("inf"))))  # fmt: skip
    if weight is not None:
        losses = mul(losses, weight)
    return reduced(mean(losses, -1), code)


def _distance(x: Any, y: Any, p: float, eps: float) -> Any:
    """The p-norm of x - y + eps along the last dim."""
    d = add(sub(x, y), eps)
    if p == 2:
        return sqrt(sum(square(d), -1))
    a = abs(d)
    if p == 1:
        return sum(a, -1)
    if p == 0:
        return sum(where(plain("triplet_margin_loss", a) != 0, 1.0, mul(a, 0.0)), -1)
    if p in (float("inf"), float("-inf")):
        return (amax if p > 0 else amin)(a, -1)
    return pow(sum(pow(a, float(p)), -1), 1 / p)


@any_kind
def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6,
    swap: bool = False, reduction: str = "mean",
) -> Any:  # fmt: skip
    """max(0, margin + d(anchor, positive) - d(anchor, negative)), d(x, y) the p-norm of x - y + eps, (..., D).

    swap: the negative's distance from the positive counts where it is the smaller one (Balntas et al. 2016). Raises
    ValueError unless margin > 0, or for different numbers of dims.
    """
    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=lambda x, y: _distance(x, y, p, eps), margin=margin,
        swap=swap, reduction=reduction,
    )  # fmt: skip


@any_kind
def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0, swap: bool = False, reduction: str = "mean",
) -> Any:  # fmt: skip
    """triplet_margin_loss with a distance of one's own: distance_function(x, y) -> (...); None: the 2-norm."""
    op = "triplet_margin_loss"
    code = reduction_code(op, reduction)
    if margin <= 0:
        raise ValueError(f"{op}: margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ValueError(
            f"{op}: anchor, positive and negative need as many dims as each other (anchor.shape="
            f"{tuple(anchor.shape)}, positive.shape={tuple(positive.shape)}, negative.shape={tuple(negative.shape)})"
        )
    distance = distance_function or (lambda x, y: _distance(x, y, 2.0, 1e-6))
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(clamp(add(sub(near, far), margin), 0.0), code)
