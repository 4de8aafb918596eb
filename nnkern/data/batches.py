"""Mini-batches of arrays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..random import generator


class Batches:
    """Iterates over arrays in batches of batch_size rows; every pass over it is an epoch.

    shuffle: another order every epoch, drawn from nnkern.manual_seed's generator, or from `seed` if given.

    >>> [len(x) for x, y in Batches(np.zeros((5, 2)), np.zeros(5), batch_size=2)]
    [2, 2, 1]
    """

    def __init__(
        self, *arrays: np.ndarray, batch_size: int = 64, shuffle: bool = True, seed: int | None = None
    ) -> None:
        if not arrays or batch_size < 1:
            raise ValueError(f"Batches: needs arrays and batch_size >= 1, got {len(arrays)} and {batch_size}")
        if len({len(a) for a in arrays}) != 1:
            raise ValueError(f"Batches: the arrays have {[len(a) for a in arrays]} rows")
        self.arrays, self.batch_size, self.shuffle = arrays, batch_size, shuffle
        self._own = None if seed is None else np.random.Generator(np.random.Philox(seed))

    def __len__(self) -> int:
        return -(-len(self.arrays[0]) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        rows = len(self.arrays[0])
        order = (self._own or generator()).permutation(rows) if self.shuffle else np.arange(rows)
        for i in range(0, rows, self.batch_size):
            taken = order[i : i + self.batch_size]
            yield tuple(a[taken] for a in self.arrays)
