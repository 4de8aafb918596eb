"""A recurrent forecaster of time series."""

from __future__ import annotations

from typing import Any

from .. import nn


class Forecaster(nn.Module):
    """What was seen, (N, T, features), to the next `horizon` values (N, horizon): GRU, then Linear on its last state."""

    def __init__(self, features: int, hidden: int, horizon: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.rnn = nn.GRU(features, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, horizon)

    def forward(self, x: Any) -> Any:
        _, h = self.rnn(x)
        return self.out(self.dropout(h[0]))
