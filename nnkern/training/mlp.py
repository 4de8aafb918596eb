"""An MLP that reads handwritten digits: the whole of nnkern at work in a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..data import load_digits
from ..models import MLP
from ..random import generator, manual_seed
from .digits import DigitsResult, learn

# The 64 places of an 8 x 8 window in a 10 x 10 image, for each of its 9 positions.
_WINDOWS = np.array(
    [[(top + i) * 10 + left + j for i in range(8) for j in range(8)] for top in range(3) for left in range(3)]
)
_CENTRE = 4


def jitter(x: np.ndarray) -> np.ndarray:
    """Every second image (N, 64), on average, moved by up to a pixel each way; it stays the same digit."""
    g = generator()
    window = np.where(g.random(len(x)) < 0.5, g.integers(0, 9, len(x)), _CENTRE)
    padded = ops.pad(x.reshape(-1, 8, 8), (1, 1, 1, 1)).reshape(-1, 100)
    return ops.gather(padded, 1, _WINDOWS[window])


def train_digits(
    epochs: int = 40,
    batch_size: int = 64,
    lr: float = 3e-3,
    seed: int = 0,
    hidden: tuple[int, ...] = (256, 128),
    dropout: float = 0.2,
    dtype: Any = np.float32,
    progress: Callable[[dict[str, Any]], None] | None = None,
    checkpoint: Any = None,
) -> DigitsResult:
    """Trains MLP(64, *hidden, 10) on scikit-learn's digits with Adam, dropout and jitter, repeatably.

    progress: called once per epoch with {"epoch", "loss", "accuracy"}. checkpoint: where to save the weights
    (safetensors), if anywhere.

    >>> train_digits().test_accuracy > 0.97
    True
    """
    manual_seed(seed)
    digits = load_digits()
    x_train, x_test = digits.x_train.astype(dtype, copy=False), digits.x_test.astype(dtype, copy=False)
    model = MLP(64, *hidden, 10, dropout=dropout)
    model.to(dtype)
    return learn(
        model,
        digits._replace(x_train=x_train, x_test=x_test),
        epochs,
        batch_size,
        lr,
        jitter,
        progress,
        checkpoint,
    )
