"""Whole training steps: forward, loss, backward, optimiser. Compared: the loss and every updated parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern
import nnkern.functional

from ..case import Case, random, torch_module

NETS = {
    "tiny MLP 20-32-2, batch 32": ((20, 32, 2), 32),
    "digits MLP 64-256-128-10, batch 64": ((64, 256, 128, 10), 64),
}
RATE = 0.1
IMAGE_RATE = 1e-3


def _mlp(library: Any, dims: tuple[int, ...]) -> Any:
    layers: list[Any] = []
    for i, (a, b) in enumerate(zip(dims, dims[1:])):
        layers += [library.nn.Linear(a, b)] + ([library.nn.ReLU()] if i < len(dims) - 2 else [])
    return library.nn.Sequential(*layers)


def _stepper(library: Any, model: Any, x: Any, y: Any, rate: float = RATE) -> Any:
    parameters = list(model.parameters())
    optimiser = library.optim.SGD(parameters, lr=rate)
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


def _lenet5(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def _vgg(nn: Any) -> Any:
    layers: list[Any] = []
    for c, k in ((3, 64), (64, 128), (128, 256)):
        layers += [nn.Conv2d(c, k, 3, padding=1), nn.ReLU(), nn.Conv2d(k, k, 3, padding=1), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 10))


def _resnet18(nn: Any) -> Any:
    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, c: int, k: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(c, k, 3, stride, 1, bias=False), nn.BatchNorm2d(k)
            self.conv2, self.bn2 = nn.Conv2d(k, k, 3, 1, 1, bias=False), nn.BatchNorm2d(k)
            self.relu, self.short = nn.ReLU(), nn.Sequential()
            if stride > 1:
                self.short = nn.Sequential(nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k))

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + self.short(x))

    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for c, k in ((64, 64), (64, 128), (128, 256), (256, 512)):
        layers += [Block(c, k, 1 if c == k else 2), Block(k, k, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


# name: network, images, classes; millions of multiplications of the forward pass, of weights, and of activations, per image
IMAGE_NETS = {
    "LeNet-5, batch 64": (_lenet5, (64, 1, 28, 28), 10, 0.42, 0.062, 0.016),
    "VGG-like, 6 convolutions, CIFAR, batch 32": (_vgg, (32, 3, 32, 32), 10, 152.9, 1.19, 0.54),
    "ResNet-18, 224 x 224, batch 2": (_resnet18, (2, 3, 224, 224), 1000, 1814.0, 11.7, 6.3),
}


def _image_step(make: Any, shape: tuple[int, ...], classes: int) -> Any:
    def candidates() -> dict:
        x, y = random(*shape), np.random.default_rng(0).integers(0, classes, shape[0])
        nnkern.manual_seed(0)
        model = make(nnkern.nn)
        start = {k: np.array(v) for k, v in model.state_dict().items()}
        found = {"nnkern": _stepper(nnkern, model, nnkern.Tensor(x), nnkern.Tensor(y), IMAGE_RATE)}
        if torch := torch_module():
            for name, memory in (
                ("torch", torch.contiguous_format),
                ("torch (channels_last)", torch.channels_last),
            ):
                theirs = make(torch.nn)
                theirs.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in start.items()})
                images = torch.from_numpy(x).contiguous(memory_format=memory)
                theirs = theirs.to(memory_format=memory)
                found[name] = _stepper(torch, theirs, images, torch.from_numpy(y), IMAGE_RATE)
        return found

    return candidates


CHARACTERS, EMBEDDED, UNITS = 100, 64, 256


def _char_net(library: Any, functional: Any, kind: str) -> Any:
    class Net(library.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = library.nn.Parameter(library.randn(CHARACTERS, EMBEDDED))
            self.rnn = getattr(library.nn, kind)(EMBEDDED, UNITS, 2)
            self.out = library.nn.Linear(UNITS, CHARACTERS)

        def forward(self, x: Any) -> Any:
            y, _ = self.rnn(functional.embedding(x, self.embedding))
            return self.out(y).reshape(-1, CHARACTERS)

    return Net()


def _char_step(kind: str) -> Any:
    def candidates() -> dict:
        random_numbers = np.random.default_rng(0)
        x = random_numbers.integers(0, CHARACTERS, (64, 32))
        y = random_numbers.integers(0, CHARACTERS, 64 * 32)
        model = _char_net(nnkern, nnkern.functional, kind)
        start = {k: np.array(v) for k, v in model.state_dict().items()}
        found = {"nnkern": _stepper(nnkern, model, x, y)}
        if torch := torch_module():
            theirs = _char_net(torch, torch.nn.functional, kind)
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
    for name, (make, shape, classes, products, weights, activations) in IMAGE_NETS.items():
        flops, size = 6e6 * shape[0] * products, 8e6 * (weights + shape[0] * activations)
        step = _image_step(make, shape, classes)
        # after one step the biases of BatchNorm are gradients: an input that rounds to the other side of a ReLU shows
        tolerance = 3e-2 if make is _resnet18 else 1e-3
        found.append(
            Case("training step", name, step, flops, size, compared=_values, tolerance=tolerance,
                 full=make is not _lenet5)
        )  # fmt: skip
    for kind, gates in (("LSTM", 4), ("GRU", 3)):
        layers = gates * UNITS * (EMBEDDED + 3 * UNITS)
        weights = float(layers + CHARACTERS * (EMBEDDED + UNITS))
        rows = 64 * 32
        flops = 6.0 * rows * (layers + CHARACTERS * UNITS)
        size = 8.0 * (weights + rows * (EMBEDDED + 2 * UNITS + CHARACTERS))
        name = f"characters, 2 layers of {kind}, 64 x 32, 256 units"
        found.append(
            Case("training step", name, _char_step(kind), flops, size, compared=_values, tolerance=1e-3)
        )
    return found
