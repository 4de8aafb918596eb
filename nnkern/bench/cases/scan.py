"""Running sums along rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module


def _cumsum(rows: int, columns: int, dim: int) -> Any:
    def candidates() -> dict:
        x = random(rows, columns)
        found = {"nnkern": lambda: nnkern.cumsum(x, dim), "numpy": lambda: np.cumsum(x, dim)}
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: torch.cumsum(tx, dim)
        return found

    return candidates


def cases() -> list[Case]:
    return [
        Case("cumsum", f"1024 x 1024, {name}", _cumsum(1024, 1024, dim), 1024.0**2, 8.0 * 1024**2, full=True)
        for name, dim in (("rows", 1), ("columns", 0))
    ]
