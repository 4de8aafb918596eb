"""Small real data sets and the iterators that feed them."""

from .batches import Batches
from .customers import Events, histories, load_events, simulate_events
from .digits import load_digits
from .series import Series, load_series, windows
from .text import Streams, Vocabulary, load_text

__all__ = [
    "Batches", "Events", "Series", "Streams", "Vocabulary", "histories", "load_digits", "load_events", "load_series",
    "load_text", "simulate_events", "windows",
]  # fmt: skip
