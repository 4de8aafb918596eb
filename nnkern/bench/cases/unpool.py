"""max_unpool of a segmentation network, fractional max pooling of a small one."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module


def _unpool() -> dict[str, Any]:
    y, index = nnkern.max_pool2d(random(8, 64, 112, 112), 2, return_indices=True)
    found = {"nnkern": lambda: nnkern.max_unpool2d(y, index, 2)}
    if torch := torch_module():
        ty, tindex = torch.from_numpy(y), torch.from_numpy(index)
        found["torch"] = lambda: torch.nn.functional.max_unpool2d(ty, tindex, 2)
    return found


def _fractional() -> dict[str, Any]:
    x, samples = random(16, 32, 47, 47), np.random.default_rng(1).random((16, 32, 2)).astype(np.float32)
    options = (2, 31, None, False)
    found = {"nnkern": lambda: nnkern.fractional_max_pool2d(x, *options, samples)}
    if torch := torch_module():
        tx, ts = torch.from_numpy(x), torch.from_numpy(samples)
        found["torch"] = lambda: torch.nn.functional.fractional_max_pool2d(tx, *options, ts)
    return found


def cases() -> list[Case]:
    n = 8.0 * 64 * 112**2
    return [
        Case("max_unpool2d", "2x2, 8 x 64 x 112 x 112", _unpool, n / 4, 4 * n + (4 + 8) * n / 4),
        Case(
            "fractional_max_pool2d",
            "47 to 31, 16 x 32",
            _fractional,
            16.0 * 32 * 31**2 * 4,
            4.0 * 16 * 32 * (47**2 + 31**2),
        ),
    ]
