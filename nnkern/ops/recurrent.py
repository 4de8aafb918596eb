"""Recurrent layers over whole sequences (rnn, gru, lstm) and their single steps (rnn_cell, gru_cell, lstm_cell).

Weights, gate order (r z n; i f g o) and equations are PyTorch's.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from ..device import numpy_dtype
from ..function import Function, grad_mode
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


_ABSENT = (None,) * 6  # weights of a second direction


def _run(inputs: Any, lengths: Any, mask: Any, cell: int, batch_first: bool, save: int) -> Any:
    """y, h_n, c_n, all cells (save > 0) and gates (save > 1) of one layer; inputs as Recurrent takes them."""
    if len(inputs) == 9:
        inputs += _ABSENT
    return Function.kernels.recurrent_forward(*inputs, lengths, mask, cell, batch_first, save)


def _wanted(found: Any, cell: int, save: int) -> Any:
    if cell != LSTM:
        return found[:2]
    return found[:4] if save else found[:3]


class Recurrent(Function):
    """One layer, in one or two directions. Inputs: x, h0, c0, and the six weights of each direction."""

    def __init__(
        self, cell: int, directions: int, lengths: Any, mask: Any, batch_first: bool, save: int
    ) -> None:
        self.cell, self.directions, self.lengths, self.mask = cell, directions, lengths, mask
        self.batch_first, self.save = batch_first, save

    @property
    def name(self) -> str:
        return ("rnn", "rnn", "lstm", "gru", "gru")[self.cell]

    def forward(self, *inputs: Any) -> Any:
        found = _run(inputs, self.lengths, self.mask, self.cell, self.batch_first, self.save)
        if self.save == 2:
            y, _, _, cells, gates = found
            self.saved = (*inputs, y, cells, gates)
        return _wanted(found, self.cell, self.save)

    def backward(self, *gys: Any) -> Any:
        count = 3 + 6 * self.directions
        if any(isinstance(g, Tensor) for g in gys):
            return tuple(plain.taped_gradients(self._plain, self.saved[:count], self.needs_input_grad, gys))
        return self._gradients(self.saved, *gys)

    def _gradients(self, saved: Any, gy: Any, gh: Any, gc: Any = None, gcells: Any = None) -> Any:
        x, h0, c0, *weights, y, cells, gates = saved
        needs = self.needs_input_grad
        both = [(w[0], w[1], w[4], w[5]) for w in (weights[:6], weights[6:] or _ABSENT)]
        gx, gh0, gc0, gw_ih, gw_hh, gb_ih, gb_hh, gw_hr, gp = self.kernels.recurrent_backward(
            gy, gh, gc, gcells, x, h0, c0, *both[0], *both[1], self.lengths, self.mask, y, cells, gates,
            self.cell, self.batch_first, needs[0],
        )  # fmt: skip
        found = [gw_ih, gw_hh, gb_ih, gb_hh if self.cell == GRU else gb_ih, gw_hr, gp]
        if self.directions == 2:
            found = [g[: len(g) // 2] for g in found] + [g[len(g) // 2 :] for g in found]
        return tuple(g if need else None for g, need in zip((gx, gh0, gc0, *found), needs))

    def _plain(self, x: Any, h0: Any, c0: Any, *weights: Any) -> Any:
        sides = [RecurrentWeights(*weights[i : i + 6]) for i in range(0, len(weights), 6)]
        return plain.layer(self.cell, x, h0, c0, sides, self.lengths, self.mask, self.batch_first)


class RecurrentCell(Recurrent):
    """One step: x (N, I), h (N, H) or None, c likewise, six weights; gives h, and c of LSTM."""

    def __init__(self, cell: int, save: int) -> None:
        Recurrent.__init__(self, cell, 1, None, None, False, save)

    def forward(self, x: Any, h: Any, c: Any, *weights: Any) -> Any:
        found = Recurrent.forward(
            self, x[None], None if h is None else h[None], None if c is None else c[None], *weights
        )
        if self.save == 2:
            self.saved = (x, h, c, *self.saved[3:])
        return (found[1][0], found[2][0]) if self.cell == LSTM else found[1][0]

    def backward(self, *gys: Any) -> Any:
        if any(isinstance(g, Tensor) for g in gys):
            return tuple(plain.taped_gradients(self._plain, self.saved[:9], self.needs_input_grad, gys))
        saved = [a if a is None or i > 2 else a[None] for i, a in enumerate(self.saved)]
        found = self._gradients(saved, None, *[None if g is None else g[None] for g in gys])
        return tuple(g if g is None or i > 2 else g[0] for i, g in enumerate(found))

    def _plain(self, x: Any, h: Any, c: Any, *weights: Any) -> Any:
        w = RecurrentWeights(*weights)
        shape = (x.shape[0], w.w_hh.shape[1])
        h = np.zeros(shape, x.dtype) if h is None else h
        c = np.zeros(shape, x.dtype) if c is None else c
        return plain.step(self.cell, linear(x, w.w_ih, w.b_ih), h, c, w)


_PLAIN = {np.ndarray, type(None)}


def _taped(inputs: Any) -> bool:
    return grad_mode.enabled and any(isinstance(x, Tensor) and x.requires_grad for x in inputs)


def _weights(op: str, weights: Any, count: int) -> list[RecurrentWeights]:
    """One RecurrentWeights per layer and direction, from these, dicts, tuples, or PyTorch's flat list."""
    if type(weights) is list and len(weights) == 1 == count and type(weights[0]) is RecurrentWeights:
        return weights
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
    if state is None:
        return
    if not hasattr(state, "shape"):
        raise TypeError(f"{op}: {name} must be an array of shape {shape}, got {type(state).__name__}")
    if tuple(state.shape) != shape:
        raise ValueError(f"{op}: {name} must have shape {shape}, got {name}.shape={tuple(state.shape)}")


def _kind(e: Exception) -> type[Exception]:
    return TypeError if isinstance(e, TypeError) else ValueError


def _reshaped(text: str, shape: Any, given: Any) -> str:
    """A message about x as it was given."""
    return text.replace(f"x.shape={tuple(shape)}", f"x.shape={tuple(given)}")


def _pair(op: str, names: str, state: Any) -> Any:
    """Both states of an LSTM, or None for each."""
    if state is None:
        return None, None
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        got = f"{len(state)} of them" if isinstance(state, (tuple, list)) else type(state).__name__
        raise ValueError(f"{op}: the state must be the pair ({names}), got {got}")
    return state


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
    return_cells: bool = False,
) -> tuple[Any, ...]:
    """All layers: y, h_n, of LSTM c_n, and the last layer's cells if asked for."""
    if num_layers < 1:
        raise ValueError(f"{op}: num_layers must be at least 1, got {num_layers}")
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"{op}: dropout must lie in [0, 1], got {dropout_p}")
    directions = 2 if bidirectional else 1
    entries = _weights(op, weights, num_layers * directions)
    shape = x.shape
    ndim = len(shape)
    if ndim != 3:
        if ndim != 2:
            raise ValueError(f"{op}: x must be (T, N, I), or (T, I) without a batch (x.shape={tuple(shape)})")
        if lengths is not None:
            raise ValueError(f"{op}: lengths needs a batch (x.shape={tuple(shape)})")
        x, batch_first = x[:, None], False
    batch = shape[0 if batch_first else 1] if ndim == 3 else 1
    steps = shape[1 if batch_first else 0]
    place = (batch,) if ndim == 3 else ()
    if len(getattr(entries[0].w_hh, "shape", ())) != 2:
        raise ValueError(f"{op}: w_hh must have shape (gates * H, P), got {entries[0].w_hh!r}")
    rows, out = entries[0].w_hh.shape
    if h0 is not None:
        _state(op, "h0", h0, (len(entries), *place, out))
    if c0 is not None:
        _state(op, "c0", c0, (len(entries), *place, rows // GATES[cell]))
    if ndim == 2:
        h0, c0 = (None if s is None else s[:, None] for s in (h0, c0))
    if lengths is not None:
        lengths = _lengths(op, lengths, steps, batch)
    states: list[Any] = []
    for i in range(num_layers):
        side, h, c = entries, h0, c0
        if num_layers > 1:
            at = slice(i * directions, (i + 1) * directions)
            side = entries[at]
            h, c = (s if s is None else s[at] for s in (h0, c0))
        mask = None
        if recurrent_dropout and training:
            ones = np.ones((directions, batch, side[0].w_hh.shape[1]), numpy_dtype(x.dtype))
            mask = Function.kernels.dropout_forward(ones, recurrent_dropout, next_seed())
        inputs = (x, h, c, *side[0]) if directions == 1 else (x, h, c, *side[0], *side[1])
        save = int(return_cells)
        try:
            if _PLAIN.issuperset(map(type, inputs)):  # the shortest way: a step may take a microsecond
                found = _wanted(_run(inputs, lengths, mask, cell, batch_first, save), cell, save)
            else:
                save = 2 if _taped(inputs) else save
                found = Recurrent(cell, directions, lengths, mask, batch_first, save)(*inputs)
        except (TypeError, ValueError) as e:
            text = str(e) if i or ndim == 3 else _reshaped(str(e), x.shape, shape)
            raise _kind(e)(text if num_layers == 1 else f"{text} (layer l{i})") from None
        if num_layers == 1 and ndim == 3:
            return found
        x, *last = found
        states.append(last)
        if dropout_p and training and i + 1 < num_layers:
            x = dropout(x, dropout_p)
    count = 2 if cell == LSTM else 1
    result = [x, *(states[0] if num_layers == 1 else [cat([s[k] for s in states]) for k in range(count)])]
    if return_cells and num_layers > 1:
        result.append(states[-1][2])
    return tuple(r[:, 0] for r in result) if ndim == 2 else tuple(result)


def _lengths(op: str, lengths: Any, steps: int, batch: int) -> Any:
    if lengths is None:
        return None
    lengths = np.asarray(lengths.data if isinstance(lengths, Tensor) else lengths)
    if lengths.shape != (batch,) or (batch and lengths.dtype.kind not in "iu"):
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
    n = tanh(x_t w_in^T + b_in + (r h) w_hn^T + b_hn). recurrent_dropout masks the h of the products, not that of
    z h: the state itself is carried on. Semantics: torch.nn.GRU.

    >>> y, h = gru(np.ones((5, 2, 3)), [(np.ones((12, 3)), np.ones((12, 4)))], lengths=[5, 2])
    >>> y.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
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

    >>> y, (h, c) = lstm(np.ones((5, 2, 3)), [(np.ones((16, 3)), np.ones((16, 4)))])
    >>> y.shape, h.shape, c.shape
    ((5, 2, 4), (1, 2, 4), (1, 2, 4))
    """
    h0, c0 = _pair("lstm", "h0, c0", state)
    y, h_n, c_n, *cells = _stacked(
        "lstm", LSTM, x, weights, h0, c0, num_layers, bidirectional, batch_first, dropout, training,
        recurrent_dropout, lengths, return_cells,
    )  # fmt: skip
    return (y, (h_n, c_n), cells[0]) if return_cells else (y, (h_n, c_n))


def _nonlinearity(op: str, nonlinearity: str) -> int:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{op}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return RNN_TANH if nonlinearity == "tanh" else RNN_RELU


def _cell(op: str, cell: int, x: Any, h: Any, c: Any, w: RecurrentWeights) -> Any:
    ndim = len(x.shape)
    if ndim == 1:
        for name, s in (("h", h), ("c", c)):
            _state(op, name, s, (w.w_hh.shape[0] // GATES[cell],))
        found = _cell(op, cell, x[None], None if h is None else h[None], None if c is None else c[None], w)
        return (found[0][0], found[1][0]) if cell == LSTM else found[0]
    if ndim != 2:
        raise ValueError(f"{op}: x must be (N, I) or (I,) (x.shape={tuple(x.shape)})")
    shape = (x.shape[0], w.w_hh.shape[0] // GATES[cell])
    _state(op, "h", h, shape)
    _state(op, "c", c, shape)
    inputs = (x, h, c, *w)
    try:
        return RecurrentCell(cell, 2 if _taped(inputs) else 0)(*inputs)
    except (TypeError, ValueError) as e:
        # without the kernel's name; its h0 and c0 are h and c here
        text = re.sub(r"^\w+: |(?<=\b[hc])0\b", "", str(e))
        raise _kind(e)(f"{op}: {_reshaped(text, (1, *x.shape), x.shape)}") from None


def rnn_cell(
    x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, nonlinearity: str = "tanh"
) -> Any:
    """One step of rnn: x (N, I) or (I,), h (N, H) or (H,), zeros if None; returns the next h.

    >>> rnn_cell(np.ones((2, 3)), None, np.ones((4, 3)), np.ones((4, 4))).shape
    (2, 4)
    """
    w = RecurrentWeights(w_ih, w_hh, b_ih, b_hh)
    return _cell("rnn_cell", _nonlinearity("rnn_cell", nonlinearity), x, h, None, w)


def gru_cell(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of gru: x (N, I) or (I,), h (N, H) or (H,), zeros if None; returns the next h.

    >>> gru_cell(np.ones((2, 3)), None, np.ones((12, 3)), np.ones((12, 4))).shape
    (2, 4)
    """
    return _cell("gru_cell", GRU, x, h, None, RecurrentWeights(w_ih, w_hh, b_ih, b_hh))


def lstm_cell(
    x: Any, state: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> tuple[Any, Any]:
    """One step of lstm: x (N, I) or (I,), state (h, c) of (N, H) or (H,) each, zeros if None; returns the next (h, c).

    >>> h, c = lstm_cell(np.ones(3), None, np.ones((16, 3)), np.ones((16, 4)))
    >>> h.shape, c.shape
    ((4,), (4,))
    """
    h, c = _pair("lstm_cell", "h, c", state)
    return _cell("lstm_cell", LSTM, x, h, c, RecurrentWeights(w_ih, w_hh, b_ih, b_hh))
