"""Networks built from nnkern.nn."""

from .mlp import MLP

__all__ = ["MLP"]
