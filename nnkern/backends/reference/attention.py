"""Scaled dot-product attention in NumPy: all scores at once.

q (B, H, L, D), k (B, J, S, D), v (B, J, S, E), where J divides H: head h reads keys of head h // (H / J). mask: bool
(True takes part) or added to the scores, (B, H, L, S). Query i stands at i + offset; it sees keys from `left` before to
`right` after itself (-1: no limit), below kv_lengths, if i is below q_lengths. statistics is log(sum(exp(scores))).
"""

import numpy as np

from .dropout import dropout_forward


def _allowed(shape, mask, q_lengths, kv_lengths, left, right, offset):
    """Which keys each query sees, broadcast to `shape`."""
    i, j = np.arange(shape[2])[:, None] + offset, np.arange(shape[3])
    seen = np.ones(shape, bool)
    if left >= 0:
        seen &= j >= i - left
    if right >= 0:
        seen &= j <= i + right
    if mask is not None:
        seen &= mask if mask.dtype == bool else mask != -np.inf
    if q_lengths is not None:
        seen &= np.arange(shape[2])[:, None] < np.reshape(q_lengths, (-1, 1, 1, 1))
    if kv_lengths is not None:
        seen &= j < np.reshape(kv_lengths, (-1, 1, 1, 1))
    return seen


def _weights(q, k, mask, q_lengths, kv_lengths, scale, left, right, offset, softcap):
    """Softmax of the scores, their log-sum, and the derivative of the soft cap."""
    groups = q.shape[1] // max(1, k.shape[1])
    shape = q.shape[:3] + k.shape[2:3]
    seen = _allowed(shape, mask, q_lengths, kv_lengths, left, right, offset)
    with np.errstate(invalid="ignore"):
        s = (q @ np.repeat(k, groups, 1).swapaxes(2, 3)) * q.dtype.type(scale)
        slope = q.dtype.type(1)
        if softcap:
            t = np.tanh(s / q.dtype.type(softcap))
            s, slope = t * q.dtype.type(softcap), 1 - t * t
        if mask is not None and mask.dtype != bool:
            s = s + mask
    s = np.where(seen, s, -np.inf).astype(q.dtype)
    top = np.max(s, -1, keepdims=True, initial=-np.inf)
    e = np.exp(s - np.where(np.isneginf(top), 0, top))
    total = np.sum(e, -1, keepdims=True)
    with np.errstate(divide="ignore"):
        statistics = np.where(np.isneginf(top), -np.inf, top + np.log(total))[..., 0].astype(q.dtype)
    return seen, e / np.where(total == 0, 1, total), slope, statistics


def _kept(p, dropout, seed):
    """What dropout multiplies each weight by. Words are dealt to panels of 32 queries, key by key."""
    if not dropout:
        return p.dtype.type(1)
    b, h, rows, keys = p.shape
    panels, even = -(-rows // 32), keys + keys % 2
    words = dropout_forward(np.ones((b, h, panels, even, 32), p.dtype), dropout, seed)
    return words.swapaxes(3, 4).reshape(b, h, panels * 32, even)[:, :, :rows, :keys]


def attention_forward(
    q, k, v, mask, q_lengths, kv_lengths, scale, left, right, offset, softcap, dropout, seed
):
    seen, p, _, statistics = _weights(q, k, mask, q_lengths, kv_lengths, scale, left, right, offset, softcap)
    p = p * _kept(p, dropout, seed)
    groups = q.shape[1] // max(1, k.shape[1])
    return _product(seen, p, np.repeat(v, groups, 1)), statistics


def _product(seen, p, v):
    """p @ v, in which a key that nobody sees may hold NaN or Inf."""
    y = p @ np.where(np.isfinite(v), v, 0)
    for b, j, s in zip(*np.nonzero(~np.isfinite(v).all(-1))):
        rows = seen[b, j, :, s]
        with np.errstate(invalid="ignore"):
            bad = np.where(np.isfinite(v[b, j, s]), v.dtype.type(0), v[b, j, s])
            y[b, j, rows] += np.where(np.isfinite(bad) & (bad == 0), 0, p[b, j, rows, s][:, None] * bad)
    return y


def attention_backward(
    gy,
    q,
    k,
    v,
    y,
    statistics,
    mask,
    q_lengths,
    kv_lengths,
    scale,
    left,
    right,
    offset,
    softcap,
    dropout,
    seed,
):
    groups = q.shape[1] // max(1, k.shape[1])
    seen, p, slope, _ = _weights(q, k, mask, q_lengths, kv_lengths, scale, left, right, offset, softcap)
    kept = _kept(p, dropout, seed)
    k, v = np.repeat(k, groups, 1), np.repeat(v, groups, 1)
    with np.errstate(invalid="ignore"):
        gp = (gy @ v.swapaxes(2, 3)) * kept
        gs = p * (gp - np.sum(gy * y, -1, keepdims=True)) * slope * q.dtype.type(scale)
    gs = np.where(seen, gs, 0).astype(q.dtype)

    def fold(g):
        return g.reshape(g.shape[0], -1, groups, *g.shape[2:]).sum(2)

    gv = fold(_product(seen.swapaxes(2, 3), (p * kept).swapaxes(2, 3), gy))
    gk = fold(_product(seen.swapaxes(2, 3), gs.swapaxes(2, 3), q))
    return _product(seen, gs, k), gk, gv
