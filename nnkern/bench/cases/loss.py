"""Cross-entropy over the class counts of digits, ImageNet and GPT-2, and of a segmented image; forward, and with backward."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import FUNCTION_FLOPS, Case, random, torch_module

SHAPES = {
    "64 x 10": (64, 10),
    "256 x 1000": (256, 1000),
    "64 x 50257": (64, 50257),
    "2 x 21 x 128 x 128": (2, 21, 128, 128),
}


def _numpy(x: np.ndarray, y: np.ndarray) -> Any:
    def numpy() -> Any:
        top = x.max(1)
        z = x - top[:, None]
        np.exp(z, out=z)
        return np.mean(np.log(z.sum(1)) + top - x[np.arange(len(y)), y])

    def usual() -> Any:
        e = np.exp(x - x.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        one_hot = np.zeros_like(x)
        one_hot[np.arange(len(y)), y] = 1
        return -np.mean(np.sum(one_hot * np.log(p), axis=1))

    return {"numpy": numpy, "numpy (usual)": usual}


def _loss(name: str, shape: tuple[int, ...], backward: bool, smoothing: float, soft: bool) -> Any:
    def candidates() -> dict:
        x, y = random(*shape), np.random.default_rng(0).integers(0, shape[1], (shape[0], *shape[2:]))
        if soft:
            y = nnkern.softmax(random(*shape, seed=1), 1)
        options = {"label_smoothing": smoothing} if smoothing else {}

        def train(library: Any, tensor: Any, target: Any) -> Any:
            def run() -> Any:
                tensor.grad = None
                getattr(library, name)(tensor, target, **options).backward()
                return tensor.grad

            return run

        torch = torch_module()
        if backward:
            found = {"nnkern": train(nnkern, nnkern.Tensor(x, requires_grad=True), y)}
            if torch:
                leaf = torch.tensor(x, requires_grad=True)
                found["torch"] = train(torch.nn.functional, leaf, torch.from_numpy(y))
            return found
        found = {"nnkern": lambda: getattr(nnkern, name)(x, y, **options)}
        if name == "cross_entropy" and len(shape) == 2 and not smoothing and not soft:
            found.update(_numpy(x, y))
        if torch:
            tx, ty = torch.from_numpy(x), torch.from_numpy(y)
            found["torch"] = lambda: getattr(torch.nn.functional, name)(tx, ty, **options)
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for size, shape in SHAPES.items():
        n = float(np.prod(shape))
        exp = FUNCTION_FLOPS["exp"]
        for title, smoothing, soft in (
            ("cross_entropy", 0.0, False),
            ("cross_entropy, smoothed", 0.1, False),
            ("cross_entropy, soft targets", 0.0, True),
        ):
            reads = 8.0 if soft else 4.0
            loss = _loss("cross_entropy", shape, False, smoothing, soft)
            found.append(Case(title, size, loss, exp * n, reads * n, full=title != "cross_entropy"))
            loss = _loss("cross_entropy", shape, True, smoothing, soft)
            found.append(
                Case(
                    f"{title}, training",
                    size,
                    loss,
                    2 * exp * n,
                    (2 * reads + 4) * n,
                    full=title != "cross_entropy",
                )
            )
        rows = n / shape[1]
        found.append(Case("nll_loss", size, _loss("nll_loss", shape, False, 0.0, False), rows, 12 * rows))
        training = _loss("nll_loss", shape, True, 0.0, False)
        found.append(Case("nll_loss, training", size, training, n, 4 * n, full=True))
    return found
