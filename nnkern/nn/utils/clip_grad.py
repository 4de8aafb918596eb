"""Gradients kept in bounds, between backward() and step(). Names and results are torch.nn.utils'."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...tensor import Tensor


def _gradients(parameters: Any) -> list[np.ndarray]:
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad.data for p in parameters if p.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Any], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> float:
    """The norm of all elements of the Tensors together."""
    tensors = [tensors] if isinstance(tensors, Tensor) else tensors
    arrays = [t.data if isinstance(t, Tensor) else np.asarray(t) for t in tensors]
    if norm_type == math.inf:
        total = float(np.max([np.abs(a).max(initial=0) for a in arrays], initial=0))
    elif norm_type == 2:  # a dot product needs no temporary; its sum may overflow, the norm does not
        total = math.hypot(*[float(np.linalg.norm(a)) for a in arrays])
    else:
        total = sum(float((np.abs(a) ** norm_type).sum()) for a in arrays) ** (1 / norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"clip_grad_norm_: the gradients' norm of order {norm_type} is {total}")
    return np.float64(total)  # a float with .item(), which PyTorch's users call


def clip_grads_with_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Any) -> None:
    """Scales all gradients, in place, as clip_grad_norm_ does when their norm is total_norm."""
    scale = max_norm / (float(total_norm) + 1e-6)
    if not scale >= 1:  # also NaN: torch spreads it, too
        for g in _gradients(parameters):
            g *= scale


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scales all gradients together, in place, so that their common norm is at most max_norm; returns what it was.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013.

    >>> x = nnkern.Tensor([1.0, 1.0], requires_grad=True)
    >>> (x * nnkern.Tensor([3.0, 4.0])).sum().backward()
    >>> print(f"{nn.utils.clip_grad_norm_([x], 1.0):.3f}", x.grad.data.round(3))
    5.000 [0.6 0.8]
    """
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Cuts every element of every gradient to [-clip_value, clip_value], in place."""
    for g in _gradients(parameters):
        np.clip(g, -clip_value, clip_value, out=g)
