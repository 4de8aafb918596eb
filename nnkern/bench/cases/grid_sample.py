"""Sampling at grids: spatial transformers, warped features, volumes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import nnkern

from ..case import Case
from ..images import beside_torch, training

# name: shape, options
SHAPES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "bilinear, 8 x 64 x 56 x 56": ((8, 64, 56, 56), {}),
    "bilinear border, 8 x 3 x 224 x 224": ((8, 3, 224, 224), {"padding_mode": "border"}),
    "nearest, 8 x 64 x 56 x 56": ((8, 64, 56, 56), {"mode": "nearest"}),
    "bicubic reflection, 8 x 16 x 56 x 56": (
        (8, 16, 56, 56),
        {"mode": "bicubic", "padding_mode": "reflection"},
    ),
    "trilinear, 2 x 16 x 16 x 28 x 28": ((2, 16, 16, 28, 28), {}),
}


def _grid(shape: tuple[int, ...]) -> Any:
    """A turned and slightly bent picture."""
    axes = len(shape) - 2
    theta = np.zeros((shape[0], axes, axes + 1), np.float32)
    theta[:, range(axes), range(axes)] = 1.0
    theta[:, 0, 1], theta[:, 1, 0] = -0.2, 0.2
    grid = nnkern.affine_grid(theta, shape, False)
    noise = np.random.default_rng(2).standard_normal(grid.shape).astype(np.float32)
    return np.asarray(grid) + 0.01 * noise


def _case(name: str, train: bool, last: bool) -> Case:
    shape, options = SHAPES[name]

    def ours(x: Any, grid: Any) -> Any:
        return nnkern.grid_sample(x, grid, align_corners=False, **options)

    def theirs(torch: Any, x: Any, grid: Any) -> Any:
        return torch.nn.functional.grid_sample(x, grid, align_corners=False, **options)

    n = float(math.prod(shape))
    taps = {"nearest": 1, "bicubic": 16}.get(options.get("mode", ""), 2 ** (len(shape) - 2))
    make = training if train else beside_torch
    label = name + " training" * train + " channels-last" * last
    return Case(
        "grid_sample",
        label,
        make(ours, theirs, shape, last, _grid(shape)),
        2 * taps * n * (1 + 2 * train),
        (8 * n + 8 * n / shape[1]) * (1 + 2 * train),
        full=last,
        tolerance=1e-3,
    )


def cases() -> list[Case]:
    found = []
    for name, (shape, _) in SHAPES.items():
        found += [_case(name, train, False) for train in (False, True)]
        if len(shape) == 4:
            found += [_case(name, train, True) for train in (False, True)]
    return found
