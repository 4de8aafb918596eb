"""Sums, means, maxima and variances: over everything, rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

SHAPES = {"32 KB": (64, 128), "50 MB": (3125, 4000)}


def _sum(x: np.ndarray, axis: int | None) -> Any:
    """BLAS adds faster than np.sum."""
    if axis is None:
        return np.ones(x.shape[0], x.dtype) @ (x @ np.ones(x.shape[1], x.dtype))
    ones = np.ones(x.shape[axis], x.dtype)
    return x @ ones if axis == 1 else ones @ x


def _mean(x: np.ndarray, axis: int | None) -> Any:
    return _sum(x, axis) / np.float32(x.size if axis is None else x.shape[axis])


def _var(x: np.ndarray, axis: int | None) -> Any:
    if axis is None:
        d = (x - _mean(x, None)).ravel()
        return np.dot(d, d) / np.float32(x.size - 1)
    d = x - np.expand_dims(_mean(x, axis), axis)
    return np.einsum("ij,ij->i" if axis == 1 else "ij,ij->j", d, d) / np.float32(x.shape[axis] - 1)


NUMPY: dict[str, Any] = {"sum": _sum, "mean": _mean, "amax": np.max, "argmax": np.argmax, "var": _var}
USUAL: dict[str, Any] = {"sum": np.sum, "mean": np.mean, "var": lambda x, axis: np.var(x, axis, ddof=1)}
AXES = {"all": None, "rows": 1, "columns": 0}


def _reduce(name: str, shape: tuple[int, int], axis: int | None) -> Any:
    def candidates() -> dict:
        x = random(*shape)
        ours, numpy = getattr(nnkern, name), NUMPY[name]
        found = {"nnkern": lambda: ours(x, axis), "numpy": lambda: numpy(x, axis=axis)}
        if usual := USUAL.get(name):
            found["numpy (usual)"] = lambda: usual(x, axis=axis)
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
                n = float(shape[0] * shape[1])
                found.append(
                    Case(
                        name,
                        f"{size}, {over}",
                        _reduce(name, shape, axis),
                        (3 if name == "var" else 1) * n,
                        4 * n,
                        full=full,
                        tolerance=1e-3,
                    )
                )
    return found
