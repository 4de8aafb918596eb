"""Recurrent layers, forward and training, from small time series to 1,024 units, and a decoding step."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import FUNCTION_FLOPS, Case, random, torch_module

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
RAGGED = (64, 32, 256, 256, 1)  # sequences of 2, 4, ... 64 steps, longest first: PyTorch packs them
# T, N, I, H, directions; whether it runs under --full only
SHAPES = (
    ((50, 1, 64, 64, 1), False),
    ((50, 32, 64, 128, 1), True),
    ((64, 32, 256, 256, 1), False),
    ((64, 64, 256, 512, 1), True),
    ((32, 8, 512, 1024, 1), True),
    ((50, 4, 64, 128, 2), True),
)


def _weights(kind: str, inputs: int, units: int, directions: int) -> list[Any]:
    """Four of each direction, one direction after the other."""
    g, scale = GATES[kind], units**-0.5
    shapes = [(g * units, inputs), (g * units, units), (g * units,), (g * units,)] * directions
    return [random(*shape, seed=i) * np.float32(scale) for i, shape in enumerate(shapes)]


def _entries(weights: list[Any]) -> list[nnkern.RecurrentWeights]:
    return [nnkern.RecurrentWeights(*weights[i : i + 4]) for i in range(0, len(weights), 4)]


def _module(kind: str, weights: list[Any]) -> Any:
    torch = torch_module()
    layer, (inputs, units) = getattr(torch.nn, kind.upper()), (w.shape[1] for w in weights[:2])
    module = layer(inputs, units, bidirectional=len(weights) > 4)
    with torch.no_grad():
        for p, w in zip(module._flat_weights, weights):
            p.copy_(torch.from_numpy(w))
    return module


def _numpy(kind: str, x: Any, weights: list[Any]) -> Any:
    """The usual loop: one product for the inputs of all steps, one per step for the state."""
    w_ih, w_hh, b_ih, b_hh = weights
    a, w = x @ w_ih.T + b_ih, w_hh.T.copy()
    h = np.zeros((x.shape[1], w_hh.shape[1]), x.dtype)
    c, ys = h, []

    def sigmoid(v: Any) -> Any:
        return 1 / (1 + np.exp(-v))

    for t in range(len(x)):
        s = h @ w + b_hh
        if kind == "rnn":
            h = np.tanh(a[t] + s)
        elif kind == "lstm":
            i, f, g, o = np.split(a[t] + s, 4, 1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            (ar, az, an), (hr, hz, hn) = np.split(a[t], 3, 1), np.split(s, 3, 1)
            z, n = sigmoid(az + hz), np.tanh(an + sigmoid(ar + hr) * hn)
            h = n + z * (h - n)
        ys.append(h)
    return np.stack(ys)


def _lengths(shape: tuple[int, ...]) -> Any:
    steps, batch = shape[:2]
    return np.arange(batch, 0, -1) * (steps // batch)


def _padded(module: Any, x: Any, lengths: Any) -> Any:
    """PyTorch's layer over sequences of these lengths."""
    utils, torch = torch_module().nn.utils.rnn, torch_module()
    packed = utils.pack_padded_sequence(x, torch.from_numpy(lengths))
    return utils.pad_packed_sequence(module(packed)[0])[0]


def _forward(kind: str, shape: tuple[int, ...], ragged: bool = False) -> Any:
    def candidates() -> dict:
        steps, batch, inputs, units, directions = shape
        lengths = _lengths(shape) if ragged else None
        x, weights = random(steps, batch, inputs), _weights(kind, inputs, units, directions)
        layer, entries, both = getattr(nnkern, kind), _entries(weights), directions > 1

        def numpy() -> Any:
            y = _numpy(kind, x, weights[:4])
            return np.concatenate([y, _numpy(kind, x[::-1], weights[4:])[::-1]], 2) if both else y

        found = {"nnkern": lambda: layer(x, entries, bidirectional=both, lengths=lengths)[0]}
        if not ragged:
            found["numpy"] = numpy
        if torch := torch_module():
            module, tx = _module(kind, weights), torch.from_numpy(x)

            def forward() -> Any:
                with torch.no_grad():
                    return _padded(module, tx, lengths) if ragged else module(tx)[0]

            found["torch"] = forward
        return found

    return candidates


def _training(kind: str, shape: tuple[int, ...], ragged: bool = False) -> Any:
    def candidates() -> dict:
        steps, batch, inputs, units, directions = shape
        lengths = _lengths(shape) if ragged else None
        x, weights = random(steps, batch, inputs), _weights(kind, inputs, units, directions)
        gy = random(steps, batch, directions * units, seed=9)
        layer, both = getattr(nnkern, kind), directions > 1
        ours = [nnkern.Tensor(a, requires_grad=True) for a in (x, *weights)]
        entries = _entries(ours[1:])

        def step() -> Any:
            for t in ours:
                t.grad = None
            layer(ours[0], entries, bidirectional=both, lengths=lengths)[0].backward(gy)
            return [t.grad for t in ours]

        found = {"nnkern": step}
        if torch := torch_module():
            module, tx, tg = _module(kind, weights), torch.tensor(x, requires_grad=True), torch.from_numpy(gy)

            def torch_step() -> Any:
                module.zero_grad()
                tx.grad = None
                (_padded(module, tx, lengths) if ragged else module(tx)[0]).backward(tg)
                return [tx.grad, *(p.grad for p in module._flat_weights)]

            found["torch"] = torch_step
        return found

    return candidates


def _work(kind: str, shape: tuple[int, ...], passes: int, ragged: bool = False) -> tuple[float, float]:
    """Operations and bytes: the products, once forward and twice backward, and the gates' functions."""
    steps, batch, inputs, units, directions = shape
    rows, g = int(_lengths(shape).sum()) if ragged else steps * batch, GATES[kind] * directions
    functions = {
        "rnn": ("tanh",),
        "gru": ("sigmoid",) * 2 + ("tanh",),
        "lstm": ("sigmoid",) * 3 + ("tanh",) * 2,
    }
    flops = passes * 2.0 * rows * g * units * (inputs + units)
    flops += rows * directions * units * sum(FUNCTION_FLOPS[f] for f in functions[kind])
    return flops, 4.0 * passes * (rows * (inputs + directions * units) + g * units * (inputs + units))


def cases() -> list[Case]:
    found = []
    for kind in GATES:
        for shape, full in SHAPES:
            name = "{} x {} x {}, {} units".format(*shape) + ", two directions" * (shape[4] > 1)
            for what, make, passes in (("", _forward, 1), (", training", _training, 3)):
                found.append(
                    Case(kind, name + what, make(kind, shape), *_work(kind, shape, passes), full=full)
                )
        for what, make, passes in (("", _forward, 1), (", training", _training, 3)):
            name, work = "64 x 32 x 256, 256 units, lengths 2 to 64", _work(kind, RAGGED, passes, True)
            found.append(Case(kind, name + what, make(kind, RAGGED, True), *work, full=True))
        name, decode = "one step, batch 1, 128 units", (1, 1, 64, 128, 1)
        found.append(Case(kind, name, _forward(kind, decode), *_work(kind, decode, 1)))
    return found
