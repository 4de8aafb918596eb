"""Which customers will order within a week? A GRU reads their histories; counts of events are the rival."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import nn, ops, optim
from ..autograd import no_grad
from ..data import Batches
from ..data.customers import Events, Histories, histories, simulate_events
from ..models.classifier import SequenceClassifier
from ..random import manual_seed
from ..serialization import save
from ..tensor import Tensor
from .digits import cosine
from .loop import fit


class PropensityResult(NamedTuple):
    """test: histories and outcomes of the last days, none of them seen in training. chances: what each rival said of
    them: 'GRU', 'logistic regression', and for simulated customers 'truth', which none can beat. scores: (customer,
    chance of the target in the days after the last event), the likeliest first."""

    model: SequenceClassifier
    history: list[dict[str, Any]]
    test: Histories
    chances: dict[str, np.ndarray]
    scores: list[tuple[str, float]]

    def auc(self, name: str) -> float:
        return auc(self.test.y, self.chances[name])

    def captured(self, name: str, share: float = 0.1) -> float:
        """How many of those with y = 1 are in the likeliest `share` of all."""
        order = np.argsort(-self.chances[name], kind="stable")
        return float(self.test.y[order[: round(share * len(order))]].sum() / max(1, self.test.y.sum()))


def auc(y: np.ndarray, score: np.ndarray) -> float:
    """How often a customer with y = 1 has a higher score than one with y = 0; ties count half. NaN if one is missing."""
    _, rank, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[rank]
    ones = int(y.sum())
    zeros = len(y) - ones
    return (
        float((ranks[y == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))
        if ones * zeros
        else float("nan")
    )


def chances_of(model: SequenceClassifier, h: Histories, batch_size: int = 512) -> np.ndarray:
    """The model's probability of the target for each history."""
    was_training = model.training
    model.eval()
    with no_grad():
        parts = [
            ops.softmax(model(Tensor(h.x[i : i + batch_size]), h.lengths[i : i + batch_size]).data, 1)[:, 1]
            for i in range(0, len(h.x), batch_size)
        ]
    model.train(was_training)
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def train_propensity(
    events: Events | None = None, target: str = "order", within: float = 7.0, epochs: int = 6, hidden: int = 32,
    batch_size: int = 64, lr: float = 5e-3, moments: int = 8, most: int = 64, seed: int = 0,
    progress: Callable[[dict[str, Any]], None] | None = None, checkpoint: Any = None,
) -> PropensityResult:  # fmt: skip
    """Trains SequenceClassifier on events (default: simulate_events()) to tell who does `target` within so many days.

    The last `within` days are for testing. Training looks at the customers at so many `moments` before, `within`
    days apart, with the outcome that followed each; histories are cut to the last `most` events. progress: called
    once per epoch with {"epoch", "loss", "auc"}. checkpoint: where to save the weights, if anywhere.
    """
    manual_seed(seed)
    chance = None
    if not 0 < within < np.inf:
        raise ValueError(f"train_propensity: within must be a positive number of days, not {within}")
    if events is None:
        if within % 1:
            raise ValueError(
                f"train_propensity: simulated customers live by whole days, within={within} is none"
            )
        events, chance = simulate_events(within=int(within), seed=seed)
        end = float(np.floor(events.time.max()) + 1)
    else:
        end = float(np.nextafter(events.time.max(), np.inf))
    test = histories(events, end - within, target, within, most)
    past = [histories(events, end - (2 + k) * within, target, within, most) for k in range(moments)]
    past = [h for h in past if len(h.x)]
    outcomes = np.concatenate([h.y for h in past]) if past else np.zeros(0)
    if not len(test.x) or not 0 < outcomes.sum() < len(outcomes):
        what = f"nobody without {target!r}" if outcomes.any() else f"no {target!r}"
        raise ValueError(
            f"train_propensity: {len(events.time)} events of {len(events.names)} customers over "
            f"{end - events.time.min():.0f} days hold {what} to learn from, {within:g} days and more before the end"
        )
    steps = max(h.x.shape[1] for h in past)
    x = np.concatenate([np.pad(h.x, ((0, 0), (0, steps - h.x.shape[1]), (0, 0))) for h in past])
    lengths, y = np.concatenate([h.lengths for h in past]), np.concatenate([h.y for h in past])
    model = SequenceClassifier(x.shape[2], hidden)
    history = fit(
        model,
        Batches(x, lengths, y, batch_size=batch_size),
        nn.CrossEntropyLoss(),
        optim.Adam(model.parameters(), lr=lr),
        epochs,
        schedule=cosine,
        evaluate=lambda: {"auc": auc(test.y, chances_of(model, test))},
        progress=progress,
    )
    chances = {"GRU": chances_of(model, test), "logistic regression": _regression(past, y, test)}
    if chance is not None:
        chances["truth"] = chance[test.customer]
    if checkpoint is not None:
        facts = {
            "kinds": ",".join(events.kinds),
            "target": target,
            "within": f"{within:g}",
            "hidden": str(hidden),
        }
        save(model.state_dict(), checkpoint, metadata=facts)
    now = histories(events, end, target, within, most)
    scores = [(events.names[c], float(p)) for c, p in zip(now.customer, chances_of(model, now))]
    return PropensityResult(model, history, test, chances, sorted(scores, key=lambda s: -s[1]))


def _regression(past: list[Histories], y: np.ndarray, test: Histories) -> np.ndarray:
    """Logistic regression on the counts of each kind of event: ever, in the last 30 days, in the last 7."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise ImportError(
            "train_propensity: the rival is scikit-learn's: pip install 'nnkern[cli]'"
        ) from None
    rival = LogisticRegression(max_iter=1000).fit(np.concatenate([h.counts for h in past]), y)
    return rival.predict_proba(test.counts)[:, 1]


def save_scores(scores: list[tuple[str, float]], path: Any) -> None:
    """customer, probability as a CSV file."""
    with open(path, "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["customer", "probability"])
        writer.writerows((name, f"{p:.5f}") for name, p in scores)
