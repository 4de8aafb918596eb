"""Whole training steps: forward, loss, backward, optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

NETS = {
    "tiny MLP 20-32-2, batch 32": ((20, 32, 2), 32),
    "digits MLP 64-256-128-10, batch 64": ((64, 256, 128, 10), 64),
}


def _mlp(library: Any, dims: tuple[int, ...]) -> Any:
    layers: list[Any] = []
    for i, (a, b) in enumerate(zip(dims, dims[1:])):
        layers += [library.nn.Linear(a, b)] + ([library.nn.ReLU()] if i < len(dims) - 2 else [])
    return library.nn.Sequential(*layers)


def _step(dims: tuple[int, ...], batch: int) -> Any:
    def candidates() -> dict:
        x, y = random(batch, dims[0]), np.random.default_rng(0).integers(0, dims[-1], batch)
        model = _mlp(nnkern, dims)
        start = {k: np.array(v) for k, v in model.state_dict().items()}

        def stepper(library: Any, model: Any, x: Any, y: Any) -> Any:
            optimiser = library.optim.SGD(
                model.parameters(), lr=0.0
            )  # lr 0: every step does the same, comparably
            criterion = library.nn.CrossEntropyLoss()

            def step() -> Any:
                optimiser.zero_grad()
                loss = criterion(model(x), y)
                loss.backward()
                optimiser.step()
                return loss

            return step

        found = {"nnkern": stepper(nnkern, model, nnkern.Tensor(x), nnkern.Tensor(y))}
        if torch := torch_module():
            theirs = _mlp(torch, dims)
            theirs.load_state_dict({k: torch.from_numpy(v) for k, v in start.items()})
            found["torch"] = stepper(torch, theirs, torch.from_numpy(x), torch.from_numpy(y))
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for name, (dims, batch) in NETS.items():
        flops = 6.0 * batch * sum(a * b for a, b in zip(dims, dims[1:]))
        found.append(Case("training step", name, _step(dims, batch), flops))
    return found
