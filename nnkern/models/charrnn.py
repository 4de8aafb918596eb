"""A character-level language model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import nn, ops
from ..autograd import no_grad

_CELLS: dict[str, Any] = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}


def detach(state: Any) -> Any:
    """The numbers of a recurrent state without its history: truncated backpropagation through time."""
    return tuple(map(detach, state)) if isinstance(state, tuple) else state.detach()


class CharRNN(nn.Module):
    """Numbers of characters (T, N) to scores of what comes next (T, N, vocabulary), and the state after them.

    cell: 'gru', 'lstm' or 'rnn'. After Graves, "Generating sequences with recurrent neural networks", 2013.
    """

    def __init__(
        self, vocabulary: int, hidden: int = 256, layers: int = 1, cell: str = "gru", embedding: int = 64,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if cell not in _CELLS:
            raise ValueError(f"CharRNN: cell must be one of {', '.join(_CELLS)}, got {cell!r}")
        self.embedding = nn.Parameter(np.empty((vocabulary, embedding), np.float32))
        nn.init.normal_(self.embedding)
        self.rnn = _CELLS[cell](embedding, hidden, layers, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, vocabulary)

    def forward(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        y, state = self.rnn(ops.embedding(x, self.embedding), state)
        return self.out(self.dropout(y)), state

    def generate(
        self, prompt: np.ndarray, length: int, temperature: float = 1.0, seed: int | None = None
    ) -> Iterator[int]:
        """`length` numbers that go on from the prompt, each as soon as it is drawn.

        temperature: divides the scores; towards 0 the likeliest character always, above 1 more variety.
        """
        if not len(prompt) or not temperature >= 0:
            raise ValueError(
                f"generate: needs a prompt and temperature >= 0, got {len(prompt)} characters and {temperature}"
            )
        random = np.random.Generator(np.random.Philox(seed))
        was_training = self.training
        self.eval()
        try:
            state, x = None, np.asarray(prompt, np.int64)[:, None]
            for draw in random.random(length):
                with no_grad():
                    scores, state = self(x, state)
                number = _choose(scores.data[-1, 0], temperature, draw)
                yield number
                x = np.array([[number]])
        finally:
            self.train(was_training)


def _choose(scores: np.ndarray, temperature: float, draw: float) -> int:
    """The character at `draw` in [0, 1) of the cumulated probabilities."""
    best = int(scores.argmax())
    if temperature < 1e-3:
        return best
    p = np.exp((scores - scores[best]).astype(np.float64) / temperature).cumsum()
    return min(int(p.searchsorted(draw * p[-1], side="right")), len(p) - 1)
