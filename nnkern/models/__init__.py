"""Networks built from nnkern.nn."""

from .lenet5 import LeNet5
from .mlp import MLP

__all__ = ["MLP", "LeNet5"]
