"""CTC over the frames of a line of handwriting and of some seconds of speech; forward, and forward with backward."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import FUNCTION_FLOPS, Case, random, torch_module

# frames, batch, classes, labels
SHAPES = {
    "T 64 x N 16, 80 classes, 20 labels": (64, 16, 80, 20),
    "T 300 x N 16, 29 classes, 60 labels": (300, 16, 29, 60),
}


def _ctc(shape: tuple[int, int, int, int], backward: bool) -> Any:
    def candidates() -> dict:
        t, n, c, s = shape
        x = nnkern.log_softmax(random(t, n, c), 2)
        targets = np.random.default_rng(0).integers(1, c, (n, s))
        inputs, lengths = np.full(n, t), np.full(n, s)

        def train(library: Any, tensor: Any, *rest: Any) -> Any:
            def run() -> Any:
                tensor.grad = None
                library.ctc_loss(tensor, *rest).backward()
                return tensor.grad

            return run

        torch = torch_module()
        if backward:
            found = {"nnkern": train(nnkern, nnkern.Tensor(x, requires_grad=True), targets, inputs, lengths)}
        else:
            found = {"nnkern": lambda: nnkern.ctc_loss(x, targets, inputs, lengths)}
        if torch:
            given = [torch.from_numpy(a) for a in (targets, inputs, lengths)]
            if backward:
                found["torch"] = train(torch.nn.functional, torch.tensor(x, requires_grad=True), *given)
            else:
                tx = torch.from_numpy(x)
                found["torch"] = lambda: torch.nn.functional.ctc_loss(tx, *given)
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for size, shape in SHAPES.items():
        t, n, c, s = shape
        states = float(t * n * (2 * s + 1))
        step = 3 * FUNCTION_FLOPS["exp"] + FUNCTION_FLOPS["log"]
        for backward in (False, True):
            work = (1 + backward) * step * states
            title = "ctc_loss, training" if backward else "ctc_loss"
            moved = 4.0 * (states + (1 + backward) * t * n * c)
            # logarithms of some -1000 have an absolute error that makes up the tolerance
            found.append(Case(title, size, _ctc(shape, backward), work, moved, tolerance=2e-3))
    return found
