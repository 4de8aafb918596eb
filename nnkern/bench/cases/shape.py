"""Copies that change the layout: transposition, concatenation, gathering rows."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module


def _transpose(n: int) -> Any:
    def candidates() -> dict:
        x = random(n, n)
        found = {"nnkern": lambda: nnkern.contiguous(x.T), "numpy": lambda: np.ascontiguousarray(x.T)}
        if torch := torch_module():
            tx = torch.from_numpy(x).T
            found["torch"] = lambda: tx.contiguous()
        return found

    return candidates


def _cat(n: int) -> Any:
    def candidates() -> dict:
        xs = [random(n, n, seed=i) for i in range(4)]
        found = {"nnkern": lambda: nnkern.cat(xs, 1), "numpy": lambda: np.concatenate(xs, 1)}
        if torch := torch_module():
            ts = [torch.from_numpy(x) for x in xs]
            found["torch"] = lambda: torch.cat(ts, 1)
        return found

    return candidates


def _rows(n: int) -> Any:
    def candidates() -> dict:
        x, i = random(50_000, 64), np.random.default_rng(0).integers(0, 50_000, n)
        found = {"nnkern": lambda: nnkern.index_select(x, 0, i), "numpy": lambda: np.take(x, i, axis=0)}
        if torch := torch_module():
            tx, ti = torch.from_numpy(x), torch.from_numpy(i)
            found["torch"] = lambda: torch.index_select(tx, 0, ti)
        return found

    return candidates


def cases() -> list[Case]:
    return [
        Case("contiguous", "transposed 1024 x 1024", _transpose(1024), bytes=8.0 * 1024**2),
        Case("cat", "4 of 256 x 256 side by side", _cat(256), bytes=8.0 * 4 * 256**2),
        Case("index_select", "4096 rows of 64", _rows(4096), bytes=8.0 * 4096 * 64),
    ]
