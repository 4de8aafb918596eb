"""Attention's products, bilinear forms and traces by letters."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

# name: equation, shapes, flops
PRODUCTS: dict[str, tuple[str, list[tuple[int, ...]], float]] = {
    "scores, 8 x 128 x 8 x 64": (
        "blhd,bshd->bhls",
        [(8, 128, 8, 64), (8, 128, 8, 64)],
        2.0 * 64 * 128 * 128 * 64,
    ),
    "context, 8 x 128 x 8 x 64": (
        "bhls,bshd->blhd",
        [(8, 8, 128, 128), (8, 128, 8, 64)],
        2.0 * 64 * 128 * 128 * 64,
    ),
    "matrices, 256": ("ij,jk->ik", [(256, 256), (256, 256)], 2.0 * 256**3),
    "weights by rows, 64 x 512 x 512": ("bi,oi->bo", [(64, 512), (512, 512)], 2.0 * 64 * 512 * 512),
    "rows with rows, 4096 x 256": ("ij,ij->i", [(4096, 256), (4096, 256)], 2.0 * 4096 * 256),
    "bilinear form, 64 x 128": (
        "bi,oij,bj->bo",
        [(64, 128), (32, 128, 128), (64, 128)],
        2.0 * 64 * 128 * 128 * 33,
    ),
}


def _einsum(equation: str, shapes: list[tuple[int, ...]]) -> Any:
    def candidates() -> dict:
        xs = [random(*s, seed=i) for i, s in enumerate(shapes)]
        found = {
            "nnkern": lambda: nnkern.einsum(equation, *xs),
            "numpy": lambda: np.einsum(equation, *xs, optimize=True),
            "numpy (usual)": lambda: np.einsum(equation, *xs),
        }
        if torch := torch_module():
            ts = [torch.from_numpy(x) for x in xs]
            found["torch"] = lambda: torch.einsum(equation, *ts)
        return found

    return candidates


def cases() -> list[Case]:
    return [
        Case("einsum", name, _einsum(equation, shapes), flops, 4.0 * sum(float(np.prod(s)) for s in shapes))
        for name, (equation, shapes, flops) in PRODUCTS.items()
    ]
