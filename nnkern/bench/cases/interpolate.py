"""Resampling as decoders, feature pyramids and image pipelines do it."""

from __future__ import annotations

import math
from functools import partial
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

PICTURES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "uint8 bilinear antialias to 224, 3 x 640 x 480": (
        (1, 3, 640, 480),
        {"size": 224, "mode": "bilinear", "antialias": True},
    ),
    "uint8 bicubic antialias to 224, 3 x 1080 x 1920": (
        (1, 3, 1080, 1920),
        {"size": 224, "mode": "bicubic", "antialias": True},
    ),
    "uint8 bilinear x2, 3 x 224 x 224": ((1, 3, 224, 224), {"scale_factor": 2, "mode": "bilinear"}),
}


def _case(name: str, train: bool, last: bool) -> Case:
    picture = name in PICTURES
    shape, options = (PICTURES if picture else FORWARD)[name]

    def ours(x: Any) -> Any:
        return nnkern.interpolate(x, **options)

    def theirs(torch: Any, x: Any) -> Any:
        return torch.nn.functional.interpolate(x, **options)

    spatial = [int(n * options.get("scale_factor", 1)) for n in shape[2:]]
    if "size" in options:
        spatial = [options["size"]] * len(spatial)
    out = math.prod((*shape[:2], *spatial))
    taps = {"nearest": 1, "linear": 4, "bilinear": 8, "trilinear": 12, "bicubic": 16, "area": 16}
    candidates = (training if train else partial(beside_torch, picture=picture))(ours, theirs, shape, last)
    item = 1.0 if picture else 4.0
    work = (1 + train) * float(out), (1 + train) * item * (math.prod(shape) + out)
    label = name + " training" * train + " channels-last" * last
    return Case(
        "interpolate",
        label,
        candidates,
        taps[options.get("mode", "nearest")] * work[0],
        work[1],
        full=last and not picture,
    )


def cases() -> list[Case]:
    found = []
    for name, (shape, _) in FORWARD.items():
        found += [_case(name, train, False) for train in (False, True)]
        if len(shape) == 4:
            found += [_case(name, train, True) for train in (False, True)]
    return found + [_case(name, False, last) for name in PICTURES for last in (False, True)]
