"""Matrix products: squares, odd sizes, and the products inside MLPs, transformers and classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

SQUARES = (24, 64, 100, 128, 256, 333, 512, 1024, 2048)
# name, m, n, k
SHAPES = (
    ("GPT-2 attention out, 1 token", 1, 768, 768),
    ("GPT-2 MLP, 1 token", 1, 3072, 768),
    ("GPT-2 MLP, 16 tokens", 16, 3072, 768),
    ("BERT MLP, 128 tokens", 128, 3072, 768),
    ("VGG-16 classifier, batch 8", 8, 1024, 4096),
    ("ResNet-50 1x1 conv 56x56", 3136, 64, 256),
    ("LeNet-5 classifier, batch 64", 64, 84, 120),
)
# few rows of x against row-major weights: m, n, k
FEW_ROWS = ((1, 4096, 4096), (8, 1024, 4096), (16, 1000, 512), (48, 512, 512))
# gradients of weights, g^T x: name, outputs, inputs, rows
WEIGHT_GRADIENTS = (
    ("GPT MLP, 1024 tokens", 768, 192, 1024),
    ("100 characters, 2048 rows", 100, 256, 2048),
    ("10 classes, 4096 rows", 10, 512, 4096),
)


def _matmul(m: int, n: int, k: int, dtype: str = "float32", turned: bool = False) -> Any:
    def candidates() -> dict:
        x = random(k, m, dtype=dtype).T if turned else random(m, k, dtype=dtype)
        w = random(k, n, dtype=dtype, seed=1)
        found = {"nnkern": lambda: nnkern.matmul(x, w), "numpy": lambda: x @ w}
        if torch := torch_module():
            tx, tw = torch.from_numpy(x), torch.from_numpy(w)
            found["torch"] = lambda: tx @ tw
        return found

    return candidates


def _linear(m: int, n: int, k: int) -> Any:
    def candidates() -> dict:
        x, w, b = random(m, k), random(n, k, seed=1), random(n, seed=2)

        def numpy() -> Any:
            y = x @ w.T
            y += b
            return y

        found = {
            "nnkern": lambda: nnkern.linear(x, w, b),
            "numpy": numpy,
            "numpy (usual)": lambda: x @ w.T + b,
        }
        if torch := torch_module():
            tx, tw, tb = torch.from_numpy(x), torch.from_numpy(w), torch.from_numpy(b)
            found["torch"] = lambda: torch.nn.functional.linear(tx, tw, tb)
        return found

    return candidates


def _batched(b: int, m: int, n: int, k: int) -> Any:
    def candidates() -> dict:
        x, w = random(b, m, k), random(b, k, n, seed=1)
        found = {
            "nnkern": lambda: nnkern.matmul(x, w),
            "numpy": lambda: x @ w,
            "numpy (usual)": lambda: np.einsum("bmk,bkn->bmn", x, w),
        }
        if torch := torch_module():
            tx, tw = torch.from_numpy(x), torch.from_numpy(w)
            found["torch"] = lambda: tx @ tw
        return found

    return candidates


def _gemv(m: int, k: int) -> Any:
    def candidates() -> dict:
        x, v = random(m, k), random(k, seed=1)
        found = {"nnkern": lambda: nnkern.matmul(x, v), "numpy": lambda: x @ v}
        if torch := torch_module():
            tx, tv = torch.from_numpy(x), torch.from_numpy(v)
            found["torch"] = lambda: tx @ tv
        return found

    return candidates


def _work(b: int, m: int, n: int, k: int, dtype: str = "float32") -> tuple[float, float]:
    """Operations and bytes of b products."""
    return 2.0 * b * m * n * k, float(b) * np.dtype(dtype).itemsize * (m * k + k * n + m * n)


def cases() -> list[Case]:
    found = []
    for dtype in ("float32", "float64"):
        for n in SQUARES:
            full = n in (100, 2048) or (dtype == "float64" and n not in (64, 512))
            found.append(
                Case(
                    "matmul",
                    f"{n} x {n} x {n}",
                    _matmul(n, n, n, dtype),
                    *_work(1, n, n, n, dtype),
                    full=full,
                    dtype=dtype,
                )  # fmt: skip
            )
    for m, n, k in FEW_ROWS:
        found.append(Case("matmul", f"{m} x {n} x {k}", _matmul(m, n, k), *_work(1, m, n, k)))
    for name, m, n, k in WEIGHT_GRADIENTS:
        found.append(
            Case("matmul", f"weight gradient, {name}", _matmul(m, n, k, turned=True), *_work(1, m, n, k))
        )
    for name, m, n, k in SHAPES:
        found.append(Case("linear", name, _linear(m, n, k), *_work(1, m, n, k), full="attention" in name))
    found.append(
        Case("matmul", "matrix 1024 x 1024 times vector", _gemv(1024, 1024), *_work(1, 1024, 1, 1024))
    )
    found.append(
        Case("matmul", "64 products of 32 x 32 x 32", _batched(64, 32, 32, 32), *_work(64, 32, 32, 32))
    )
    found.append(
        Case(
            "matmul", "8 attention heads, 128 x 128 x 64", _batched(8, 128, 128, 64), *_work(8, 128, 128, 64)
        )
    )
    return found
