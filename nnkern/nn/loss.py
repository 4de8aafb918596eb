"""Losses as layers."""

from __future__ import annotations

from typing import Any

from .. import ops
from .module import Module


class CrossEntropyLoss(Module):
    """-log softmax(x)[target], x (N, classes), target (N,) integers; see nnkern.cross_entropy."""

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing

    def forward(self, x: Any, target: Any) -> Any:
        return ops.cross_entropy(
            x, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class MSELoss(Module):
    """mean (x - target)^2"""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, x: Any, target: Any) -> Any:
        return ops.mse_loss(x, target, reduction=self.reduction)
