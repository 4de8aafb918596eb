"""Elementwise functions with broadcasting."""

from __future__ import annotations

from typing import Any

from ..function import Function

__all__ = ["neg"]


class Neg(Function):
    def forward(self, x: Any) -> Any:
        return self.kernels.neg_forward(x)

    def backward(self, gy: Any) -> Any:
        return neg(gy)


def neg(x: Any) -> Any:
    """-x."""
    return Neg()(x)
