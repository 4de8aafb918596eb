"""Whole training steps: forward, loss, backward, optimiser. Compared: the loss and every updated parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import Case, random, torch_module

NETS = {
    "tiny MLP 20-32-2, batch 32": ((20, 32, 2), 32),
    "digits MLP 64-256-128-10, batch 64": ((64, 256, 128, 10), 64),
}
RATE = 0.1


def _mlp(library: Any, dims: tuple[int, ...]) -> Any:
    layers: list[Any] = []
    for i, (a, b) in enumerate(zip(dims, dims[1:])):
        layers += [library.nn.Linear(a, b)] + ([library.nn.ReLU()] if i < len(dims) - 2 else [])
    return library.nn.Sequential(*layers)


def _stepper(library: Any, model: Any, x: Any, y: Any) -> Any:
    parameters = list(model.parameters())
    optimiser = library.optim.SGD(parameters, lr=RATE)
    criterion = library.nn.CrossEntropyLoss()

    def step() -> Any:
        optimiser.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimiser.step()
        return loss, parameters

    return step


def _numpy_stepper(parameters: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> Any:
    """The same by hand; parameters: weight and bias of each layer."""
    ws, bs = parameters[::2], parameters[1::2]
    rows = np.arange(len(x))

    def step() -> Any:
        inputs = [x]
        for i, (w, b) in enumerate(zip(ws, bs)):
            h = inputs[-1] @ w.T
            h += b
            inputs.append(np.maximum(h, 0, out=h) if i < len(ws) - 1 else h)
        g = inputs.pop()
        g -= g.max(1, keepdims=True)
        score = g[rows, y]
        np.exp(g, out=g)
        total = g.sum(1, keepdims=True)
        loss = np.mean(np.log(total[:, 0]) - score)
        g /= total
        g[rows, y] -= 1
        g /= np.float32(len(x))
        for i in range(len(ws) - 1, -1, -1):
            gw, gb = g.T @ inputs[i], g.sum(0)
            if i:
                g = g @ ws[i]
                g *= inputs[i] > 0
            gw *= RATE
            ws[i] -= gw
            bs[i] -= np.float32(RATE) * gb
        return loss, parameters

    return step


def _step(dims: tuple[int, ...], batch: int) -> Any:
    def candidates() -> dict:
        x, y = random(batch, dims[0]), np.random.default_rng(0).integers(0, dims[-1], batch)
        model = _mlp(nnkern, dims)
        start = {k: np.array(v) for k, v in model.state_dict().items()}
        found = {
            "nnkern": _stepper(nnkern, model, nnkern.Tensor(x), nnkern.Tensor(y)),
            "numpy": _numpy_stepper([v.copy() for v in start.values()], x, y),
        }
        if torch := torch_module():
            theirs = _mlp(torch, dims)
            theirs.load_state_dict({k: torch.from_numpy(v) for k, v in start.items()})
            found["torch"] = _stepper(torch, theirs, torch.from_numpy(x), torch.from_numpy(y))
        return found

    return candidates


def _values(result: Any) -> list[np.ndarray]:
    loss, parameters = result
    arrays = [a.detach() if hasattr(a, "detach") else a for a in (loss, *parameters)]
    return [np.asarray(a).copy() for a in arrays]


def cases() -> list[Case]:
    found = []
    for name, (dims, batch) in NETS.items():
        weights = float(sum(a * b + b for a, b in zip(dims, dims[1:])))
        flops = 6.0 * batch * sum(a * b for a, b in zip(dims, dims[1:]))
        # weights and their gradients, activations and theirs
        size = 8.0 * (weights + batch * sum(dims))
        found.append(
            Case("training step", name, _step(dims, batch), flops, size, compared=_values, tolerance=1e-5)
        )
    return found
