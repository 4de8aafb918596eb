"""Dropout."""

from __future__ import annotations

from typing import Any

from .. import ops
from .module import Module


class Dropout(Module):
    """While training, each element is 0 with probability p, else divided by 1 - p; see nnkern.dropout."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p must lie in [0, 1], got {p}")
        self.p = p

    def forward(self, x: Any) -> Any:
        return ops.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout2d(Dropout):
    """While training, each channel is 0 with probability p, else divided by 1 - p; see nnkern.dropout2d."""

    def forward(self, x: Any) -> Any:
        return ops.dropout2d(x, self.p, self.training)
