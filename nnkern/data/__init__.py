"""Small real data sets and the iterators that feed them."""

from .batches import Batches
from .digits import load_digits
from .series import Series, load_series, windows
from .text import Streams, Vocabulary, load_text

__all__ = ["Batches", "Series", "Streams", "Vocabulary", "load_digits", "load_series", "load_text", "windows"]
