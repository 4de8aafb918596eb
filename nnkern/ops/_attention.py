"""The Function of attention, and attention as a composition of public functions.

The kernels serve results and gradients; second derivatives and gradients of added masks go through the composition.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..function import Function
from ..tensor import Tensor
from .arithmetic import add, div, mul, sub
from .compare import where
from .elementwise import exp
from .matmul import matmul
from .reduce import amax
from .reduce import sum as _sum


class Options(NamedTuple):
    """What the kernels take after the arrays; see backends/reference/attention.py. -1: no limit."""

    q_lengths: Any
    kv_lengths: Any
    scale: float
    left: int
    right: int
    offset: int
    softcap: float
    dropout: float
    seed: int


def _allowed(shape: tuple[int, ...], mask: Any, o: Options) -> Any:
    """Which keys each query sees, broadcast to (B, H, L, S); None if all."""
    if mask is None and o.q_lengths is None and o.kv_lengths is None and o.left < 0 and o.right < 0:
        return None
    i, j = np.arange(shape[2])[:, None], np.arange(shape[3])
    seen = np.ones(shape, bool)
    if o.left >= 0:
        seen &= j >= i + (o.offset - o.left)
    if o.right >= 0:
        seen &= j <= i + (o.offset + o.right)
    if mask is not None:
        seen &= mask if mask.dtype == np.bool_ else mask != -np.inf
    if o.q_lengths is not None:
        seen &= i < o.q_lengths.reshape(-1, 1, 1, 1)
    if o.kv_lengths is not None:
        seen &= j < o.kv_lengths.reshape(-1, 1, 1, 1)
    return seen


class Rows:
    """Who sees whom, and which rows are not finite: zeros take their place, for products spread NaN to everybody.

    Its results are q, k, v (and gy) so cleaned; `mark` gives those results that saw one their NaN back.
    """

    def __init__(self, q: Any, k: Any, v: Any, mask: Any, o: Options, gy: Any = None) -> None:
        raw = mask.data if isinstance(mask, Tensor) else mask
        self.heads = k.shape[1]
        self.seen = seen = _allowed((*q.shape[:3], k.shape[2]), raw, o)
        self.q, self.k, self.v, self.gy = q, k, v, gy
        self.scores = self.values = self.gradients = (
            None  # queries (B, H, L) with a bad score, value, gradient
        )
        if seen is None:
            return
        self.q, bad_q = _finite(q, seen.any(3))
        self.k, bad_k = _finite(k, self._any_query(seen))
        self.v, bad_v = _finite(v, self._any_query(seen))
        self.scores = _either(bad_q, self._seen_by(bad_k))
        self.values = self._seen_by(bad_v)
        if gy is not None:
            self.gy, self.gradients = _finite(gy, seen.any(3))

    def _any_query(self, queries: Any) -> Any:
        """Keys (B, J, S) that one of these pairs (B, H, L, S) has."""
        return _grouped(queries.any(2)[..., None], self.heads).any(2)[..., 0]

    def _seen_by(self, keys: Any) -> Any:
        """The queries that see one of these keys (B, J, S)."""
        if keys is None:
            return None
        return (_grouped(self.seen, self.heads) & keys[:, :, None, None]).any(-1).reshape(self.q.shape[:3])

    def mark(self, y: Any, *bad: Any) -> Any:
        """y (a row for each query) with NaN for these queries."""
        queries = _either(*bad)
        return y if queries is None else where(queries[..., None], np.nan, y)

    def mark_keys(self, y: Any, *bad: Any) -> Any:
        """y (a row for each key) with NaN for the keys that these queries see."""
        queries = _either(*bad)
        if queries is None:
            return y
        return where(self._any_query(self.seen & queries[..., None])[..., None], np.nan, y)


def _finite(x: Any, counts: Any) -> tuple[Any, Any]:
    """x with zeros for rows that do not count or are not finite; which rows of the former are not, None if none."""
    bad = counts & ~np.isfinite(x.data if isinstance(x, Tensor) else x).all(-1)
    any_bad = bool(bad.any())
    return where((counts & ~bad if any_bad else counts)[..., None], x, 0.0), bad if any_bad else None


def _either(*rows: Any) -> Any:
    found = [r for r in rows if r is not None]
    return np.logical_or.reduce(found) if found else None


def _grouped(x: Any, heads: int) -> Any:
    """(B, H, L, D) as (B, J, H / J, L, D): beside the J heads of the keys."""
    return x.reshape(x.shape[0], heads, x.shape[1] // max(1, heads), *x.shape[2:])


def _kept(shape: tuple[int, ...], dtype: Any, o: Options) -> Any:
    """What dropout multiplies each weight by: the words are dealt to panels of 32 queries, key by key."""
    b, h, rows, keys = shape
    panels, even = -(-rows // 32), keys + keys % 2
    ones = np.ones((b, h, panels, even, 32), dtype)
    words = Function.kernels.dropout_forward(ones, o.dropout, o.seed)
    return words.swapaxes(3, 4).reshape(b, h, panels * 32, even)[:, :, :rows, :keys]


def weights(q: Any, k: Any, mask: Any, o: Options) -> tuple[Any, Any, Any]:
    """Softmax of the scores (B, J, H / J, L, S), what dropout multiplies it by, and the slope of the soft cap."""
    heads, shape = k.shape[1], (*q.shape[:3], k.shape[2])
    s = mul(matmul(_grouped(q, heads), k.unsqueeze(2).swapaxes(-1, -2)), o.scale)
    slope = None
    if o.softcap:
        t = div(s, o.softcap).tanh()
        s, slope = mul(t, o.softcap), sub(1.0, mul(t, t))
    raw = mask.data if isinstance(mask, Tensor) else mask
    if mask is not None and raw.dtype != np.bool_:
        s = add(s, _grouped(mask, heads))
    seen = _allowed(shape, raw, o)
    if seen is not None:
        s = where(_grouped(seen, heads), s, -np.inf)
    top = amax(s.data, -1, True) if shape[3] else np.zeros((*s.shape[:-1], 1), s.dtype)
    e = exp(sub(s, np.where(np.isneginf(top), top.dtype.type(0), top)))
    total = _sum(e, -1, True)
    p = div(e, where(total.data == 0, 1.0, total))
    kept = _grouped(_kept(shape, p.dtype, o), heads) if o.dropout else None
    return p, kept, slope


def plain_attention(q: Any, k: Any, v: Any, mask: Any, o: Options) -> Any:
    """The result from Tensors q (B, H, L, D), k (B, J, S, D), v (B, J, S, E)."""
    rows = Rows(q, k, v, mask, o)
    p, kept, _ = weights(rows.q, rows.k, mask, o)
    y = matmul(p if kept is None else mul(p, kept), rows.v.unsqueeze(2))
    return rows.mark(y.reshape(*q.shape[:3], v.shape[-1]), rows.scores, rows.values)


def _plain_gradients(gy: Any, q: Any, k: Any, v: Any, mask: Any, o: Options) -> tuple[Any, Any, Any]:
    """Gradients of q, k, v, written so that they can be differentiated."""
    heads = k.shape[1]
    at = Rows(q, k, v, mask, o, gy)
    q, k, v = at.q, at.k, at.v
    p, kept, slope = weights(q, k, mask, o)
    gy, rows = _grouped(at.gy, heads), _grouped(q, heads)
    gp = matmul(gy, v.unsqueeze(2).swapaxes(-1, -2))
    if kept is not None:
        gp = mul(gp, kept)
    gs = mul(p, sub(gp, _sum(mul(gp, p), -1, True)))
    gs = mul(gs if slope is None else mul(gs, slope), o.scale)
    dropped = p if kept is None else mul(p, kept)
    gq = matmul(gs, k.unsqueeze(2)).reshape(*q.shape)
    gk = _sum(matmul(gs.swapaxes(-1, -2), rows), 2)
    gv = _sum(matmul(dropped.swapaxes(-1, -2), gy), 2)
    bad = (at.scores, at.values, at.gradients)
    return at.mark(gq, *bad), at.mark_keys(gk, *bad), at.mark_keys(gv, at.scores, at.gradients)


class Attention(Function):
    name = "scaled_dot_product_attention"

    def __init__(self, options: Options) -> None:
        self.options = options

    def forward(self, q: Any, k: Any, v: Any, mask: Any) -> Any:
        y, statistics = self.kernels.attention_forward(q, k, v, mask, *self.options)
        self.saved = (q, k, v, y, statistics, mask)
        return y

    def backward(self, gy: Any) -> Any:
        if isinstance(gy, Tensor):
            q, k, v, _, _, mask = self.saved
            q, k, v = (x if isinstance(x, Tensor) else Tensor(x) for x in (q, k, v))
            return (*_plain_gradients(gy, q, k, v, mask, self.options), None)
        q, k, v, y, statistics, mask = self.saved
        return (*self.kernels.attention_backward(gy, q, k, v, y, statistics, mask, *self.options), None)
