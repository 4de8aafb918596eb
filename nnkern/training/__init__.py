"""Training loops, thin enough to read and to copy."""

from .digits import DigitsResult
from .lenet5 import train_lenet5
from .loop import accuracy, fit
from .mlp import train_digits
from .plots import confusion_matrix, filters, loss_curve

__all__ = [
    "DigitsResult", "accuracy", "confusion_matrix", "filters", "fit", "loss_curve", "train_digits", "train_lenet5",
]  # fmt: skip
