"""Lengths and distances of vectors as retrieval and metric learning take them."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module


def _normalize(shape: tuple[int, int]) -> Any:
    def candidates() -> dict:
        x = random(*shape)
        found = {
            "nnkern": lambda: nnkern.normalize(x),
            "numpy": lambda: x / np.maximum(np.sqrt(np.einsum("ij,ij->i", x, x)), np.float32(1e-12))[:, None],
            "numpy (usual)": lambda: x / np.linalg.norm(x, axis=1, keepdims=True),
        }
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: torch.nn.functional.normalize(tx)
        return found

    return candidates


def _pair(name: str, shape: tuple[int, int]) -> Any:
    def candidates() -> dict:
        x, y = random(*shape), random(*shape, seed=1)
        cosine = name == "cosine_similarity"

        def numpy() -> Any:
            if cosine:
                dot, xx, yy = (np.einsum("ij,ij->i", a, b) for a, b in ((x, y), (x, x), (y, y)))
                return dot / np.sqrt(xx * yy)
            d = x - y
            return np.sqrt(np.einsum("ij,ij->i", d, d))

        def usual() -> Any:
            if cosine:
                return (x * y).sum(1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))
            return np.linalg.norm(x - y, axis=1)

        found = {"nnkern": lambda: getattr(nnkern, name)(x, y), "numpy": numpy, "numpy (usual)": usual}
        if torch := torch_module():
            tx, ty = torch.from_numpy(x), torch.from_numpy(y)
            found["torch"] = lambda: getattr(torch.nn.functional, name)(tx, ty)
        return found

    return candidates


def _pdist(shape: tuple[int, int]) -> Any:
    def candidates() -> dict:
        x = random(*shape)
        i, j = np.triu_indices(shape[0], 1)
        found = {"nnkern": lambda: nnkern.pdist(x), "numpy": lambda: np.linalg.norm(x[i] - x[j], axis=1)}
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: torch.nn.functional.pdist(tx)
        return found

    return candidates


def cases() -> list[Case]:
    n = 2048.0 * 768
    pairs = 400.0 * 399 / 2
    return [
        Case("normalize", "2048 x 768", _normalize((2048, 768)), 3 * n, 8 * n),
        Case("cosine_similarity", "2048 x 768", _pair("cosine_similarity", (2048, 768)), 6 * n, 8 * n),
        Case(
            "pairwise_distance",
            "2048 x 768",
            _pair("pairwise_distance", (2048, 768)),
            3 * n,
            8 * n,
            tolerance=1e-3,
        ),
        Case("pdist", "400 x 64", _pdist((400, 64)), 3 * pairs * 64, 4 * (400 * 64 + pairs)),
    ]
