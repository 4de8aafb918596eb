"""A GRU that forecasts a real series, against the forecasts that everybody can make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import nn, optim
from ..autograd import no_grad
from ..data import Batches
from ..data.series import Series, load_series, windows
from ..models.forecaster import Forecaster
from ..random import manual_seed
from ..serialization import save
from ..tensor import Tensor
from .digits import cosine
from .loop import fit

_LARGEST = 1e100  # its square is a number still
# (history, horizon, epochs): three cycles of the sun and half of one; two years of weeks and half a year.
_DEFAULTS = {"sunspots": (33, 5, 60), "co2": (104, 26, 40)}


class SeriesResult(NamedTuple):
    """Forecasts of the test part. truth and each of forecasts: (origins, horizon), the values after times[origins].

    forecasts: 'gru'; 'naive' (the last value stays); 'linear' (least squares on the same windows).
    """

    model: Forecaster
    series: Series
    history: list[dict[str, Any]]
    origins: np.ndarray
    truth: np.ndarray
    forecasts: dict[str, np.ndarray]

    def rmse(self, name: str) -> float:
        """Root mean square error over all origins and steps, in the series' unit."""
        return float(np.sqrt(np.mean((self.forecasts[name] - self.truth) ** 2)))

    def rmse_by_step(self, name: str) -> np.ndarray:
        return np.sqrt(np.mean((self.forecasts[name] - self.truth) ** 2, axis=0))


def _frame(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each window's last value and deviation, (N, 1): relative to them a trend or a larger swing is nothing new.

    In float64: what float32 rounds away of a large value may be all of its change.
    """
    return x[:, -1:], np.maximum(x.std(1, keepdims=True), 1e-6 * np.ptp(x) + 1e-30)


def _relative(y: np.ndarray, last: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return ((y - last) / scale).astype(np.float32)


def train_timeseries(
    series: Series | str = "sunspots", history: int = 0, horizon: int = 0, epochs: int = 0,
    hidden: int = 32, batch_size: int = 32, lr: float = 5e-3, dropout: float = 0.2, test_share: float = 0.25,
    seed: int = 0, progress: Callable[[dict[str, Any]], None] | None = None, checkpoint: Any = None,
) -> SeriesResult:  # fmt: skip
    """Trains Forecaster on the first part of the series and forecasts the last test_share of it.

    Each forecast sees `history` values and gives the next `horizon`; 0 leaves them, and the epochs, to the series.
    No value of the test part is used in training. progress: called once per epoch with {"epoch", "epochs", "loss"}.
    checkpoint: where to save the weights, if anywhere.
    """
    manual_seed(seed)
    defaults = _DEFAULTS.get(series, (30, 5, 30)) if isinstance(series, str) else (30, 5, 30)
    history, horizon, epochs = (a or b for a, b in zip((history, horizon, epochs), defaults))
    series = load_series(series) if isinstance(series, str) else series
    values = np.asarray(series.values, np.float64)
    if not np.abs(values).max(initial=0) <= _LARGEST:
        raise ValueError(
            f"train_timeseries: {series.name} must hold finite values up to {_LARGEST:g}, "
            f"not {values[np.abs(values).argmax()]:g}"
        )
    cut = len(values) - round(len(values) * test_share)
    x, y = windows(values[:cut], history, horizon)
    x_test, truth = windows(values[cut - history :], history, horizon)
    last, scale = _frame(x)
    model = Forecaster(1, hidden, horizon, dropout)
    records = fit(
        model,
        Batches(_relative(x, last, scale)[..., None], _relative(y, last, scale), batch_size=batch_size),
        nn.MSELoss(),
        optim.AdamW(model.parameters(), lr=lr, weight_decay=1e-2),
        epochs,
        schedule=cosine,
        progress=None if progress is None else lambda r: progress({**r, "epochs": epochs}),
    )
    forecasts = {
        "gru": forecast(model, x_test),
        "naive": np.repeat(x_test[:, -1:], horizon, 1),
        "linear": _linear(x, y, x_test),
    }
    if checkpoint is not None:
        facts = {
            "series": series.name,
            "history": str(history),
            "horizon": str(horizon),
            "hidden": str(hidden),
        }
        save(model.state_dict(), checkpoint, metadata=facts)
    origins = np.arange(cut - 1, cut - 1 + len(truth))
    return SeriesResult(model, series, records, origins, truth, forecasts)


def forecast(model: Forecaster, x: np.ndarray) -> np.ndarray:
    """The values after each window of x (N, history): (N, horizon)."""
    x = np.asarray(x, np.float64)
    last, scale = _frame(x)
    model.eval()
    with no_grad():
        return last + scale * model(Tensor(_relative(x, last, scale)[..., None])).data


def _linear(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Linear autoregression: ridge regression of the change on the window, both relative to its last value."""

    def design(x: np.ndarray) -> np.ndarray:
        return np.hstack([x[:, :-1] - x[:, -1:], np.ones((len(x), 1))])

    a, b = design(x), y - x[:, -1:]
    ridge = 1e-3 * np.trace(a.T @ a) / a.shape[1] * np.eye(a.shape[1])
    return x_test[:, -1:] + design(x_test) @ np.linalg.solve(a.T @ a + ridge, a.T @ b)
