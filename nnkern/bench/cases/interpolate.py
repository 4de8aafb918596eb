"""Resampling as decoders, feature pyramids and image pipelines do it."""

from __future__ import annotations

import math
from typing import Any

import nnkern

from ..case import Case
from ..images import beside_torch, training

# name: shape, options
FORWARD: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "nearest x2, 8 x 64 x 28 x 28": ((8, 64, 28, 28), {"scale_factor": 2}),
    "bilinear x2, 8 x 64 x 28 x 28": ((8, 64, 28, 28), {"scale_factor": 2, "mode": "bilinear"}),
    "bilinear x2 align_corners, 8 x 64 x 28 x 28": (
        (8, 64, 28, 28),
        {"scale_factor": 2, "mode": "bilinear", "align_corners": True},
    ),
    "bilinear to 224, 4 x 3 x 320 x 320": ((4, 3, 320, 320), {"size": 224, "mode": "bilinear"}),
    "bilinear x8, 4 x 21 x 28 x 28": ((4, 21, 28, 28), {"scale_factor": 8, "mode": "bilinear"}),
    "bicubic x2, 8 x 64 x 28 x 28": ((8, 64, 28, 28), {"scale_factor": 2, "mode": "bicubic"}),
    "bilinear antialias to 224, 4 x 3 x 512 x 512": (
        (4, 3, 512, 512),
        {"size": 224, "mode": "bilinear", "antialias": True},
    ),
    "bicubic antialias to 224, 4 x 3 x 512 x 512": (
        (4, 3, 512, 512),
        {"size": 224, "mode": "bicubic", "antialias": True},
    ),
    "linear x4, 16 x 64 x 500": ((16, 64, 500), {"scale_factor": 4, "mode": "linear"}),
    "trilinear x2, 2 x 16 x 16 x 28 x 28": ((2, 16, 16, 28, 28), {"scale_factor": 2, "mode": "trilinear"}),
    "area to 14, 8 x 64 x 56 x 56": ((8, 64, 56, 56), {"size": 14, "mode": "area"}),
}


def _case(name: str, train: bool, last: bool) -> Case:
    shape, options = FORWARD[name]

    def ours(x: Any) -> Any:
        return nnkern.interpolate(x, **options)

    def theirs(torch: Any, x: Any) -> Any:
        return torch.nn.functional.interpolate(x, **options)

    spatial = [int(n * options.get("scale_factor", 1)) for n in shape[2:]]
    if "size" in options:
        spatial = [options["size"]] * len(spatial)
    out = math.prod((*shape[:2], *spatial))
    taps = {"nearest": 1, "linear": 4, "bilinear": 8, "trilinear": 12, "bicubic": 16, "area": 16}
    make = training if train else beside_torch
    work = (1 + train) * float(out), (1 + train) * 4.0 * (math.prod(shape) + out)
    label = name + " training" * train + " channels-last" * last
    return Case(
        "interpolate",
        label,
        make(ours, theirs, shape, last),
        taps[options.get("mode", "nearest")] * work[0],
        work[1],
        full=last,
    )


def cases() -> list[Case]:
    found = []
    for name, (shape, _) in FORWARD.items():
        found += [_case(name, train, False) for train in (False, True)]
        if len(shape) == 4:
            found += [_case(name, train, True) for train in (False, True)]
    return found
