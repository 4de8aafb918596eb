"""Scaled dot-product attention and what stands around it: heads, caches, positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import like, numpy_dtype, to_ndarray
from ..function import grad_mode
from ..random import next_seed
from ..tensor import Tensor
from ._attention import Attention, Options, plain_attention
from ._multihead import multi_head_attention_forward
from ._positions import alibi_bias, alibi_slopes, rope, sinusoidal_positions
from .shape import broadcast_to

__all__ = [
    "KVCache", "alibi_bias", "alibi_slopes", "multi_head_attention_forward", "rope", "scaled_dot_product_attention",
    "sinusoidal_positions",
]  # fmt: skip

_OP = "scaled_dot_product_attention"
_OURS = (np.ndarray, Tensor)


def _fail(what: str, **arrays: Any) -> None:
    shapes = ", ".join(f"{name}.shape={tuple(a.shape)}" for name, a in arrays.items())
    raise ValueError(f"{_OP}: {what} ({shapes})")


def _lead(q: Any, k: Any, v: Any, gqa: bool) -> Any:
    """The common leading axes of the result; heads are the last of them."""
    qs, ks, vs = q.shape, k.shape, v.shape
    if len(qs) < 2 or len(ks) < 2 or len(vs) < 2:
        _fail("query, key and value must be (..., length, width)", query=q, key=k, value=v)
    if qs[-1] != ks[-1]:
        _fail("query and key must have the same width", query=q, key=k)
    if ks[-2] != vs[-2]:
        _fail("key and value must have the same length", key=k, value=v)
    if qs[:-2] == ks[:-2] == vs[:-2] and not (gqa and len(qs) < 3):
        return qs[:-2]
    if gqa:
        if min(len(qs), len(ks), len(vs)) < 3 or ks[-3] != vs[-3] or ks[-3] < 1 or qs[-3] % ks[-3]:
            _fail(
                "with enable_gqa key and value need the same heads, which divide the query's",
                query=q, key=k, value=v,
            )  # fmt: skip
        leads = [qs[:-3], ks[:-3], vs[:-3]]
    else:
        leads = [qs[:-2], ks[:-2], vs[:-2]]
    try:
        common = np.broadcast_shapes(*leads)
    except ValueError:
        hint = "" if gqa else "; heads that share keys need enable_gqa=True"
        _fail(f"the leading axes do not broadcast{hint}", query=q, key=k, value=v)
    return (*common, qs[-3]) if gqa else common


def _four(x: Any, lead: tuple[int, ...]) -> Any:
    """x as (B, H, rows, columns): leading axes broadcast, folded or added."""
    if len(lead) == 2 and tuple(x.shape[:-2]) == lead:
        return x
    tail = tuple(x.shape[-2:])
    x = broadcast_to(x, (*lead, *tail))
    return x.reshape(math.prod(lead[:-1]), lead[-1] if lead else 1, *tail)


def _mask(mask: Any, lead: tuple[int, ...], rows: int, keys: int, dtype: Any) -> Any:
    """The mask as a (B, H, rows, keys) view."""
    if mask.dtype != np.bool_ and mask.dtype != dtype:
        raise TypeError(f"{_OP}: attn_mask must be bool or of query's dtype {dtype}, got {mask.dtype}")
    try:
        if np.broadcast_shapes(tuple(mask.shape), (*lead, rows, keys)) != (*lead, rows, keys):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{_OP}: attn_mask must broadcast to {(*lead, rows, keys)} (attn_mask.shape={tuple(mask.shape)})"
        ) from None
    return _four(broadcast_to(mask, (*lead, rows, keys)), lead)


def _length(name: str, lengths: Any, batch: int, most: int) -> Any:
    if lengths is None:
        return None
    lengths = np.asarray(lengths.data if isinstance(lengths, Tensor) else lengths)
    if lengths.dtype.kind not in "iu" or lengths.shape != (batch,):
        raise ValueError(
            f"{_OP}: {name} lengths must be {batch} integers, one per batch entry, got {lengths}"
        )
    if lengths.size and not (0 <= lengths.min() and lengths.max() <= most):
        raise ValueError(f"{_OP}: {name} lengths must lie in 0..{most}, got {lengths}")
    return lengths.astype(np.int64)


def _options(q: Any, k: Any, scale: Any, window: Any, is_causal: bool, offset: int, softcap: Any, p: float,
             lengths: Any) -> Options:  # fmt: skip
    scale = float(scale) if scale is not None else 1 / math.sqrt(max(1, q.shape[-1]))
    if window is None and lengths is None and p == 0:
        return Options(None, None, scale, -1, 0 if is_causal else -1, offset, float(softcap or 0), 0.0, 0)
    if not 0 <= p <= 1:
        raise ValueError(f"{_OP}: dropout_p must lie in [0, 1], got {p}")
    left, right = (-1, -1) if window is None else (window, window) if isinstance(window, int) else window
    if window is not None and min(left, right) < -1:
        raise ValueError(
            f"{_OP}: window must be None, a length, or (left, right) with -1 for no limit, got {window}"
        )
    q_lengths, kv_lengths = lengths if isinstance(lengths, tuple) else (None, lengths)
    return Options(
        _length("query", q_lengths, q.shape[0], q.shape[2]),
        _length("key", kv_lengths, q.shape[0], k.shape[2]),
        scale, left, 0 if is_causal else right, offset, float(softcap or 0), p, next_seed() if p else 0,
    )  # fmt: skip


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False, *, softcap: float | None = None, window: Any = None,
    offset: int = 0, lengths: Any = None,
) -> Any:  # fmt: skip
    """softmax(scale * query @ key.T + attn_mask) @ value for each head.

    query (..., L, D), key (..., S, D), value (..., S, E), float32 or float64; leading axes (batch, heads) broadcast.
    Returns (..., L, E). Signature and meaning of the first eight: torch.nn.functional.scaled_dot_product_attention.

    attn_mask: bool (True takes part) or floats to add, broadcastable to (..., L, S). is_causal: query i sees the keys
    0..i + offset. scale: 1 / sqrt(D) by default. enable_gqa: each head of keys serves query heads / key heads
    neighbours. dropout_p: weights are dropped (numbers from nnkern.manual_seed), always: pass 0 when evaluating.

    Beyond PyTorch: softcap c replaces scores by c tanh(score / c); window: an int w, or (left, right), lets query i see
    keys from i + offset - left to i + offset + right, -1 for no limit; offset: the place of the first query
    among the keys (a cache); lengths: valid keys of each batch entry, or (queries, keys), for padded sequences.

    A query that sees no key gives 0, and what is masked (NaN included) has no influence on results or gradients.
    Raises ValueError for shapes that do not fit, TypeError for other dtypes. Vaswani et al. 2017; Dao et al. 2022.

    >>> scaled_dot_product_attention(np.ones((2, 3, 4)), np.ones((2, 5, 4)), np.ones((2, 5, 6))).shape
    (2, 3, 6)
    """
    if not (isinstance(query, _OURS) and isinstance(key, _OURS) and isinstance(value, _OURS)):
        q, k, v = (x if isinstance(x, _OURS) else to_ndarray(x, _OP) for x in (query, key, value))
        y = scaled_dot_product_attention(
            q, k, v, attn_mask, dropout_p, is_causal, scale, enable_gqa, softcap=softcap, window=window,
            offset=offset, lengths=lengths,
        )  # fmt: skip
        return y if isinstance(y, Tensor) else like(y, query)
    if query.dtype.kind != "f" or not query.dtype == key.dtype == value.dtype:
        raise TypeError(
            f"{_OP}: query, key and value must be float32 or float64, all alike, got {query.dtype}, {key.dtype}, "
            f"{value.dtype}"
        )
    lead = _lead(query, key, value, enable_gqa)
    kv_lead = (*lead[:-1], key.shape[-3]) if enable_gqa else lead
    q, k, v = _four(query, lead), _four(key, kv_lead), _four(value, kv_lead)
    o = _options(q, k, scale, window, is_causal, offset, softcap, dropout_p, lengths)
    mask = None
    if attn_mask is not None:
        if is_causal:
            raise ValueError(f"{_OP}: give attn_mask or is_causal, not both")
        attn_mask = attn_mask if isinstance(attn_mask, Tensor) else to_ndarray(attn_mask, _OP)
        mask = _mask(attn_mask, lead, q.shape[2], k.shape[2], q.dtype)
    if isinstance(mask, Tensor) and mask.requires_grad:
        q, k, v = (x if isinstance(x, Tensor) else Tensor(x) for x in (q, k, v))
        y = plain_attention(q, k, v, mask, o)
    else:
        y = Attention(o)(q, k, v, mask)
    return y if len(lead) == 2 else y.reshape(*lead, q.shape[2], v.shape[3])


class KVCache:
    """Keys and values of the tokens so far: generation appends one token and attends to all, or to the last `window`.

    KVCache(batch, heads, width, capacity=256, window=None, value_width=None, dtype=np.float32)

    Room grows by doubling; with a window it holds 2 * window tokens, and the last ones move to its front when it is
    full, so that keys always lie in order. Takes arrays, torch tensors and Tensors, but keeps no gradients: Tensors that
    require them are refused outside of no_grad. What is refused leaves the cache as it was.

    >>> cache = KVCache(1, 2, 4)
    >>> x = np.ones((1, 2, 3, 4), np.float32)
    >>> cache.attend(x, x, x).shape, len(cache)
    ((1, 2, 3, 4), 3)
    """

    def __init__(
        self, batch: int, heads: int, width: int, capacity: int = 256, window: int | None = None,
        value_width: int | None = None, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        if window is not None and window < 1:
            raise ValueError(f"KVCache: window must be at least 1, got {window}")
        dtype = numpy_dtype(dtype)
        if dtype not in (np.float32, np.float64):
            raise TypeError(f"KVCache: dtype must be float32 or float64, got {dtype}")
        self.window = window
        room = 2 * window if window else max(1, capacity)
        self._k = np.empty((batch, heads, room, width), dtype)
        self._v = np.empty((batch, heads, room, width if value_width is None else value_width), dtype)
        self._start = self._end = 0
        self.length = 0  # tokens appended so far

    def __len__(self) -> int:
        """How many tokens it holds."""
        return self._end - self._start

    @property
    def keys(self) -> Any:
        """The keys it holds, oldest first: a (batch, heads, len, width) view."""
        return self._k[:, :, self._start : self._end]

    @property
    def values(self) -> Any:
        """The values it holds, oldest first."""
        return self._v[:, :, self._start : self._end]

    def clear(self) -> None:
        """Forgets every token."""
        self._start = self._end = self.length = 0

    def append(self, key: Any, value: Any) -> None:
        """Adds tokens: key (batch, heads, n, width), value (batch, heads, n, value_width)."""
        key, value = _array(key), _array(value)
        self._check(key, value)
        if self.window and key.shape[2] > self.window:
            self.length += key.shape[2] - self.window
            key, value = key[:, :, -self.window :], value[:, :, -self.window :]
        self._extend(key, value)
        self._trim()

    def _check(self, key: Any, value: Any) -> None:
        n = key.shape[2] if key.ndim == 4 else -1
        for name, x, store in (("key", key, self._k), ("value", value, self._v)):
            if tuple(x.shape) != (*store.shape[:2], n, store.shape[3]) or x.dtype != store.dtype:
                raise ValueError(
                    f"KVCache: {name} must be {store.dtype} (batch, heads, tokens, width) like {store.shape} with any "
                    f"number of tokens, got {x.dtype} {tuple(x.shape)}"
                )

    def _extend(self, key: Any, value: Any) -> None:
        """Writes at most `window` tokens behind those it holds, which all stay for now."""
        n = key.shape[2]
        if self._end + n > self._k.shape[2]:
            self._make_room(n)
        self._k[:, :, self._end : self._end + n] = key
        self._v[:, :, self._end : self._end + n] = value
        self._end += n
        self.length += n

    def _trim(self) -> None:
        if self.window:
            self._start = max(self._start, self._end - self.window)

    def _make_room(self, n: int) -> None:
        """Moves what it holds to the front: of the same store with a window, else of one twice as large."""
        kept, room = len(self), self._k.shape[2]
        for name in ("_k", "_v"):
            old = getattr(self, name)
            new = old
            if not self.window:
                new = np.empty((*old.shape[:2], max(2 * room, kept + n), old.shape[3]), old.dtype)
            new[:, :, :kept] = old[:, :, self._start : self._end]
            setattr(self, name, new)
        self._start, self._end = 0, kept

    def attend(
        self, query: Any, key: Any, value: Any, scale: float | None = None, softcap: float | None = None
    ) -> Any:
        """Appends n tokens and gives the attention of their queries (batch, query heads, n, width) to all before them.

        Query heads may be a multiple of the cache's heads. Returns (batch, query heads, n, value_width), of query's kind.
        """
        kind = query
        query, key, value = _array(query), _array(key), _array(value)
        self._check(key, value)
        batch, heads, n, width = key.shape
        groups = query.shape[1] if query.ndim == 4 else 0
        if query.shape != (batch, groups, n, width) or groups % max(1, heads) or query.dtype != key.dtype:
            raise ValueError(
                f"KVCache: query must be {key.dtype} {(batch, 'heads', n, width)} with a multiple of {heads} heads, got "
                f"{query.dtype} {tuple(query.shape)}"
            )
        window = (self.window - 1, -1) if self.window else None
        step = self.window or max(1, query.shape[2])
        parts = []
        for i in range(0, max(1, n), step):
            q = query[:, :, i : i + step]
            self._extend(key[:, :, i : i + step], value[:, :, i : i + step])
            keys, offset = self.keys, len(self) - q.shape[2]
            parts.append(
                scaled_dot_product_attention(
                    q,
                    keys,
                    self.values,
                    None,
                    0.0,
                    True,
                    scale,
                    True,
                    softcap=softcap,
                    window=window,
                    offset=offset,
                )
            )
            self._trim()
        y = np.concatenate(parts, 2) if len(parts) > 1 else parts[0]
        return Tensor(y) if isinstance(kind, Tensor) else like(y, kind)


def _array(x: Any) -> Any:
    if not isinstance(x, Tensor):
        return to_ndarray(x, "KVCache")
    if x.requires_grad and grad_mode.enabled:
        raise RuntimeError(
            "KVCache: it keeps no gradients; call it under nnkern.no_grad(), or pass x.detach()"
        )
    return x.data
