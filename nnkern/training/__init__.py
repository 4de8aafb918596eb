"""Training loops, thin enough to read and to copy."""

from .loop import accuracy, fit
from .mlp import DigitsResult, loss_curve, train_digits

__all__ = ["DigitsResult", "accuracy", "fit", "loss_curve", "train_digits"]
