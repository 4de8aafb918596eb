"""Angles brought back into one turn."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module


def _turn(n: int) -> Any:
    def candidates() -> dict:
        x = random(n) * np.float32(10)
        found = {
            "nnkern": lambda: nnkern.remainder(x, 6.2831855),
            "numpy": lambda: np.remainder(x, np.float32(6.2831855)),
        }
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: torch.remainder(tx, 6.2831855)
        return found

    return candidates


def cases() -> list[Case]:
    n = 1 << 20
    return [Case("remainder", f"{n} angles", _turn(n), float(n), 8.0 * n, full=True)]
