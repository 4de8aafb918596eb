"""Losses of predictions and targets, element by element.

Everywhere: x and target are float arrays of one dtype; those of the squared and absolute kinds and poisson_nll_loss
broadcast, with a warning where PyTorch warns, and take integers beside floats. reduction is 'none', 'mean' or 'sum'; another one is a
ValueError, as are shapes that don't fit.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..function import Function
from ..tensor import Tensor
from ._loss_common import any_kind, float_labels, plain, reduced, reduction_code, same_shape, spread
from .activation import sigmoid, softplus
from .arithmetic import add, div, mul, neg, sub
from .compare import clamp, where
from .elementwise import astype, exp, log, sign, square
from .reduce import amin, sum
from .shape import broadcast_to, unsqueeze

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss",
    "mse_loss", "poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss",
]  # fmt: skip

_Slope = Callable[[Any, Any, float], Any]


def _soft_margin_slope(x: Any, t: Any, a: float) -> Any:
    return neg(mul(t, sigmoid(neg(mul(t, x)))))


def _hinge_slope(x: Any, t: Any, a: float) -> Any:
    x, t = plain("hinge_embedding_loss", x), plain("hinge_embedding_loss", t)
    return ((t != -1) * 1.0 - ((t != 1) & (x <= a))).astype(x.dtype)


# The order of NN_LOSSES in csrc/simd/elementwise.h: the slopes with respect to x and target by plain ops; None: the
# target's is the negative of x's.
_SLOPES: list[tuple[_Slope, _Slope | None]] = [
    (lambda x, t, a: mul(sub(x, t), 2.0), None),
    (lambda x, t, a: sign(sub(x, t)), None),
    (lambda x, t, a: clamp(mul(sub(x, t), 1 / a), -1.0, 1.0), None),
    (lambda x, t, a: clamp(sub(x, t), -a, a), None),
    (
        lambda x, t, a: div(sub(x, t), clamp(mul(x, sub(1.0, x)), 1e-12)),
        lambda x, t, a: sub(clamp(log(sub(1.0, x)), -100.0), clamp(log(x), -100.0)),
    ),
    (lambda x, t, a: sub(sigmoid(x), t), lambda x, t, a: neg(x)),
    (lambda x, t, a: neg(t), lambda x, t, a: sub(add(log(t), 1.0), x)),
    (lambda x, t, a: neg(exp(t)), lambda x, t, a: mul(exp(t), add(sub(t, x), 1.0))),
    (lambda x, t, a: sub(exp(x), t), lambda x, t, a: neg(x)),
    (_soft_margin_slope, lambda x, t, a: _soft_margin_slope(t, x, a)),
    (_hinge_slope, lambda x, t, a: mul(t, 0.0)),
]
(
    MSE, L1, SMOOTH_L1, HUBER, BINARY_CROSS_ENTROPY, BINARY_CROSS_ENTROPY_WITH_LOGITS, KL_DIV, KL_DIV_LOG,
    POISSON_NLL, SOFT_MARGIN, HINGE_EMBEDDING,
) = range(11)  # fmt: skip
_NAMES = [
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "kl_div", "kl_div", "poisson_nll_loss", "soft_margin_loss", "hinge_embedding_loss",
]  # fmt: skip


class PointwiseLoss(Function):
    """One of the losses above with its number a (beta, delta); the weight has x's shape and no gradient."""

    name = ""

    def __init__(self, kind: int, reduction: int, a: float = 0.0) -> None:
        self.name = _NAMES[kind]
        self.options = (kind, reduction, a)

    def forward(self, x: Any, target: Any, weight: Any) -> Any:
        self.saved = (x, target, weight)
        return self.kernels.pointwise_loss_forward(x, target, weight, *self.options)

    def backward(self, gy: Any) -> Any:
        x, target, weight = self.saved
        need_x, need_target, _ = self.needs_input_grad
        kind, reduction, a = self.options
        slope, target_slope = _SLOPES[kind]
        if not isinstance(gy, Tensor) and (target_slope is None or not need_target):
            gx = self.kernels.pointwise_loss_backward(gy, x, target, weight, *self.options)
            return gx if need_x else None, neg(gx) if need_target else None, None
        g = gy
        if reduction:
            g = broadcast_to(mul(gy, 1 / max(1, math.prod(x.shape))) if reduction == 1 else gy, x.shape)
        if weight is not None:
            g = mul(g, weight)
        gx = mul(g, slope(x, target, a)) if need_x or target_slope is None else None
        if not need_target:
            return gx, None, None
        return gx, neg(gx) if target_slope is None else mul(g, target_slope(x, target, a)), None


def _squared_kind(
    op: str, kind: int, x: Any, target: Any, reduction: str, a: float = 0.0, warn: bool = True
) -> Any:
    code = reduction_code(op, reduction)
    plain_pair = type(x) is type(target) is np.ndarray and x.dtype == target.dtype and x.dtype.kind == "f"
    if plain_pair and x.shape == target.shape:  # there is no tape
        return Function.kernels.pointwise_loss_forward(x, target, None, kind, code, a)
    target = float_labels(op, target, x)
    x, target = spread(op, x, target, warn)
    if plain(op, x).dtype.kind in "biu":
        if plain(op, target).dtype.kind != "f":
            raise TypeError(f"{op}: x is {x.dtype}; float32 or float64 is needed: x.astype('float32')")
        x = astype(x, target.dtype)
    return PointwiseLoss(kind, code, a)(x, target, None)


def _weighted(op: str, losses: Any, weight: Any, reduction: str, normalised: bool) -> Any:
    """The reduction of losses times weight; `normalised`: a mean divides by the sum of the weights."""
    code = reduction_code(op, reduction)
    same_shape(op, x=losses, weight=weight)
    losses = mul(losses, weight)
    return div(sum(losses), sum(weight)) if code == 1 and normalised else reduced(losses, code)


def mse_loss(x: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """(x - target)^2. weight, of x's shape, multiplies them; 'mean' then divides by the sum of the weights.

    >>> mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    array(2.)
    """
    if weight is None:
        return _squared_kind("mse_loss", MSE, x, target, reduction)
    losses = _squared_kind("mse_loss", MSE, x, target, "none")
    return _weighted("mse_loss", losses, weight, reduction, True)


def l1_loss(x: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """|x - target|; its gradient at 0 is 0. weight: see mse_loss.

    >>> l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    array(1.)
    """
    if weight is None:
        return _squared_kind("l1_loss", L1, x, target, reduction)
    losses = _squared_kind("l1_loss", L1, x, target, "none")
    return _weighted("l1_loss", losses, weight, reduction, True)


def smooth_l1_loss(x: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """(x - target)^2 / (2 beta) while |x - target| < beta, |x - target| - beta / 2 beyond; l1_loss if beta is 0.

    Raises ValueError for a negative beta. Girshick, Fast R-CNN, arXiv 1504.08083.
    """
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative or NaN, got {beta}")
    return _squared_kind("smooth_l1_loss", SMOOTH_L1 if beta else L1, x, target, reduction, float(beta))


def huber_loss(x: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """(x - target)^2 / 2 while |x - target| <= delta, delta (|x - target| - delta / 2) beyond.

    weight, of x's shape, multiplies the losses; 'mean' divides by their count all the same. Raises ValueError unless
    delta > 0.
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: delta must be greater than 0, got {delta}")
    if weight is None:
        return _squared_kind("huber_loss", HUBER, x, target, reduction, float(delta))
    losses = _squared_kind("huber_loss", HUBER, x, target, "none", float(delta))
    return _weighted("huber_loss", losses, weight, reduction, False)


def _binary(op: str, kind: int, x: Any, target: Any, weight: Any, reduction: str) -> Any:
    code = reduction_code(op, reduction)
    if tuple(x.shape) != tuple(target.shape):
        same_shape(op, x=x, target=target)
    if weight is None:
        return PointwiseLoss(kind, code)(x, target, None)
    if isinstance(weight, Tensor) and weight.requires_grad:
        return reduced(mul(PointwiseLoss(kind, 0)(x, target, None), weight), code)
    if tuple(weight.shape) != tuple(x.shape):
        try:
            weight = broadcast_to(weight, tuple(x.shape))
        except ValueError:
            raise ValueError(
                f"{op}: weight must broadcast to x (x.shape={tuple(x.shape)}, weight.shape={tuple(weight.shape)})"
            ) from None
    return PointwiseLoss(kind, code)(x, target, weight)


def binary_cross_entropy(x: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """-w (target log x + (1 - target) log(1 - x)), x and target in [0, 1]; logarithms end at -100.

    weight broadcasts to x. Raises ValueError for an x or target outside of [0, 1], naming its place.

    >>> print(binary_cross_entropy(np.array([0.5]), np.array([1.0])).round(4))
    0.6931
    """
    return _binary("binary_cross_entropy", BINARY_CROSS_ENTROPY, x, target, weight, reduction)


def binary_cross_entropy_with_logits(
    x: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """binary_cross_entropy of sigmoid(x), without overflow or cancellation: w ((1 - t) x + log(1 + exp(-x))).

    pos_weight, which broadcasts to x, multiplies what positive targets cost: with l = 1 + (pos_weight - 1) t it is
    w ((1 - t) x + l log(1 + exp(-x))).

    >>> print(binary_cross_entropy_with_logits(np.array([0.0]), np.array([1.0])).round(4))
    0.6931
    """
    op, kind = "binary_cross_entropy_with_logits", BINARY_CROSS_ENTROPY_WITH_LOGITS
    if pos_weight is None:
        return _binary(op, kind, x, target, weight, reduction)
    code = reduction_code(op, reduction)
    same_shape(op, x=x, target=target)
    share = add(mul(sub(pos_weight, 1.0), target), 1.0)
    if any(isinstance(a, Tensor) and a.requires_grad for a in (target, weight, pos_weight)):
        losses = add(mul(sub(1.0, target), x), mul(share, softplus(neg(x), threshold=math.inf)))
        return reduced(losses if weight is None else mul(losses, weight), code)
    # It is the plain loss of the target p t / l, times l; where l is 0 any target will do.
    target = div(mul(target, pos_weight), where(plain(op, share) == 0, 1.0, share))
    return _binary(op, kind, x, target, share if weight is None else mul(share, weight), reduction)


def kl_div(x: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """target (log target - x), x being log-probabilities: the Kullback-Leibler divergence of x from the target.

    log_target: the target holds logarithms, too. reduction 'batchmean' divides the sum by x's first length: the
    definition of the divergence; 'mean' divides by the number of elements and warns of it, as in PyTorch.

    >>> kl_div(np.log([[0.5, 0.5]]), np.array([[0.5, 0.5]]), reduction="batchmean")
    array(0.)
    """
    if reduction == "mean":
        warnings.warn(
            "kl_div: 'mean' divides by the number of elements; 'batchmean' is the definition of the divergence",
            stacklevel=3,
        )
    code = reduction_code("kl_div", "sum" if reduction == "batchmean" else reduction)
    batch = x.shape[0] if len(x.shape) else 1  # before broadcasting, as in PyTorch
    x, target = spread("kl_div", x, target)
    y = PointwiseLoss(KL_DIV_LOG if log_target else KL_DIV, code)(x, target, None)
    if reduction != "batchmean":
        return y
    return mul(y, 1 / batch if batch else math.nan)


@any_kind
def poisson_nll_loss(
    x: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """exp(x) - target x, or x - target log(x + eps) without log_input: -log of a Poisson probability.

    full adds what of it depends on the target alone, by Stirling's formula where target > 1:
    target log target - target + log(2 pi target) / 2.
    """
    op = "poisson_nll_loss"
    if log_input and not full:
        return _squared_kind(op, POISSON_NLL, x, target, reduction, warn=False)
    code = reduction_code(op, reduction)
    target = float_labels(op, target, x)
    x, target = spread(op, x, target)
    losses = sub(exp(x), mul(target, x)) if log_input else sub(x, mul(target, log(add(x, eps))))
    if full:
        many = plain(op, target) > 1
        t = where(many, target, 1.0)  # its logarithm is taken everywhere
        stirling = add(sub(mul(t, log(t)), t), mul(log(mul(t, 2 * math.pi)), 0.5))
        losses = add(losses, where(many, stirling, 0.0))
    return reduced(losses, code)


@any_kind
def gaussian_nll_loss(
    x: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """(log var + (x - target)^2 / var) / 2, var being at least eps: -log of a normal density. full adds log(2 pi) / 2.

    var: x's shape, the same with one length of 1, or without its last dim; or a number. Raises ValueError for other
    shapes and for a negative var. Gradients pass var as if eps were not there, as in PyTorch.
    """
    op = "gaussian_nll_loss"
    code = reduction_code(op, reduction)
    if isinstance(var, (int, float)):
        var = np.full(tuple(x.shape), var, plain(op, x).dtype)
    raw, shape, var_shape = plain(op, var), tuple(x.shape), tuple(var.shape)
    lowest = float(amin(raw)) if raw.size else 1.0
    if lowest < 0:
        at = tuple(int(i) for i in np.argwhere(raw < 0)[0])
        raise ValueError(
            f"{op}: var[{', '.join(map(str, at)) or '()'}] is {raw[at]}, but must not be negative"
        )
    if var_shape != shape:
        if var_shape == shape[:-1]:
            var = unsqueeze(var, -1)
        elif var.ndim != x.ndim or [v for n, v in zip(shape, var_shape) if n != v] != [1]:
            raise ValueError(
                f"{op}: var needs x's shape, the same with one length of 1, or without its last dim "
                f"(x.shape={shape}, var.shape={var_shape})"
            )
    if not lowest >= eps:
        raw = plain(op, var)
        var = add(var, np.maximum(raw, raw.dtype.type(eps)) - raw)
    losses = mul(add(log(var), div(square(sub(x, float_labels(op, target, x))), var)), 0.5)
    return reduced(add(losses, 0.5 * math.log(2 * math.pi)) if full else losses, code)


def soft_margin_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """log(1 + exp(-target x)), target 1 or -1: the logistic loss. x and target broadcast.

    >>> print(soft_margin_loss(np.array([0.0]), np.array([1.0])).round(4))
    0.6931
    """
    return _squared_kind("soft_margin_loss", SOFT_MARGIN, x, target, reduction, warn=False)


def hinge_embedding_loss(x: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """x where target is 1, max(0, margin - x) where it is -1: x is the distance of a pair that is alike or not.

    x and target broadcast. Elsewhere the loss is the sum of both, as in PyTorch.

    >>> hinge_embedding_loss(np.array([0.5, 0.5]), np.array([1, -1]), reduction="none").tolist()
    [0.5, 0.5]
    """
    op = "hinge_embedding_loss"
    return _squared_kind(op, HINGE_EMBEDDING, x, target, reduction, float(margin), warn=False)
