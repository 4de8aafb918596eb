"""Gathering rows, as an embedding does."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module


def _rows(n: int) -> Any:
    def candidates() -> dict:
        x, i = random(50_000, 64), np.random.default_rng(0).integers(0, 50_000, n)
        found = {"nnkern": lambda: nnkern.index_select(x, 0, i), "numpy": lambda: np.take(x, i, axis=0),
                 "numpy (usual)": lambda: x[i]}  # fmt: skip
        if torch := torch_module():
            tx, ti = torch.from_numpy(x), torch.from_numpy(i)
            found["torch"] = lambda: torch.index_select(tx, 0, ti)
        return found

    return candidates


def cases() -> list[Case]:
    return [Case("index_select", "4096 rows of 64", _rows(4096), 4096.0 * 64, 4096 * (8.0 * 64 + 8))]
