"""Sequences of unequal length, padded and packed: torch.nn.utils.rnn's names and layouts.

Packed data holds the rows of all first steps, then of all second steps, and so on, the longest sequence first:
for sequences a, b, c of lengths 2, 4, 1 the rows b0 a0 c0 b1 a1 b2 b3 with batch_sizes 3, 2, 1, 1. Everything here
is one index_select by a table of rows. The layers also take `lengths=`, which needs neither packing nor sorting.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ... import ops
from ...device import to_ndarray
from ...tensor import Tensor

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip


class _Fields(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Fields):
    """data (rows, ...), batch_sizes (steps,), and which sequence stands where: None where they came sorted.

    Made by pack_padded_sequence and pack_sequence; PackedSequence(new_data, *old[1:]) replaces the data.
    """

    __slots__ = ()

    def __new__(
        cls, data: Any, batch_sizes: Any, sorted_indices: Any = None, unsorted_indices: Any = None
    ) -> PackedSequence:
        if sorted_indices is not None and unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)


def invert_permutation(permutation: Any) -> Any:
    """The permutation that undoes this one."""
    if permutation is None:
        return None
    permutation = _int64(permutation)
    inverse = np.empty_like(permutation)
    inverse[permutation] = np.arange(len(permutation))
    return inverse


def _int64(numbers: Any) -> np.ndarray:
    if isinstance(numbers, Tensor):
        numbers = numbers.data
    if not isinstance(numbers, (list, tuple, np.ndarray)):
        numbers = to_ndarray(numbers)
    numbers = np.asarray(numbers)
    if numbers.dtype.kind not in "iu" and numbers.size:
        raise TypeError(f"lengths and indices must be integers, got {numbers.dtype}")
    return numbers.astype(np.int64, copy=False)


def _order(op: str, lengths: np.ndarray, enforce_sorted: bool) -> np.ndarray | None:
    """Which sequence comes at which place, the longest first; None if they are sorted and have to be."""
    if not enforce_sorted:
        return np.argsort(-lengths, kind="stable")
    if (lengths[1:] > lengths[:-1]).any():
        raise ValueError(
            f"{op}: lengths must fall from the first sequence to the last, got {lengths.tolist()}; "
            "enforce_sorted=False sorts them"
        )
    return None


def _pack(rows: Any, lengths: np.ndarray, order: Any, first: np.ndarray, stride: int) -> PackedSequence:
    """Step t of sequence n is row first[n] + t * stride of rows."""
    if order is not None:
        lengths, first = lengths[order], first[order]
    steps = np.arange(lengths[0])[:, None]
    there = steps < lengths
    table = (first + steps * stride)[there]
    return PackedSequence(ops.index_select(rows, 0, table), there.sum(1), order)


def _flat(x: Any) -> Any:
    """The first two dims as one."""
    return ops.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))


def _places(sequence: PackedSequence, order: Any) -> tuple[np.ndarray, np.ndarray]:
    """(lengths, table): where step t of sequence n lies in the packed data: table[t, n], -1 past its end."""
    rows, batch_sizes = len(sequence.data), _int64(sequence.batch_sizes)
    if (
        batch_sizes.ndim != 1
        or not batch_sizes.size
        or batch_sizes[-1] < 1
        or (np.diff(batch_sizes) > 0).any()
        or batch_sizes.sum() != rows
    ):
        raise ValueError(
            f"PackedSequence: batch_sizes must be positive, never rise, and add up to the {rows} rows of data, got "
            f"{batch_sizes.tolist()}"
        )
    if order is not None and sorted(_int64(order).tolist()) != list(range(batch_sizes[0])):
        raise ValueError(
            f"PackedSequence: sorted_indices must be an order of the {batch_sizes[0]} sequences, got "
            f"{_int64(order).tolist()}"
        )
    there = np.arange(batch_sizes[0]) < batch_sizes[:, None]
    table = np.where(there, np.cumsum(there).reshape(there.shape) - 1, -1)
    lengths = there.sum(0)
    if order is not None:
        unsort = invert_permutation(order)
        lengths, table = lengths[unsort], table[:, unsort]
    return lengths, table


def _padded(rows: Any, table: np.ndarray, padding_value: float) -> Any:
    """rows[table], with padding_value where table is -1."""
    padding = np.full((1, *rows.shape[1:]), padding_value, str(rows.dtype).removeprefix("torch."))
    return ops.index_select(ops.cat((rows, padding)), 0, table)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The packed form of padded sequences: (T, N, ...), or (N, T, ...) if batch_first.

    lengths: N integers from 1 to T; they must fall from sequence to sequence, or enforce_sorted=False sorts them.

    >>> x = nnkern.Tensor(np.zeros((5, 3, 8), np.float32))
    >>> nn.utils.rnn.pack_padded_sequence(x, [3, 5, 1], enforce_sorted=False).batch_sizes.tolist()
    [3, 2, 2, 1, 1]
    """
    op, lengths = "pack_padded_sequence", _int64(lengths)
    if input.ndim < 2:
        raise ValueError(
            f"{op}: input must have dims for steps and sequences, got shape {tuple(input.shape)}"
        )
    n, t = input.shape[:2] if batch_first else input.shape[1::-1]
    if lengths.shape != (n,):
        raise ValueError(
            f"{op}: {n} sequences but lengths of shape {lengths.shape} "
            f"(input.shape={tuple(input.shape)}, batch_first={batch_first})"
        )
    if not n or lengths.min() < 1 or lengths.max() > t:
        raise ValueError(
            f"{op}: there must be sequences of lengths from 1 to {t}, got {lengths.tolist()}; "
            "the layers' lengths= takes 0, too"
        )
    order = _order(op, lengths, enforce_sorted)
    each, step = (t, 1) if batch_first else (1, n)
    return _pack(_flat(input), lengths, order, each * np.arange(n), step)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, np.ndarray]:
    """(padded, lengths): undoes pack_padded_sequence; sequences stand in their order before it.

    total_length: as many steps instead of the longest sequence's.

    >>> padded, lengths = pad_packed_sequence(pack_sequence([np.ones(3), np.ones(1)]), batch_first=True)
    >>> padded.tolist(), lengths.tolist()
    ([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]], [3, 1])
    """
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"pad_packed_sequence: expected a PackedSequence, got {type(sequence).__name__}")
    lengths, table = _places(sequence, sequence.sorted_indices)
    if total_length is not None:
        if total_length < len(table):
            raise ValueError(
                f"pad_packed_sequence: total_length={total_length} is less than the longest sequence's "
                f"{len(table)}"
            )
        table = np.pad(table, ((0, total_length - len(table)), (0, 0)), constant_values=-1)
    return _padded(sequence.data, table.T if batch_first else table, padding_value), lengths


def pack_like(sequence: PackedSequence, padded: Any, batch_first: bool = False) -> PackedSequence:
    """padded, as pad_packed_sequence(sequence) gives it, packed as `sequence` is."""
    _, table = _places(sequence, None)
    order = np.arange(table.shape[1]) if sequence.sorted_indices is None else _int64(sequence.sorted_indices)
    t, n = np.nonzero(table >= 0)
    row = order[n] * padded.shape[1] + t if batch_first else t * padded.shape[1] + order[n]
    return PackedSequence(ops.index_select(_flat(padded), 0, row), *sequence[1:])


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """One array (T, N, ...) of N sequences (L_n, ...), T the longest's length; (N, T, ...) if batch_first.

    >>> pad_sequence([np.ones(2), np.ones(3)], batch_first=True).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    """
    if padding_side not in ("right", "left"):
        raise ValueError(f"pad_sequence: padding_side must be 'right' or 'left', got {padding_side!r}")
    rows, lengths, first = _joined("pad_sequence", sequences)
    steps = np.arange(lengths.max())[:, None]
    if padding_side == "left":
        steps = steps - (len(steps) - lengths)
    table = np.where((steps >= 0) & (steps < lengths), first + steps, -1)
    return _padded(rows, table.T if batch_first else table, padding_value)


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """The packed form of a list of sequences (L_n, ...); enforce_sorted as in pack_padded_sequence.

    >>> pack_sequence([np.array([1.0, 2.0, 3.0]), np.array([4.0])]).data.tolist()
    [1.0, 4.0, 2.0, 3.0]
    """
    rows, lengths, first = _joined("pack_sequence", sequences)
    if lengths.min() < 1:
        raise ValueError(f"pack_sequence: lengths must be at least 1, got {lengths.tolist()}")
    return _pack(rows, lengths, _order("pack_sequence", lengths, enforce_sorted), first, 1)


def _joined(op: str, sequences: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """(rows of all sequences, their lengths, the first row of each)."""
    sequences = list(sequences)
    if not sequences:
        raise ValueError(f"{op}: needs at least one sequence")
    for i, s in enumerate(sequences):
        if not getattr(s, "ndim", 0):
            raise ValueError(f"{op}: sequences[{i}] must be an array with a first dim of steps, got {s!r}")
        if s.shape[1:] != sequences[0].shape[1:]:
            raise ValueError(
                f"{op}: sequences differ in more than their length: sequences[0].shape="
                f"{tuple(sequences[0].shape)}, sequences[{i}].shape={tuple(s.shape)}"
            )
    lengths = np.array([s.shape[0] for s in sequences])
    return ops.cat(sequences), lengths, np.cumsum(lengths) - lengths


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences that pad_sequence joined, as views.

    >>> [s.tolist() for s in unpad_sequence(np.arange(6.0).reshape(3, 2), [3, 1])]
    [[0.0, 2.0, 4.0], [1.0]]
    """
    each = (lambda n: (n,)) if batch_first else (lambda n: (slice(None), n))
    return [padded_sequences[each(n)][:length] for n, length in enumerate(_int64(lengths))]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences that pack_sequence took.

    >>> [s.tolist() for s in unpack_sequence(pack_sequence([np.ones(2), np.zeros(1)]))]
    [[1.0, 1.0], [0.0]]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
