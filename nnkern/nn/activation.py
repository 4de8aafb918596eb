"""Activations as layers."""

from __future__ import annotations

from typing import Any

from .. import ops
from .module import Module


class ReLU(Module):
    """max(x, 0)"""

    def forward(self, x: Any) -> Any:
        return ops.relu(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))"""

    def forward(self, x: Any) -> Any:
        return ops.sigmoid(x)


class Tanh(Module):
    def forward(self, x: Any) -> Any:
        return ops.tanh(x)


class SiLU(Module):
    """x * sigmoid(x)"""

    def forward(self, x: Any) -> Any:
        return ops.silu(x)


class GELU(Module):
    """x * Phi(x), Phi the normal distribution; approximate="tanh" takes Hendrycks and Gimpel's formula."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        return ops.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softmax(Module):
    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return ops.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return ops.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
