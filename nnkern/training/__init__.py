"""Training loops, thin enough to read and to copy."""

from .digits import DigitsResult
from .lenet5 import train_lenet5
from .loop import accuracy, fit
from .mlp import train_digits
from .plots import calibration, confusion_matrix, filters, forecast_picture, loss_curve, text_curve
from .propensity import PropensityResult, save_scores, train_propensity
from .textgen import TextResult, load_charrnn, train_textgen, write
from .timeseries import SeriesResult, train_timeseries

__all__ = [
    "DigitsResult", "PropensityResult", "SeriesResult", "TextResult", "accuracy", "calibration", "confusion_matrix",
    "filters", "fit", "forecast_picture", "load_charrnn", "loss_curve", "save_scores", "text_curve", "train_digits",
    "train_lenet5", "train_propensity", "train_textgen", "train_timeseries", "write",
]  # fmt: skip
