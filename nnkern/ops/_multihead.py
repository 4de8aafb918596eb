"""Multi-head attention in one function, as torch.nn.functional has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import like, to_ndarray
from ..tensor import Tensor
from .arithmetic import add, mul
from .compare import logical_not, where
from .dropout import dropout
from .join import cat, chunk
from .matmul import linear, matmul
from .pad import pad
from .reduce import mean
from .softmax import softmax

_OP = "multi_head_attention_forward"


def _projections(query: Any, key: Any, value: Any, w: Any, b: Any, separate: Any) -> tuple[Any, Any, Any]:
    """query, key and value times their parts of in_proj_weight, in as few products as they allow."""
    e = query.shape[-1]
    if separate is None and query is key and key is value:
        return tuple(chunk(linear(query, w, b), 3, -1))
    bs = (None, None, None) if b is None else _thirds(b, e)
    ws = separate
    if ws is None:
        ws = w[:e], w[e : 2 * e], w[2 * e :]
        if key is value:
            kv = linear(key, w[e:], None if b is None else b[e:])
            return linear(query, ws[0], bs[0]), kv[..., :e], kv[..., e:]
    return tuple(linear(x, u, c) for x, u, c in zip((query, key, value), ws, bs))


def _thirds(x: Any, e: int) -> tuple[Any, Any, Any]:
    return x[..., :e], x[..., e : 2 * e], x[..., 2 * e :]


def _heads(x: Any, heads: int, batch_first: bool) -> Any:
    """(L, N, E), or (N, L, E), as (N, heads, L, E / heads): a view."""
    x = x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads)
    return x.permute(0, 2, 1, 3) if batch_first else x.permute(1, 2, 0, 3)


def _extra_keys(x: Any, row: Any, zero: bool, dim: int) -> Any:
    """x with the learned row bias_k or bias_v, and a row of zeros, behind its keys, which are dim `dim`."""
    if row is not None:
        x = cat([x, row.broadcast_to((x.shape[0], 1, x.shape[2]) if dim else (1, *x.shape[1:]))], dim)
    return pad(x, (0, 0, 0, 1) if dim else (0, 0, 0, 0, 0, 1)) if zero else x


def _one_mask(
    attn_mask: Any, padding: Any, n: int, heads: int, rows: int, keys: int, extra: int, dtype: Any
) -> Any:
    """attn_mask and key_padding_mask (True: ignored) as one mask of scaled_dot_product_attention, or None."""
    masks = []
    if attn_mask is not None:
        shape = (rows, keys) if attn_mask.ndim == 2 else (n * heads, rows, keys)
        if tuple(attn_mask.shape) != shape:
            raise ValueError(f"{_OP}: attn_mask must have the shape {shape}, got {tuple(attn_mask.shape)}")
        masks.append(attn_mask if attn_mask.ndim == 2 else attn_mask.reshape(n, heads, rows, keys))
    if padding is not None:
        if tuple(padding.shape) != (n, keys):
            raise ValueError(
                f"{_OP}: key_padding_mask must have the shape {(n, keys)}, got {tuple(padding.shape)}"
            )
        masks.append(padding.reshape(n, 1, 1, keys))
    if extra:
        masks = [pad(m.astype(np.uint8), (0, extra)).astype(bool) if m.dtype == np.bool_ else pad(m, (0, extra))
                 for m in masks]  # fmt: skip
    if all(m.dtype == np.bool_ for m in masks):
        masks = [logical_not(m) for m in masks]
        return masks[0] if len(masks) == 1 else masks[0] & masks[1] if masks else None
    minus, zero = np.array(-np.inf, dtype), np.array(0, dtype)
    masks = [where(m, minus, zero) if m.dtype == np.bool_ else m for m in masks]
    return masks[0] if len(masks) == 1 else add(masks[0], masks[1])


def multi_head_attention_forward(
    query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int, in_proj_weight: Any,
    in_proj_bias: Any, bias_k: Any, bias_v: Any, add_zero_attn: bool, dropout_p: float, out_proj_weight: Any,
    out_proj_bias: Any, training: bool = True, key_padding_mask: Any = None, need_weights: bool = True,
    attn_mask: Any = None, use_separate_proj_weight: bool = False, q_proj_weight: Any = None,
    k_proj_weight: Any = None, v_proj_weight: Any = None, static_k: Any = None, static_v: Any = None,
    average_attn_weights: bool = True, is_causal: bool = False, *, batch_first: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Projections, attention of num_heads heads side by side, and the output projection.

    query (L, N, E), key (S, N, Ek), value (S, N, Ev), or all without N; with batch_first N comes first. in_proj_weight (3E, E) stacks the projections
    of query, key and value; with use_separate_proj_weight they are q_, k_ and v_proj_weight. attn_mask (L, S) or
    (N * num_heads, L, S) and key_padding_mask (N, S): floats are added to the scores, True is ignored (the opposite
    of scaled_dot_product_attention's). is_causal without attn_mask masks the future, as PyTorch's hint intends.
    Returns the result, shaped as query, and the weights (N, L, S), of each head (N, num_heads, L, S) unless
    average_attn_weights, None unless need_weights: without them the fused kernel serves.
    Semantics: torch.nn.functional.multi_head_attention_forward.
    """
    arrays = (query, key, value, in_proj_weight, in_proj_bias, bias_k, bias_v, out_proj_weight, out_proj_bias,
              key_padding_mask, attn_mask, q_proj_weight, k_proj_weight, v_proj_weight, static_k, static_v)  # fmt: skip
    plain = not any(isinstance(a, Tensor) for a in arrays)
    made: dict[int, Any] = {
        id(a): a if a is None or isinstance(a, Tensor) else Tensor(to_ndarray(a, _OP)) for a in arrays
    }
    q, k, v, w, b, bk, bv, wo, bo, padding, mask, wq, wk, wv, sk, sv = [made[id(a)] for a in arrays]
    separate = (wq, wk, wv) if use_separate_proj_weight else None
    _check(q, k, v, embed_dim_to_check, num_heads, batch_first)
    batched, turn = q.ndim == 3, 0 if batch_first else 1
    if not batched:
        same, twins = k is q, v is k
        q = q.unsqueeze(turn)
        k = q if same else k.unsqueeze(turn)
        v = k if twins else v.unsqueeze(turn)
        padding = None if padding is None else padding.unsqueeze(0)
    n, rows, e = q.shape[turn], q.shape[1 - turn], q.shape[2]
    q, k, v = _projections(q, k, v, w, b, separate)
    extra = (bk is not None) + bool(add_zero_attn) if sk is None else 0
    if extra:
        k, v = _extra_keys(k, bk, add_zero_attn, 1 - turn), _extra_keys(v, bv, add_zero_attn, 1 - turn)
    q, k, v = (_heads(x, num_heads, batch_first) for x in (q, k, v))
    k = k if sk is None else sk.reshape(n, num_heads, -1, e // num_heads)
    v = v if sv is None else sv.reshape(n, num_heads, -1, e // num_heads)
    if is_causal:  # then attn_mask can only be the causal one
        mask = Tensor(~np.tri(rows, k.shape[2] - extra, dtype=bool)) if extra else None
    mask = _one_mask(mask, padding, n, num_heads, rows, k.shape[2] - extra, extra, q.dtype)
    y, weights = _attention(
        q, k, v, mask, is_causal and not extra, dropout_p if training else 0.0, need_weights
    )
    y = (
        y.permute(0, 2, 1, 3).reshape(n, rows, e)
        if batch_first
        else y.permute(2, 0, 1, 3).reshape(rows, n, e)
    )
    y = linear(y, wo, bo)
    if weights is not None and average_attn_weights:
        weights = mean(weights, 1)
    if not batched:
        y = y.reshape(rows, e)
        weights = weights if weights is None else weights.reshape(*weights.shape[1:])
    if plain:
        return like(y.data, query), None if weights is None else like(weights.data, query)
    return y, weights


def _check(q: Any, k: Any, v: Any, e: int, heads: int, batch_first: bool) -> None:
    if q.ndim not in (2, 3) or not q.ndim == k.ndim == v.ndim:
        raise ValueError(f"{_OP}: query, key and value must all have 3 axes, or 2 without batch")
    if q.shape[-1] != e or e % heads:
        raise ValueError(f"{_OP}: query's width {q.shape[-1]} must be {e}, a multiple of {heads} heads")
    if k.shape[:-1] != v.shape[:-1] or q.ndim == 3 and q.shape[not batch_first] != k.shape[not batch_first]:
        raise ValueError(
            f"{_OP}: key and value must have the same length and query's batch (query.shape={q.shape}, "
            f"key.shape={k.shape}, value.shape={v.shape})"
        )


def _attention(
    q: Any, k: Any, v: Any, mask: Any, causal: bool, p: float, need_weights: bool
) -> tuple[Any, Any]:
    from .attention import scaled_dot_product_attention

    if not need_weights:
        return scaled_dot_product_attention(q, k, v, mask, p, window=(-1, 0) if causal else None), None
    s = mul(matmul(q, k.swapaxes(-1, -2)), q.shape[-1] ** -0.5)
    if mask is not None:
        seen = mask if mask.dtype == np.bool_ else mask != -np.inf
        s = where(seen, s if mask.dtype == np.bool_ else add(s, mask), -np.inf)
    if causal:
        s = where(np.tri(s.shape[-2], s.shape[-1], dtype=bool), s, -np.inf)
    if mask is not None:  # what no query sees may be NaN
        v = where((s.data > -np.inf).any(-2)[..., None], v, 0.0)
    weights = dropout(softmax(s, -1), p, p > 0)
    return matmul(weights, v), weights
