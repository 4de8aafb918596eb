"""Recurrent layers over whole sequences (rnn, gru, lstm) and their single steps (rnn_cell, gru_cell, lstm_cell).

Weights, gate order (r z n; i f g o) and equations are PyTorch's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..function import Function
from ..random import next_seed
from ..tensor import Tensor
from . import _recurrent as plain
from ._recurrent import GATES, GRU, GRU_BEFORE, LSTM, RNN_RELU, RNN_TANH
from .dropout import dropout
from .join import cat
from .matmul import linear

__all__ = ["RecurrentWeights", "gru", "gru_cell", "lstm", "lstm_cell", "rnn", "rnn_cell"]


class RecurrentWeights(NamedTuple):
    """The weights of one layer and direction: G gates (1, 3 or 4), H units, I inputs, P = H or the projection's size.

    w_ih (G * H, I), w_hh (G * H, P), b_ih and b_hh (G * H,), w_hr (P, H), peephole (3, H) for the gates i, f, o.
    """

    w_ih: Any
    w_hh: Any
    b_ih: Any = None
    b_hh: Any = None
    w_hr: Any = None
    peephole: Any = None


def _weights(op: str, weights: Any, count: int) -> list[RecurrentWeights]:
    """One RecurrentWeights per layer and direction, from these, dicts, tuples, or PyTorch's flat list."""
    weights = list(weights)
    if weights and hasattr(weights[0], "shape"):
        each = len(weights) // max(count, 1)
        if each * count != len(weights) or each not in (2, 3, 4, 5):
            raise ValueError(f"{op}: weights has {len(weights)} arrays for {count} layers and directions")
        weights = [weights[i * each : (i + 1) * each] for i in range(count)]
        if each in (3, 5):  # w_hr is the last one
            weights = [[*w[:-1], *[None] * (5 - each), w[-1]] for w in weights]
    if len(weights) != count:
        raise ValueError(
            f"{op}: weights must have one entry per layer and direction: {count}, got {len(weights)}"
        )
    return [
        w
        if type(w) is RecurrentWeights
        else RecurrentWeights(**w)
        if isinstance(w, dict)
        else RecurrentWeights(*w)
        for w in weights
    ]


def _state(op: str, name: str, state: Any, shape: tuple[int, ...]) -> None:
    if state is not None and tuple(state.shape) != shape:
        raise ValueError(f"{op}: {name} must have shape {shape}, got {name}.shape={tuple(state.shape)}")


def _stacked(
    op: str,
    cell: int,
    x: Any,
    weights: Any,
    h0: Any,
    c0: Any,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
    dropout_p: float,
    training: bool,
    recurrent_dropout: float,
    lengths: Any,
) -> tuple[Any, ...]:
    """All layers: y, h_n, and of LSTM c_n and the last layer's cells."""
    directions = 2 if bidirectional else 1
    entries = _weights(op, weights, num_layers * directions)
    ndim = len(x.shape)
    if ndim not in (2, 3):
        raise ValueError(f"{op}: x must be (T, N, I), or (T, I) without a batch (x.shape={tuple(x.shape)})")
    if ndim == 2:
        x, batch_first = x[:, None], False
        if lengths is not None:
            raise ValueError(f"{op}: lengths needs a batch (x.shape={tuple(x.shape)})")
    batch = x.shape[0 if batch_first else 1]
    steps = x.shape[1 if batch_first else 0]
    w = entries[0]
    hidden, out = w.w_hh.shape[0] // GATES[cell], w.w_hh.shape[1]
    place = (batch,) if ndim == 3 else ()
    _state(op, "h0", h0, (len(entries), *place, out))
    _state(op, "c0", c0, (len(entries), *place, hidden))
    if ndim == 2:
        h0, c0 = (None if s is None else s[:, None] for s in (h0, c0))
    lengths = _lengths(op, lengths, steps, batch)
    found = []
    for i in range(num_layers):
        at = slice(i * directions, (i + 1) * directions)
        one = num_layers == 1
        mask = None
        if recurrent_dropout and training:
            ones = np.ones((directions, batch, out), x.dtype)
            mask = Function.kernels.dropout_forward(ones, recurrent_dropout, next_seed())
        found.append(
            plain.layer(
                cell,
                x,
                h0 if one or h0 is None else h0[at],
                c0 if one or c0 is None else c0[at],
                entries[at],
                lengths,
                mask,
                batch_first,
            )
        )
        x = found[-1][0]
        if dropout_p and training and i + 1 < num_layers:
            x = dropout(x, dropout_p)
    states = [
        found[0][k] if num_layers == 1 else cat([f[k] for f in found])
        for k in range(1, len(found[0]) - (cell == LSTM))
    ]
    result = [x, *states]
    if cell == LSTM:
        result.append(found[-1][3])
    return tuple(r[:, 0] for r in result) if ndim == 2 else tuple(result)


def _lengths(op: str, lengths: Any, steps: int, batch: int) -> Any:
    if lengths is None:
        return None
    lengths = np.asarray(lengths.data if isinstance(lengths, Tensor) else lengths)
    if lengths.shape != (batch,) or lengths.dtype.kind not in "iu":
        raise ValueError(
            f"{op}: lengths must be {batch} integers, got {lengths.dtype} of shape {lengths.shape}"
        )
    if batch and (lengths.min() < 0 or lengths.max() > steps):
        raise ValueError(f"{op}: lengths must be in [0, {steps}], got {lengths.tolist()}")
    return lengths.astype(np.int64)


def rnn(
    x: Any,
    weights: Any,
    h0: Any = None,
    *,
    nonlinearity: str = "tanh",
    num_layers: int = 1,
    bidirectional: bool = False,
    batch_first: bool = False,
    dropout: float = 0.0,
    training: bool = False,
    recurrent_dropout: float = 0.0,
    lengths: Any = None,
) -> tuple[Any, Any]:
    """h_t = tanh(x_t w_ih^T + b_ih + h_(t-1) w_hh^T + b_hh): a recurrent layer (Elman 1990), or a stack of them.

    x: (T, N, I), (N, T, I) with batch_first, or (T, I) without a batch. weights: one entry per layer and direction
    (l0, l0_reverse, l1, ...), each a RecurrentWeights, a dict or tuple of its fields; or the flat list of PyTorch.
    h0: (layers * directions, N, H), zeros if None. nonlinearity: 'tanh' or 'relu'. bidirectional: a second direction
    reads the sequence backwards, results side by side. dropout: between layers; recurrent_dropout: on h_(t-1), one
    mask for all steps (Gal & Ghahramani 2016); both only while training. lengths: (N,) steps of each sequence, in any
    order, 0 allowed: y is zero beyond them, h_n is the state at the sequence's own end, and what x holds there never
    matters. Returns y (T, N, directions * H) and h_n (layers * directions, N, H). Raises ValueError for shapes that
    don't fit. Semantics: torch.nn.RNN.

    >>> y, h = rnn(np.ones((5, 2, 3)), [(np.ones((4, 3)), np.ones((4, 4)))])
    >>> y.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """
    cell = _nonlinearity("rnn", nonlinearity)
    return _stacked(
        "rnn", cell, x, weights, h0, None, num_layers, bidirectional, batch_first, dropout, training,
        recurrent_dropout, lengths,
    )  # fmt: skip


def gru(
    x: Any,
    weights: Any,
    h0: Any = None,
    *,
    reset_after: bool = True,
    num_layers: int = 1,
    bidirectional: bool = False,
    batch_first: bool = False,
    dropout: float = 0.0,
    training: bool = False,
    recurrent_dropout: float = 0.0,
    lengths: Any = None,
) -> tuple[Any, Any]:
    """Gated recurrent units (Cho et al. 2014), arguments and results as in rnn.

    r, z = sigmoid(x_t w_ih^T + b_ih + h w_hh^T + b_hh), n = tanh(x_t w_in^T + b_in + r (h w_hn^T + b_hn)),
    h_t = (1 - z) n + z h with h = h_(t-1). reset_after=False is the paper's form (and ONNX's, Keras's by choice):
    n = tanh(x_t w_in^T + b_in + (r h) w_hn^T + b_hn). Semantics: torch.nn.GRU.
    """
    return _stacked(
        "gru", GRU if reset_after else GRU_BEFORE, x, weights, h0, None, num_layers, bidirectional, batch_first,
        dropout, training, recurrent_dropout, lengths,
    )  # fmt: skip


def lstm(
    x: Any,
    weights: Any,
    state: Any = None,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    batch_first: bool = False,
    dropout: float = 0.0,
    training: bool = False,
    recurrent_dropout: float = 0.0,
    lengths: Any = None,
    return_cells: bool = False,
) -> tuple[Any, ...]:
    """Long short-term memory (Hochreiter & Schmidhuber 1997), arguments as in rnn.

    i, f, o = sigmoid, g = tanh of x_t w_ih^T + b_ih + h_(t-1) w_hh^T + b_hh; c_t = f c_(t-1) + i g;
    h_t = o tanh(c_t), and w_hr h_t where an entry has w_hr (P, H). With peephole (3, H), c_(t-1) times its rows 0
    and 1 is added to i and f, c_t times row 2 to o (Gers & Schmidhuber 2000). state: (h0, c0), zeros if None; h0 is
    (layers * directions, N, P), c0 (layers * directions, N, H). Returns y and (h_n, c_n); with return_cells the last
    layer's cells (T, N, directions * H) are a third result. Semantics: torch.nn.LSTM.
    """
    h0, c0 = (None, None) if state is None else state
    y, h_n, c_n, cells = _stacked(
        "lstm", LSTM, x, weights, h0, c0, num_layers, bidirectional, batch_first, dropout, training,
        recurrent_dropout, lengths,
    )  # fmt: skip
    return (y, (h_n, c_n), cells) if return_cells else (y, (h_n, c_n))


def _nonlinearity(op: str, nonlinearity: str) -> int:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{op}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return RNN_TANH if nonlinearity == "tanh" else RNN_RELU


def _cell(op: str, cell: int, x: Any, h: Any, c: Any, w: RecurrentWeights) -> tuple[Any, Any]:
    if len(x.shape) not in (1, 2):
        raise ValueError(f"{op}: x must be (N, I) or (I,) (x.shape={tuple(x.shape)})")
    if len(x.shape) == 1:
        h, c = _cell(op, cell, x[None], None if h is None else h[None], None if c is None else c[None], w)
        return h[0], None if c is None else c[0]
    hidden = w.w_hh.shape[0] // GATES[cell]
    for name, s in (("h", h), ("c", c)):
        _state(op, name, s, (x.shape[0], hidden))
    if h is None:
        h = np.zeros((x.shape[0], hidden), x.dtype)
    if c is None and cell == LSTM:
        c = np.zeros((x.shape[0], hidden), x.dtype)
    return plain.step(cell, linear(x, w.w_ih, w.b_ih), h, c, w)


def rnn_cell(
    x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, nonlinearity: str = "tanh"
) -> Any:
    """One step of rnn: x (N, I) or (I,), h (N, H) or (H,), zeros if None; returns the next h."""
    w = RecurrentWeights(w_ih, w_hh, b_ih, b_hh)
    return _cell("rnn_cell", _nonlinearity("rnn_cell", nonlinearity), x, h, None, w)[0]


def gru_cell(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of gru: x (N, I) or (I,), h (N, H) or (H,), zeros if None; returns the next h."""
    return _cell("gru_cell", GRU, x, h, None, RecurrentWeights(w_ih, w_hh, b_ih, b_hh))[0]


def lstm_cell(
    x: Any, state: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> tuple[Any, Any]:
    """One step of lstm: x (N, I) or (I,), state (h, c) of (N, H) or (H,) each, zeros if None; returns the next (h, c)."""
    h, c = (None, None) if state is None else state
    return _cell("lstm_cell", LSTM, x, h, c, RecurrentWeights(w_ih, w_hh, b_ih, b_hh))
