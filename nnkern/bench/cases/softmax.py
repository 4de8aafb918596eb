"""softmax and log_softmax over the class counts of digits, ImageNet and GPT-2; forward, and with backward."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import FUNCTION_FLOPS, Case, random, torch_module

SHAPES = {"64 x 10": (64, 10), "256 x 1000": (256, 1000), "64 x 50257": (64, 50257)}


def _softmax(name: str, shape: tuple[int, int]) -> Any:
    def candidates() -> dict:
        x = random(*shape)

        def numpy() -> Any:
            z = x - x.max(1, keepdims=True)
            if name == "log_softmax":
                return z - np.log(np.exp(z).sum(1, keepdims=True))
            np.exp(z, out=z)
            z /= z.sum(1, keepdims=True)
            return z

        def usual() -> Any:
            e = np.exp(x - np.max(x, axis=1, keepdims=True))
            p = e / np.sum(e, axis=1, keepdims=True)
            return np.log(p) if name == "log_softmax" else p

        found = {"nnkern": lambda: getattr(nnkern, name)(x, 1), "numpy": numpy, "numpy (usual)": usual}
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: getattr(torch, name)(tx, 1)
        return found

    return candidates


def _training(name: str, shape: tuple[int, int]) -> Any:
    def candidates() -> dict:
        x, g = random(*shape), random(*shape, seed=1)

        def train(function: Any, tensor: Any, gradient: Any) -> Any:
            def run() -> Any:
                tensor.grad = None
                function(tensor, 1).backward(gradient)
                return tensor.grad

            return run

        tensor = nnkern.Tensor(x, requires_grad=True)
        found = {"nnkern": train(getattr(nnkern, name), tensor, nnkern.Tensor(g))}
        if torch := torch_module():
            leaf = torch.tensor(x, requires_grad=True)
            found["torch"] = train(getattr(torch, name), leaf, torch.from_numpy(g))
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for size, shape in SHAPES.items():
        n = float(shape[0] * shape[1])
        work = (FUNCTION_FLOPS["exp"] + 4) * n, 8 * n
        found.append(Case("softmax", size, _softmax("softmax", shape), *work))
        found.append(Case("log_softmax", size, _softmax("log_softmax", shape), *work, full=True))
        both = (FUNCTION_FLOPS["exp"] + 8) * n, 20 * n
        found.append(Case("softmax, training", size, _training("softmax", shape), *both))
        found.append(Case("log_softmax, training", size, _training("log_softmax", shape), *both, full=True))
    return found
