"""Connectionist temporal classification: the loss of a transcript whose alignment with the frames is unknown."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..function import Function
from ..tensor import Tensor
from ._loss_common import any_kind, plain, reduced, reduction_code
from .arithmetic import mul
from .compare import where
from .shape import reshape, unsqueeze

__all__ = ["ctc_loss"]


class CTCLoss(Function):
    name = "ctc_loss"

    def __init__(self, blank: int, zero_infinity: bool) -> None:
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        given = (log_probs, targets, input_lengths, target_lengths)
        losses, alpha = self.kernels.ctc_loss_forward(*given, self.blank)
        self.saved = (*given, alpha)
        return losses

    def backward(self, gy: Any) -> Any:
        if isinstance(gy, Tensor):
            raise NotImplementedError("ctc_loss has no second derivative (nor has PyTorch's)")
        gx = self.kernels.ctc_loss_backward(gy, *self.saved, self.blank, self.zero_infinity)
        return gx, None, None, None


def _lengths(op: str, name: str, lengths: Any) -> np.ndarray:
    found = np.atleast_1d(
        np.asarray(lengths) if isinstance(lengths, (list, tuple, int)) else plain(op, lengths)
    )
    if found.dtype.kind not in "iu" and found.size:
        raise TypeError(f"{op}: {name} is {found.dtype}; it must hold integers")
    return found.astype(np.int64)


@any_kind
def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """-log of the probability that the frames' labels, repeats merged and blanks taken out, are the target.

    log_probs: (T, N, C), or (T, C) of one sequence, from log_softmax. targets: class numbers without the blank,
    (N, S) or all of them one after another. input_lengths, target_lengths: (N,) arrays or lists: how many frames and
    labels of each sequence count. 'mean' divides each loss by the length of its target first. A target that needs
    more frames than there are has loss Inf and gradient NaN, or 0 and 0 with zero_infinity. As in PyTorch, the gradient
    is right behind a log_softmax only. Raises ValueError for shapes and lengths that don't fit, IndexError for a
    target that is no class, naming its place. Source: Graves et al., ICML 2006.

    >>> print(ctc_loss(np.log(np.full((1, 1, 2), 0.5)), np.array([[1]]), [1], [1]).round(4))
    0.6931
    """
    op = "ctc_loss"
    code = reduction_code(op, reduction)
    inputs, lengths = (
        _lengths(op, "input_lengths", input_lengths),
        _lengths(op, "target_lengths", target_lengths),
    )
    labels = plain(op, targets)
    one = log_probs.ndim == 2
    losses = CTCLoss(blank, zero_infinity)(
        unsqueeze(log_probs, 1) if one else log_probs, labels, inputs, lengths
    )
    if zero_infinity:
        losses = where(~np.isinf(plain(op, losses)), losses, 0.0)
    if code == 1:
        losses = mul(losses, (1 / np.maximum(lengths, 1)).astype(plain(op, losses).dtype))
    if one and code == 0:
        return reshape(losses, ())
    return reduced(losses, code)
