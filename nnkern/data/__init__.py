"""Small real data sets and the iterator that feeds them."""

from .batches import Batches
from .digits import load_digits

__all__ = ["Batches", "load_digits"]
