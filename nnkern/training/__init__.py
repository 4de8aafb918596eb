"""Training loops, thin enough to read and to copy."""

from .loop import accuracy, fit
from .mlp import DigitsResult, train_digits
from .plots import confusion_matrix, loss_curve

__all__ = ["DigitsResult", "accuracy", "confusion_matrix", "fit", "loss_curve", "train_digits"]
