"""Recurrent layers and cells. See ops.rnn, ops.gru and ops.lstm for the formulas."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from .. import ops
from . import init
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence, pack_like, pad_packed_sequence

_STEMS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", "weight_peephole")


class _Uniform(Module):
    """Weights and biases are drawn evenly from +-1 / sqrt(hidden_size)."""

    hidden_size: int

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for p in self.parameters(recurse=False):
            init.uniform_(p, -bound, bound)


class _Recurrent(_Uniform):
    op = ""
    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, recurrent_dropout: float = 0.0,
        dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        super().__init__()
        kind = type(self).__name__
        if input_size < 0 or hidden_size < 1 or num_layers < 1:
            raise ValueError(
                f"{kind}: hidden_size and num_layers must be at least 1 and input_size at least 0, got "
                f"{hidden_size}, {num_layers} and {input_size}"
            )
        if not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"{kind}: proj_size must lie in [0, hidden_size), got {proj_size} of {hidden_size}"
            )
        for name, p in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if not 0 <= p <= 1:
                raise ValueError(f"{kind}: {name} must lie in [0, 1], got {p}")
        if dropout and num_layers == 1:
            warnings.warn(f"{kind}: dropout={dropout} acts between layers, and there is one", stacklevel=3)
        self.input_size, self.hidden_size, self.num_layers, self.bias = (
            input_size,
            hidden_size,
            num_layers,
            bias,
        )
        self.batch_first, self.dropout, self.bidirectional = batch_first, float(dropout), bidirectional
        self.proj_size, self.recurrent_dropout = proj_size, float(recurrent_dropout)
        # The parameters of each layer and direction, in the order of RecurrentWeights' fields; "" for those it lacks.
        self._names: list[list[str]] = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse") if bidirectional else ("",):
                shapes = self._shapes(input_size if layer == 0 else self._outputs())
                names = {stem: f"{stem}_l{layer}{suffix}" for stem in shapes}
                for stem, shape in shapes.items():
                    setattr(self, names[stem], Parameter(np.empty(shape, dtype)))
                self._names.append([names.get(stem, "") for stem in _STEMS])
        self.reset_parameters()

    def _outputs(self) -> int:
        """The features of each step of the output."""
        return (self.proj_size or self.hidden_size) * (2 if self.bidirectional else 1)

    def _shapes(self, inputs: int) -> dict[str, tuple[int, ...]]:
        """The parameters of one layer and direction."""
        rows = self.gates * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, inputs), "weight_hh": (rows, self.proj_size or self.hidden_size)
        }  # fmt: skip
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        return shapes

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names if name] for names in self._names]

    def flatten_parameters(self) -> None:
        """Nothing: models written for PyTorch call it."""

    def _run(self, x: Any, state: Any, lengths: Any, **more: Any) -> Any:
        d = self.__dict__  # the short way: only what is parametrized is not there
        weights = [
            ops.RecurrentWeights._make(
                [d[name] if name in d else getattr(self, name) if name else None for name in names]
            )
            for names in self._names
        ]
        return getattr(ops, self.op)(x, weights, state, lengths=lengths, **self._options(), **more)

    def _options(self) -> dict[str, Any]:
        return {
            "num_layers": self.num_layers, "bidirectional": self.bidirectional, "batch_first": self.batch_first,
            "dropout": self.dropout, "training": self.training, "recurrent_dropout": self.recurrent_dropout,
        }  # fmt: skip

    def forward(self, x: Any, hx: Any = None, lengths: Any = None, **more: Any) -> Any:
        """(output, state): of a PackedSequence too, which gives a packed output (and packed cells).

        lengths: the steps of each sequence of the batch, 0 to T, in any order; later steps of the output are 0.
        """
        if not isinstance(x, PackedSequence):
            return self._run(x, hx, lengths, **more)
        if lengths is not None:
            raise ValueError(
                f"{type(self).__name__}: a PackedSequence has its lengths; lengths= must be None"
            )
        padded, lengths = pad_packed_sequence(x, self.batch_first)
        y, state, *cells = self._run(padded, hx, lengths, **more)
        return pack_like(x, y, self.batch_first), state, *[pack_like(x, c, self.batch_first) for c in cells]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if not self.bias:
            text += ", bias=False"
        for name in ("batch_first", "dropout", "bidirectional", "recurrent_dropout"):
            if getattr(self, name):
                text += f", {name}={getattr(self, name)}"
        if not getattr(self, "reset_after", True):
            text += ", reset_after=False"
        return text + (", peephole=True" if getattr(self, "peephole", False) else "")


class RNN(_Recurrent):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh) over (T, N, input_size), or relu by nonlinearity.

    Names, layouts and states are torch.nn.RNN's. recurrent_dropout: see ops.rnn.

    >>> y, h_n = nn.RNN(8, 16)(nnkern.Tensor(np.zeros((5, 2, 8), np.float32)))
    >>> y.shape, h_n.shape
    ((5, 2, 16), (1, 2, 16))
    """

    op = "rnn"

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, *,
        recurrent_dropout: float = 0.0, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            recurrent_dropout=recurrent_dropout, dtype=dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity

    def _options(self) -> dict[str, Any]:
        return super()._options() | {"nonlinearity": self.nonlinearity}


class GRU(_Recurrent):
    """Gated recurrent units (Cho et al. 2014) over (T, N, input_size), as torch.nn.GRU.

    reset_after=False: the reset gate acts before the product with W_hh, as in the paper and in ONNX's default.

    >>> x = nnkern.Tensor(np.zeros((2, 5, 8), np.float32))
    >>> y, h_n = nn.GRU(8, 16, batch_first=True)(x, lengths=[5, 3])
    >>> y.shape, h_n.shape
    ((2, 5, 16), (1, 2, 16))
    """

    op, gates = "gru", 3

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, *, reset_after: bool = True,
        recurrent_dropout: float = 0.0, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            recurrent_dropout=recurrent_dropout, dtype=dtype,
        )  # fmt: skip
        self.reset_after = reset_after

    def _options(self) -> dict[str, Any]:
        return super()._options() | {"reset_after": self.reset_after}


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) over (T, N, input_size), as torch.nn.LSTM.

    proj_size: h is projected to so many features (Sak et al. 2014). peephole: the gates see c (Gers et al. 2002);
    parameters weight_peephole_l0... . forward(..., return_cells=True) gives c of all steps of the last layer, too.

    >>> x, state = nnkern.Tensor(np.zeros((5, 2, 8), np.float32)), nnkern.zeros(4, 2, 16)
    >>> y, (h_n, c_n) = nn.LSTM(8, 16, num_layers=2, bidirectional=True)(x, (state, state))
    >>> y.shape, h_n.shape, c_n.shape
    ((5, 2, 32), (4, 2, 16), (4, 2, 16))
    """

    op, gates = "lstm", 4

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, *, peephole: bool = False,
        recurrent_dropout: float = 0.0, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        self.__dict__["peephole"] = peephole  # before __init__, which asks for the shapes
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
            recurrent_dropout, dtype,
        )  # fmt: skip

    def _shapes(self, inputs: int) -> dict[str, tuple[int, ...]]:
        shapes = super()._shapes(inputs)
        if self.peephole:
            shapes["weight_peephole"] = (3, self.hidden_size)
        return shapes


class _Cell(_Uniform):
    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, dtype: Any = np.float32
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self.gates * hidden_size
        self.weight_ih = Parameter(np.empty((rows, input_size), dtype))
        self.weight_hh = Parameter(np.empty((rows, hidden_size), dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(np.empty(rows, dtype)) if bias else None)
        self.reset_parameters()

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}{'' if self.bias else ', bias=False'}"


class RNNCell(_Cell):
    """One step: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu; x (N, input_size) or (input_size,)."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", *,
        dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, x: Any, hx: Any = None) -> Any:
        return ops.rnn_cell(
            x, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh,
            nonlinearity=self.nonlinearity,
        )  # fmt: skip


class GRUCell(_Cell):
    """One step of GRU: x (N, input_size), h (N, hidden_size); both may lack N."""

    gates = 3

    def forward(self, x: Any, hx: Any = None) -> Any:
        return ops.gru_cell(x, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)


class LSTMCell(_Cell):
    """One step of LSTM: x (N, input_size), (h, c) of (N, hidden_size) each; returns (h', c')."""

    gates = 4

    def forward(self, x: Any, hx: Any = None) -> Any:
        return ops.lstm_cell(x, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
