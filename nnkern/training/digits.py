"""What the digit readers share: Adam under a cosine, the confusion of the test images, the checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import nn, optim
from ..data import Batches
from ..data.digits import Digits
from ..serialization import save
from .loop import accuracy, fit, predict


class DigitsResult(NamedTuple):
    """history: one dict per epoch, see fit; test_accuracy in [0, 1]; confusion[true, predicted] counts."""

    model: Any
    history: list[dict[str, Any]]
    test_accuracy: float
    confusion: np.ndarray


def cosine(done: float) -> float:
    """From 1 down to 0 (Loshchilov and Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * done))


def learn(
    model: Any,
    digits: Digits,
    epochs: int,
    batch_size: int,
    lr: float,
    augment: Callable[[np.ndarray], np.ndarray],
    progress: Callable[[dict[str, Any]], None] | None,
    checkpoint: Any,
) -> DigitsResult:
    """Trains model on batches of augment(digits.x_train); digits.x_test is what the model takes."""
    history = fit(
        model,
        Batches(digits.x_train, digits.y_train, batch_size=batch_size),
        nn.CrossEntropyLoss(),
        optim.Adam(model.parameters(), lr=lr),
        epochs,
        augment=augment,
        schedule=cosine,
        evaluate=lambda: {"accuracy": accuracy(model, digits.x_test, digits.y_test)},
        progress=progress,
    )
    confusion = np.zeros((10, 10), np.int64)
    np.add.at(confusion, (digits.y_test, predict(model, digits.x_test)), 1)
    test_accuracy = float(np.trace(confusion) / confusion.sum())
    if checkpoint is not None:
        metadata = {"model": repr(model), "test_accuracy": f"{test_accuracy:.4f}"}
        save(model.state_dict(), checkpoint, metadata=metadata)
    return DigitsResult(model, history, test_accuracy, confusion)
