"""Padding as style transfer, U-Nets and audio do it."""

from __future__ import annotations

import math
from typing import Any

import nnkern

from ..case import Case
from ..images import beside_torch, training

# name: shape, pads
SHAPES = {
    "8 x 64 x 56 x 56 by 1": ((8, 64, 56, 56), (1, 1, 1, 1)),
    "4 x 3 x 224 x 224 by 3": ((4, 3, 224, 224), (3, 3, 3, 3)),
    "16 x 80 x 1000 by 3": ((16, 80, 1000), (3, 3)),
}


def _case(mode: str, name: str, train: bool = False, last: bool = False) -> Case:
    shape, pads = SHAPES[name]

    def ours(x: Any) -> Any:
        return nnkern.pad(x, pads, mode)

    def theirs(torch: Any, x: Any) -> Any:
        return torch.nn.functional.pad(x, pads, mode)

    out = math.prod(n + (2 * pads[0] if i >= len(shape) - len(pads) // 2 else 0) for i, n in enumerate(shape))
    make = training if train else beside_torch
    label = f"{name} {mode}" + " training" * train + " channels-last" * last
    n = float(math.prod(shape) + out) * (1 + train)
    return Case("pad", label, make(ours, theirs, shape, last), n, 4 * n, full=last)


def cases() -> list[Case]:
    found = []
    for name in SHAPES:
        for mode in ("constant", "reflect", "replicate", "circular"):
            found += [_case(mode, name), _case(mode, name, train=True)]
            if len(SHAPES[name][0]) == 4:
                found.append(_case(mode, name, last=True))
    return found
