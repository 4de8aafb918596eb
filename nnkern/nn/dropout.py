"""Dropout layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import ops
from .module import Module


class _Dropout(Module):
    _function: Callable[..., Any]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not hasattr(p, "__float__"):
            raise TypeError(f"{type(self).__name__}: p must be a number, got {type(p).__name__}")
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p must lie in [0, 1], got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, x: Any) -> Any:
        return type(self)._function(x, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """While training, each element is 0 with probability p, else divided by 1 - p; see nnkern.dropout."""

    _function = staticmethod(ops.dropout)


class Dropout1d(_Dropout):
    """While training, each channel of (N, C, L) or (C, L) is 0 with probability p; see nnkern.dropout1d."""

    _function = staticmethod(ops.dropout1d)


class Dropout2d(_Dropout):
    """While training, each channel is 0 with probability p, else divided by 1 - p; see nnkern.dropout2d."""

    _function = staticmethod(ops.dropout2d)


class Dropout3d(_Dropout):
    """While training, each channel of (N, C, D, H, W) is 0 with probability p; see nnkern.dropout3d."""

    _function = staticmethod(ops.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks with selu; see nnkern.alpha_dropout."""

    _function = staticmethod(ops.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels; see nnkern.feature_alpha_dropout."""

    _function = staticmethod(ops.feature_alpha_dropout)
