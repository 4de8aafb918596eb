"""Dropout. Each library draws its own mask, so what is compared is the share of elements that stayed."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

SIZES = {"32 KB": 8192, "50 MB": 12_500_000}


def _dropout(n: int) -> Any:
    def candidates() -> dict:
        x, generator = random(n), np.random.default_rng(0)
        found = {
            "nnkern": lambda: nnkern.dropout(x, 0.2),
            "numpy": lambda: x * ((generator.random(n, np.float32) >= 0.2) * np.float32(1.25)),
            "numpy (usual)": lambda: x * (np.random.rand(n) >= 0.2) / 0.8,
        }
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: torch.nn.functional.dropout(tx, 0.2)
        return found

    return candidates


def _kept(result: Any) -> Any:
    return np.mean(np.asarray(result) != 0, dtype=np.float32)


def cases() -> list[Case]:
    return [
        Case("dropout", size, _dropout(n), 8.0 * n, 8.0 * n, tolerance=0.05, compared=_kept)
        for size, n in SIZES.items()
    ]
