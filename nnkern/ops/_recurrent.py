"""Recurrent layers by public functions, step by step: the definition that second derivatives follow."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import enable_grad, grad
from ..function import Function
from ..tensor import Tensor
from .activation import relu, sigmoid, tanh
from .arithmetic import add, mul, sub
from .compare import where
from .join import cat, split, stack
from .matmul import linear

RNN_TANH, RNN_RELU, LSTM, GRU, GRU_BEFORE = range(5)
GATES = (1, 1, 4, 3, 3)


def step(cell: int, xw: Any, h: Any, c: Any, w: Any, mask: Any = None) -> tuple[Any, Any]:
    """The states after one step: xw (N, gates * H) is the input's part, biases of it included; h (N, P), c (N, H)."""
    used = h if mask is None else mul(h, mask)
    if cell == GRU_BEFORE:
        return _gru_before(xw, h, used, w), None
    hw = linear(used, w.w_hh, w.b_hh)
    if cell == LSTM:
        return _lstm(add(xw, hw), c, w)
    if cell != GRU:
        return (relu if cell == RNN_RELU else tanh)(add(xw, hw)), None
    (xr, xz, xn), (hr, hz, hn) = _parts(xw, 3), _parts(hw, 3)
    n = tanh(add(xn, mul(sigmoid(add(xr, hr)), hn)))
    return add(n, mul(sigmoid(add(xz, hz)), sub(h, n))), None


def _parts(x: Any, count: int) -> Any:
    return split(x, x.shape[1] // count, 1)


def _gru_before(xw: Any, h: Any, used: Any, w: Any) -> Any:
    hidden = h.shape[1]
    xrz, xn = split(xw, [2 * hidden, hidden], 1)
    if w.b_hh is not None:
        brz, bn = split(w.b_hh, [2 * hidden, hidden], 0)
        xrz, xn = add(xrz, brz), add(xn, bn)
    wrz, wn = split(w.w_hh, [2 * hidden, hidden], 0)
    r, z = _parts(sigmoid(add(xrz, linear(used, wrz))), 2)
    n = tanh(add(xn, linear(mul(r, used), wn)))
    return add(n, mul(z, sub(h, n)))


def _lstm(gates: Any, c: Any, w: Any) -> tuple[Any, Any]:
    i, f, g, o = _parts(gates, 4)
    if w.peephole is not None:
        i, f = add(i, mul(c, w.peephole[0])), add(f, mul(c, w.peephole[1]))
    c = add(mul(sigmoid(f), c), mul(sigmoid(i), tanh(g)))
    if w.peephole is not None:
        o = add(o, mul(c, w.peephole[2]))
    h = mul(sigmoid(o), tanh(c))
    return (h if w.w_hr is None else linear(h, w.w_hr)), c


def _direction(
    cell: int, reverse: bool, x: Any, h: Any, c: Any, w: Any, active: Any, mask: Any
) -> tuple[Any, ...]:
    """One direction over x (T, N, I): outputs and cells of each step, and the last states."""
    xw = linear(x, w.w_ih, w.b_ih)
    ys: list[Any] = [None] * x.shape[0]
    cells: list[Any] = [None] * x.shape[0]
    for t in reversed(range(len(ys))) if reverse else range(len(ys)):
        h_new, c_new = step(cell, xw[t], h, c, w, mask)
        if active is None:
            h, c = h_new, c_new
            ys[t], cells[t] = h, c
            continue
        on = active[t]
        ys[t], h = where(on, h_new, 0.0), where(on, h_new, h)
        if c is not None:
            cells[t], c = where(on, c_new, 0.0), where(on, c_new, c)
    return ys, cells, h, c


def layer(
    cell: int, x: Any, h0: Any, c0: Any, weights: Any, lengths: Any, mask: Any, batch_first: bool
) -> tuple[Any, ...]:
    """y (T, N, D * P), h_n (D, N, P), and of LSTM c_n (D, N, H) and cells (T, N, D * H), for D directions."""
    if batch_first:
        x = x.swapaxes(0, 1)
    steps, batch = x.shape[:2]
    active = None
    if lengths is not None:
        active = (np.arange(steps)[:, None] < np.asarray(lengths))[:, :, None]
        x = where(active, x, 0.0)
    found = []
    for d, w in enumerate(weights):
        hidden = w.w_hh.shape[0] // GATES[cell]
        h = np.zeros((batch, w.w_hh.shape[1]), x.dtype) if h0 is None else h0[d]
        c = None
        if cell == LSTM:
            c = np.zeros((batch, hidden), x.dtype) if c0 is None else c0[d]
        found.append(_direction(cell, d == 1, x, h, c, w, active, None if mask is None else mask[d]))

    def joined(parts: Any, width: int) -> Any:
        if steps == 0:
            y = np.zeros((0, batch, width * len(found)), x.dtype)
        else:
            sides = [stack(p, 0) for p in parts]
            y = sides[0] if len(sides) == 1 else cat(sides, 2)
        return y.swapaxes(0, 1) if batch_first else y

    y, h_n = joined([f[0] for f in found], found[0][2].shape[1]), stack([f[2] for f in found], 0)
    if cell != LSTM:
        return y, h_n
    return y, h_n, stack([f[3] for f in found], 0), joined([f[1] for f in found], found[0][3].shape[1])


class _Seam(Function):
    """x itself. While closed, gradients that arrive stay here."""

    closed = True

    def forward(self, x: Any) -> Any:
        return x

    def backward(self, gy: Any) -> Any:
        return None if self.closed else gy


def taped_gradients(f: Any, inputs: Any, needed: Any, gys: Any) -> list[Any]:
    """The gradients of f(*inputs) for Tensor gys, taped: f runs again by public functions."""
    with enable_grad():
        seams = [_Seam() if need else None for need in needed]
        behind = [x if s is None else s(x) for s, x in zip(seams, inputs)]
        pairs = [
            (y, g)
            for y, g in zip(f(*behind), gys)
            if g is not None and isinstance(y, Tensor) and y.requires_grad
        ]
        wanted = [x for x, need in zip(behind, needed) if need]
        found = iter(
            grad([y for y, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True)
        )
    for s in seams:
        if s is not None:
            s.closed = False
    return [next(found) if need else None for need in needed]
