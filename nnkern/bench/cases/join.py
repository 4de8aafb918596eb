"""Joining arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module


def _cat(n: int) -> Any:
    def candidates() -> dict:
        xs = [random(n, n, seed=i) for i in range(4)]
        found = {"nnkern": lambda: nnkern.cat(xs, 1), "numpy": lambda: np.concatenate(xs, 1)}
        if torch := torch_module():
            ts = [torch.from_numpy(x) for x in xs]
            found["torch"] = lambda: torch.cat(ts, 1)
        return found

    return candidates


def cases() -> list[Case]:
    return [Case("cat", "4 of 256 x 256 side by side", _cat(256), 4.0 * 256**2, 8.0 * 4 * 256**2)]
