"""Copies that change the layout: transposition."""

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


def cases() -> list[Case]:
    return [Case("contiguous", "transposed 1024 x 1024", _transpose(1024), bytes=8.0 * 1024**2)]
