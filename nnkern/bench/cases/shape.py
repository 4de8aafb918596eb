"""Copies that change the layout: transposition."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module


def _transpose(n: int) -> Any:
    def candidates() -> dict:
        x = random(n, n)

        def numpy() -> Any:  # blocks that fit the L1 cache
            y = np.empty((n, n), x.dtype)
            for i in range(0, n, 32):
                for j in range(0, n, 32):
                    y[j : j + 32, i : i + 32] = x[i : i + 32, j : j + 32].T
            return y

        found = {
            "nnkern": lambda: nnkern.contiguous(x.T),
            "numpy": numpy,
            "numpy (usual)": lambda: np.ascontiguousarray(x.T),
        }
        if torch := torch_module():
            tx = torch.from_numpy(x).T
            found["torch"] = lambda: tx.contiguous()
        return found

    return candidates


def cases() -> list[Case]:
    return [Case("contiguous", "transposed 1024 x 1024", _transpose(1024), 1.0 * 1024**2, 8.0 * 1024**2)]
