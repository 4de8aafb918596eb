"""A recurrent classifier of sequences of unequal length."""

from __future__ import annotations

from typing import Any

from .. import nn


class SequenceClassifier(nn.Module):
    """Sequences (N, T, features) of the given lengths (N,) to scores (N, classes): GRU, then Linear on its last state."""

    def __init__(self, features: int, hidden: int = 32, classes: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.rnn = nn.GRU(features, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, classes)

    def forward(self, x: Any, lengths: Any) -> Any:
        longest = int(lengths.max()) if len(lengths) else 0
        _, h = self.rnn(x[:, :longest], lengths=lengths)
        return self.out(self.dropout(h[0]))
