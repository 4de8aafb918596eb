"""LeNet-5 reads the digits at 28 x 28."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..data import load_digits
from ..models import LeNet5
from ..random import generator, manual_seed
from .digits import DigitsResult, learn


def enlarge(x: np.ndarray, shift: float = 0.0, zoom: float = 0.0) -> np.ndarray:
    """Images (N, 64) drawn at 28 x 28 by linear interpolation: (N, 1, 28, 28).

    Each is moved by up to `shift` of its pixels and stretched by up to exp(zoom), both ways and per axis, drawn
    evenly from nnkern.manual_seed's generator.
    """
    g, n = generator(), len(x)

    def weights() -> np.ndarray:
        """(N, 28, 8): how much of each pixel of a row (column) there is in each of the enlarged one."""
        scale = 8 / 28 * np.exp(g.uniform(-zoom, zoom, (n, 1, 1)))
        place = 3.5 + g.uniform(-shift, shift, (n, 1, 1)) + scale * (np.arange(28.0)[:, None] - 13.5)
        return np.maximum(0, 1 - np.abs(place - np.arange(8))).astype(x.dtype)

    rows, columns = weights(), weights()
    return ops.matmul(ops.matmul(rows, x.reshape(n, 8, 8)), columns.swapaxes(1, 2))[:, None]


def train_lenet5(
    epochs: int = 60,
    batch_size: int = 64,
    lr: float = 3e-3,
    seed: int = 0,
    progress: Callable[[dict[str, Any]], None] | None = None,
    checkpoint: Any = None,
) -> DigitsResult:
    """Trains LeNet5 on scikit-learn's digits, enlarged to 28 x 28 at random places and sizes, repeatably.

    progress: called once per epoch with {"epoch", "loss", "accuracy"}. checkpoint: where to save the weights
    (safetensors), if anywhere.

    >>> train_lenet5().test_accuracy >= 0.985
    True
    """
    manual_seed(seed)
    digits = load_digits()
    return learn(
        LeNet5(), digits._replace(x_test=enlarge(digits.x_test)), epochs, batch_size, lr,
        lambda x: enlarge(x, 0.7, 0.15), progress, checkpoint,
    )  # fmt: skip
