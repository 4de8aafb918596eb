"""Embedding of a small GPT and of BERT: lookup, training step, bags."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

# rows of the table, width, indices: a character model, BERT's table, GPT-2's
SHAPES = {"65 x 192, 8 x 128": (65, 192, 1024), "30522 x 768, 2048": (30522, 768, 2048)}


def _index(rows: int, count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, rows, count)


def _forward(rows: int, width: int, count: int) -> Any:
    def candidates() -> dict:
        w, i = random(rows, width), _index(rows, count)
        found = {"nnkern": lambda: nnkern.embedding(i, w), "numpy": lambda: np.take(w, i, axis=0),
                 "numpy (usual)": lambda: w[i]}  # fmt: skip
        if torch := torch_module():
            tw, ti = torch.from_numpy(w), torch.from_numpy(i)
            found["torch"] = lambda: torch.nn.functional.embedding(ti, tw)
        return found

    return candidates


def _training(rows: int, width: int, count: int) -> Any:
    def candidates() -> dict:
        w, i, gy = random(rows, width), _index(rows, count), random(count, width, seed=1)
        nw, ng = nnkern.Tensor(w, requires_grad=True), nnkern.Tensor(gy)
        found = {"nnkern": lambda: nnkern.grad(nnkern.embedding(i, nw), nw, ng)}
        if torch := torch_module():
            tw, ti, tg = (
                torch.from_numpy(w.copy()).requires_grad_(),
                torch.from_numpy(i),
                torch.from_numpy(gy),
            )
            found["torch"] = lambda: torch.autograd.grad(torch.nn.functional.embedding(ti, tw), tw, tg)
        return found

    return candidates


def _bag(rows: int, width: int, bags: int, length: int) -> Any:
    def candidates() -> dict:
        w, i = random(rows, width), _index(rows, bags * length).reshape(bags, length)
        found = {
            "nnkern": lambda: nnkern.embedding_bag(i, w),
            "numpy": lambda: np.add.reduceat(w[i.reshape(-1)], np.arange(bags) * length) / np.float32(length),
            "numpy (usual)": lambda: w[i].mean(1),
        }
        if torch := torch_module():
            tw, ti = torch.from_numpy(w), torch.from_numpy(i)
            found["torch"] = lambda: torch.nn.functional.embedding_bag(ti, tw)
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for name, (rows, width, count) in SHAPES.items():
        n, table = float(width * count), float(rows * width)
        found.append(Case("embedding", name, _forward(rows, width, count), n, 8 * (n + count)))
        found.append(
            Case("embedding training", name, _training(rows, width, count), 2 * n + table, 12 * n + 4 * table)
        )
    n = 512.0 * 30 * 64
    found.append(
        Case("embedding_bag", "30522 x 64, 512 x 30", _bag(30522, 64, 512, 30), 2 * n, 4 * n + 8 * n / 64)
    )
    return found
