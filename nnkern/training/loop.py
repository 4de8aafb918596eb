"""One loop over epochs and batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..data import Batches
from ..tensor import Tensor


def fit(
    model: Any,
    batches: Batches,
    loss_function: Callable[..., Any],
    optimiser: Any,
    epochs: int,
    augment: Callable[[np.ndarray], np.ndarray] | None = None,
    schedule: Callable[[float], float] | None = None,
    evaluate: Callable[[], dict[str, float]] | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Trains `model` and returns its history: one {"epoch", "loss", **evaluate()} per epoch.

    loss: the mean over the epoch's rows. progress is called with each of these dicts as soon as it is known.
    A batch is (x, y), or (x, more..., y): model(x, more...) is compared with y. augment changes each batch of x;
    schedule gives the factor of the learning rates as a function of the share of the training that is done.
    """
    history: list[dict[str, Any]] = []
    rates = [group["lr"] for group in optimiser.param_groups]
    step, steps = 0, epochs * len(batches)
    for epoch in range(1, epochs + 1):
        model.train()
        total = rows = 0
        for x, *more, y in batches:
            if schedule is not None:
                for group, rate in zip(optimiser.param_groups, rates):
                    group["lr"] = rate * schedule(step / steps)
            step += 1
            loss = loss_function(model(Tensor(x if augment is None else augment(x)), *more), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total, rows = total + loss.item() * len(x), rows + len(x)
        record = {"epoch": epoch, "loss": total / rows}
        if evaluate is not None:
            record |= evaluate()
        history.append(record)
        if progress is not None:
            progress(record)
    return history


def predict(model: Any, x: np.ndarray, batch_size: int = 1024) -> np.ndarray:
    """The class with the highest score for each row of x, with the model in inference mode."""
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            parts = [
                model(Tensor(x[i : i + batch_size])).data.argmax(1) for i in range(0, len(x), batch_size)
            ]
    finally:
        model.train(was_training)
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def accuracy(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    """The share of rows of x whose predicted class is y."""
    return float((predict(model, x) == y).mean())
