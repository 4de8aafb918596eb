"""Windows as columns and back: 3x3 of a ResNet's, patches of a vision transformer."""

from __future__ import annotations

from typing import Any

import nnkern

from ..case import Case, random, torch_module

# name: x, options of unfold (kernel, dilation, padding, stride)
WINDOWS = {
    "3x3, 8 x 64 x 56 x 56": ((8, 64, 56, 56), (3, 1, 1, 1)),
    "3x3 stride 2, 8 x 64 x 56 x 56": ((8, 64, 56, 56), (3, 1, 1, 2)),
    "16x16 patches, 8 x 3 x 224 x 224": ((8, 3, 224, 224), (16, 1, 0, 16)),
}


def _unfold(shape: tuple[int, ...], options: tuple[int, ...]) -> Any:
    def candidates() -> dict:
        x = random(*shape)
        found = {"nnkern": lambda: nnkern.unfold(x, *options)}
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: torch.nn.functional.unfold(tx, *options)
        return found

    return candidates


def _fold(shape: tuple[int, ...], options: tuple[int, ...]) -> Any:
    def candidates() -> dict:
        y = random(*nnkern.unfold(random(*shape), *options).shape)
        found = {"nnkern": lambda: nnkern.fold(y, shape[2:], *options)}
        if torch := torch_module():
            ty = torch.from_numpy(y)
            found["torch"] = lambda: torch.nn.functional.fold(ty, shape[2:], *options)
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for name, (shape, (kernel, dilation, padding, stride)) in WINDOWS.items():
        n, c, h, w = shape
        out = (h + 2 * padding - kernel) // stride + 1
        elements = float(n * c * (kernel * out) ** 2)
        bytes = 4.0 * n * c * h * w + 4 * elements
        options = (kernel, dilation, padding, stride)
        found.append(Case("unfold", name, _unfold(shape, options), elements, bytes))
        found.append(Case("fold", name, _fold(shape, options), elements, bytes))
    return found
