"""Embeddings: rows of a table by number, one by one or in bags, and one_hot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import as_array, like, to_ndarray
from ..function import Function, record_change
from ..inplace import as_int64
from ..tensor import Tensor
from .arithmetic import mul
from .index import index_select, scatter_add, zeros_view
from .reduce import sum as _sum
from .shape import reshape

__all__ = ["embedding", "embedding_bag", "one_hot"]

_MODES = {"sum": 0, "mean": 1, "max": 2}


def _integers(op: str, index: Any) -> Any:
    """index as Tensor or array; lists and numbers are converted."""
    if isinstance(index, (list, tuple, int, np.generic)):
        index = np.asarray(index)
        if index.size == 0:
            index = index.astype(np.int64)
        if index.dtype.kind not in "iu":
            raise TypeError(f"{op}: input must be integers, got {index.dtype}")
    return index


def _plain(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


class Embedding(Function):
    name = "embedding"

    def __init__(self, padding_idx: int, by_freq: bool) -> None:
        self.padding_idx, self.by_freq = padding_idx, by_freq

    def forward(self, weight: Any, index: Any) -> Any:
        self.saved = (index,)
        self.rows = weight.shape[0]
        return self.kernels.embedding_forward(weight, index)

    def backward(self, gy: Any) -> Any:
        index = _plain(self.saved[0])
        return EmbeddingGrad(index, self.rows, self.padding_idx, self.by_freq)(gy), None


class EmbeddingGrad(Function):
    """The rows of gy added up at `index`, by as much as each index is worth."""

    def __init__(self, index: Any, rows: int, padding_idx: int, by_freq: bool) -> None:
        self.index, self.rows, self.padding_idx = index, rows, padding_idx
        self.by_freq = by_freq

    def forward(self, gy: Any) -> Any:
        flat, width = self.index.reshape(-1), gy.shape[-1]
        self.scale = _rarity(flat, gy.dtype) if self.by_freq else None
        rows = gy.reshape(math.prod(gy.shape[:-1]), width)
        return self.kernels.embedding_backward(rows, flat, None, self.scale, self.rows, self.padding_idx)

    def backward(self, g: Any) -> Any:
        gy = Embedding(-1, False)(g, self.index)
        share = (self.index != self.padding_idx).astype(g.dtype)
        if self.scale is not None:
            share *= self.scale.reshape(self.index.shape)
        return mul(gy, share[..., None])


def _rarity(index: Any, dtype: Any) -> Any:
    """1 / how often each index occurs."""
    return (1 / np.bincount(index)[index]).astype(dtype) if index.size else np.zeros(0, dtype)


def _padding(op: str, padding_idx: int | None, rows: int) -> int:
    """The row that is left out, counted from 0; -1 for none."""
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        raise ValueError(f"{op}: padding_idx must lie in [-{rows}, {rows}), got {padding_idx}")
    return padding_idx % rows


def _renormalise(weight: Any, index: Any, max_norm: float, norm_type: float) -> None:
    """Shortens in place the rows that are about to be read to max_norm."""
    table = _plain(weight) if isinstance(weight, Tensor) else to_ndarray(weight, "embedding")
    rows = np.unique(np.asarray(_plain(index)))
    if rows.size and (rows[0] < 0 or rows[-1] >= len(table)):
        return  # the lookup says what is wrong
    norms = np.linalg.norm(table[rows], norm_type, -1)
    long = norms > max_norm
    if long.any():
        table[rows[long]] *= (max_norm / (norms[long] + 1e-7))[:, None].astype(table.dtype)
        if isinstance(weight, Tensor):
            record_change(weight, "embedding's max_norm")


def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Any:  # fmt: skip
    """Rows of weight: y[.., :] = weight[input[..], :].

    input: integers in [0, V) of any shape; weight: (V, D). The row padding_idx receives no gradient. max_norm: rows read
    whose norm_type-norm is larger are shortened to it first, in place. scale_grad_by_freq: gradients are divided by how
    often their row occurs in input. sparse: taken, so that PyTorch's models run, and without effect. There are no sparse
    arrays here, since hooks, clipping and every optimiser would need a second way for them: the gradient is an array like
    weight, written row by row, and SGD makes of it what PyTorch's SGD makes of a sparse one.
    Returns input.shape + (D,). Raises IndexError for a number out of range. Semantics:
    torch.nn.functional.embedding.

    >>> nnkern.embedding(np.array([1, 0, 1]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[3., 4.],
           [1., 2.],
           [3., 4.]])
    """
    if type(weight) is type(input) is np.ndarray and padding_idx is max_norm is None:  # there is no tape
        return Function.kernels.embedding_forward(weight, input)
    index, rows = _integers("embedding", input), weight.shape[0]
    padding = _padding("embedding", padding_idx, rows)
    if max_norm is not None:
        _renormalise(weight, index, max_norm, norm_type)
    return Embedding(padding, scale_grad_by_freq)(weight, index)


class EmbeddingBag(Function):
    """Sums of rows of weight, each row times its scale (and the mean's share)."""

    name = "embedding_bag"

    def __init__(self, index: Any, offsets: Any, mode: int, by_freq: bool) -> None:
        self.index, self.offsets, self.mode, self.by_freq = index, offsets, mode, by_freq

    def forward(self, weight: Any, scale: Any) -> Any:
        self.saved = (weight, scale)
        self.rows, self.dtype = weight.shape[0], weight.dtype
        y, self.winner = self.kernels.embedding_bag_forward(
            weight, self.index, self.offsets, scale, self.mode
        )
        return y

    def backward(self, gy: Any) -> Any:
        weight, scale = self.saved
        if self.mode == 2:
            real = self.winner >= 0
            gy = gy if real.all() else mul(gy, real.astype(self.dtype))
            table = zeros_view((self.rows, gy.shape[1]), self.dtype)
            return scatter_add(table, 0, np.maximum(self.winner, 0), gy), None
        bag = np.repeat(np.arange(len(self.offsets)), np.diff(self.offsets, append=len(self.index)))
        share = None
        if self.mode == 1:
            share = (1 / np.bincount(bag)[bag]).astype(self.dtype)
        if self.by_freq:
            rarity = _rarity(self.index, self.dtype)
            share = rarity if share is None else share * rarity
        gw = gscale = None
        if self.needs_input_grad[0]:
            factor = share if scale is None else scale if share is None else mul(scale, share)
            gw = BagGrad(self.index, self.offsets, bag, self.rows)(gy, factor)
        if self.needs_input_grad[1]:
            gscale = _sum(mul(index_select(gy, 0, bag), index_select(weight, 0, self.index)), -1)
        return gw, gscale


class BagGrad(Function):
    """gw[v] = the sum of scale[i] gy[bag[i]] over the i whose index is v."""

    def __init__(self, index: Any, offsets: Any, bag: Any, rows: int) -> None:
        self.index, self.offsets, self.bag, self.rows = index, offsets, bag, rows

    def forward(self, gy: Any, scale: Any) -> Any:
        self.saved = (gy, scale)
        return self.kernels.embedding_backward(gy, self.index, self.bag, scale, self.rows, -1)

    def backward(self, g: Any) -> Any:
        gy, scale = self.saved
        ggy = gscale = None
        if self.needs_input_grad[0]:
            ggy = EmbeddingBag(self.index, self.offsets, 0, False)(g, scale)
        if self.needs_input_grad[1]:
            gscale = _sum(mul(index_select(gy, 0, self.bag), index_select(g, 0, self.index)), -1)
        return ggy, gscale


def _bags(index: Any, offsets: Any, include_last_offset: bool) -> tuple[Any, Any]:
    """Flat indices and where each bag begins."""
    index = as_array(_plain(index), "embedding_bag")
    if index.ndim == 2:
        if offsets is not None:
            raise ValueError("embedding_bag: a 2-d input has its bags as rows: offsets must be None")
        return index.reshape(-1), np.arange(len(index)) * index.shape[1]
    if index.ndim != 1:
        raise ValueError(f"embedding_bag: input must have 1 or 2 dims (input.shape={index.shape})")
    if offsets is None:
        raise ValueError("embedding_bag: a 1-d input needs offsets, the places where bags begin")
    offsets = as_array(_plain(_integers("embedding_bag", offsets)), "embedding_bag")
    if offsets.ndim != 1:
        raise ValueError(f"embedding_bag: offsets must have one dim (offsets.shape={offsets.shape})")
    if include_last_offset:
        if not len(offsets) or offsets[-1] > len(index):
            raise ValueError(
                f"embedding_bag: the last offset must be at most {len(index)}, the length of input"
            )
        index, offsets = index[: offsets[-1]], offsets[:-1]
    if len(offsets) and offsets[0] != 0:
        raise ValueError(f"embedding_bag: offsets[0] must be 0, got {offsets[0]}")
    return index, offsets


def embedding_bag(
    input: Any, weight: Any, offsets: Any = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Any = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Any:  # fmt: skip
    """Sums, means or maxima of rows of weight: y[b] = fold of weight[input[i]] over the i of bag b; empty bags give 0.

    input: (B, L) integers, a bag in each row, or (count,) with offsets (B,), where bags begin; with include_last_offset
    one more, where the last ends. per_sample_weights: of input's shape, factors for mode 'sum'. Indices equal to
    padding_idx are left out. The rest is as in embedding. Returns (B, D). Raises IndexError for a number out of range,
    ValueError for shapes that do not fit. Semantics: torch.nn.functional.embedding_bag.

    >>> nnkern.embedding_bag(np.array([[0, 1]]), np.array([[1.0, 2.0], [3.0, 4.0]]), mode="sum")
    array([[4., 6.]])
    """
    if mode not in _MODES:
        raise ValueError(f"embedding_bag: mode must be one of {', '.join(_MODES)}, got '{mode}'")
    if per_sample_weights is not None and mode != "sum":
        raise ValueError(f"embedding_bag: per_sample_weights go with mode 'sum' only, not '{mode}'")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("embedding_bag: scale_grad_by_freq does not go with mode 'max'")
    given = _integers("embedding_bag", input)
    shape = tuple(given.shape)
    if per_sample_weights is not None and tuple(per_sample_weights.shape) != shape:
        raise ValueError(
            "embedding_bag: per_sample_weights must have the shape of input "
            f"(input.shape={shape}, per_sample_weights.shape={tuple(per_sample_weights.shape)})"
        )
    index, starts = _bags(given, offsets, include_last_offset)
    scale = None if per_sample_weights is None else reshape(per_sample_weights, (-1,))[: len(index)]
    padding = _padding("embedding_bag", padding_idx, weight.shape[0])
    if padding >= 0:
        real = index != padding
        starts = np.concatenate([[0], np.cumsum(real)])[starts]
        index = index[real]
        scale = scale if scale is None else scale[np.flatnonzero(real)]
    if max_norm is not None:
        _renormalise(weight, index, max_norm, norm_type)
    return EmbeddingBag(index, starts, _MODES[mode], scale_grad_by_freq)(weight, scale)


def one_hot(input: Any, num_classes: int = -1) -> Any:
    """int64, input.shape + (num_classes,): 1 where the last index equals input. -1: as many classes as input needs.

    Raises ValueError for a class outside [0, num_classes). Semantics: torch.nn.functional.one_hot.

    >>> nnkern.one_hot(np.array([0, 2]))
    array([[1, 0, 0],
           [0, 0, 1]])
    """
    index = as_array(_plain(_integers("one_hot", input)), "one_hot")
    if index.dtype.kind not in "iu":
        raise TypeError(f"one_hot: classes must be integers, got {index.dtype}")
    index = as_int64("one_hot", index)
    if num_classes == -1:
        num_classes = int(index.max(initial=-1)) + 1
    if index.size == 0 and num_classes < 1:
        raise ValueError("one_hot: an empty input does not tell how many classes there are: give num_classes")
    low, high = int(index.min(initial=0)), int(index.max(initial=-1))
    if high >= num_classes or low < 0:
        raise ValueError(f"one_hot: classes must lie in [0, {num_classes}), got {low} to {high}")
    y = np.zeros((*index.shape, num_classes), np.int64)
    np.put_along_axis(y, index[..., None], 1, -1)
    return Tensor(y) if isinstance(input, Tensor) else like(y, input)
