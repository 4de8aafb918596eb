"""Sums, means, maxima and variances: over everything, rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

SHAPES = {"32 KB": (64, 128), "50 MB": (3125, 4000)}
NUMPY: dict[str, Any] = {
    "sum": np.sum, "mean": np.mean, "amax": np.max, "argmax": np.argmax, "var": lambda x, axis: np.var(x, axis, ddof=1),
}  # fmt: skip
AXES = {"all": None, "rows": 1, "columns": 0}


def _reduce(name: str, shape: tuple[int, int], axis: int | None) -> Any:
    def candidates() -> dict:
        x = random(*shape)
        ours, numpy = getattr(nnkern, name), NUMPY[name]
        found = {"nnkern": lambda: ours(x, axis), "numpy": lambda: numpy(x, axis=axis)}
        if torch := torch_module():
            tx, f = torch.from_numpy(x), getattr(torch, name)
            if axis is None:
                found["torch"] = lambda: f(tx)
            else:
                found["torch"] = lambda: f(tx, axis)
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for size, shape in SHAPES.items():
        for name in NUMPY:
            for over, axis in AXES.items():
                full = name in ("mean", "argmax") or (name != "sum" and over != "rows")
                work = 4.0 * shape[0] * shape[1]
                found.append(
                    Case(
                        name,
                        f"{size}, {over}",
                        _reduce(name, shape, axis),
                        bytes=work,
                        full=full,
                        tolerance=1e-3,
                    )
                )
    return found
