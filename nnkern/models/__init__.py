"""Networks built from nnkern.nn."""

from .charrnn import CharRNN
from .classifier import SequenceClassifier
from .forecaster import Forecaster
from .gpt import GPT
from .lenet5 import LeNet5
from .mlp import MLP

__all__ = ["GPT", "MLP", "CharRNN", "Forecaster", "LeNet5", "SequenceClassifier"]
