"""Activations in the L1 cache (32 KB) and in memory (50 MB)."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import FUNCTION_FLOPS, Case, random, torch_module
from .elementwise import SIZES, torch_function, unary


def _sigmoid(x: np.ndarray) -> np.ndarray:
    y = np.negative(x)
    np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    y = x * x
    y *= 0.044715
    y += 1
    y *= x
    y *= 0.7978845608028654
    np.tanh(y, out=y)
    y += 1
    y *= x
    y *= 0.5
    return y


NUMPY: dict[str, Any] = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "sigmoid": _sigmoid}
USUAL: dict[str, Any] = {"sigmoid": lambda x: 1 / (1 + np.exp(-x))}
# NumPy's usual words for what its library lacks.
RARE: dict[str, Any] = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "leaky_relu": lambda x: np.where(x > 0, x, np.float32(0.01) * x),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "logsigmoid": lambda x: -np.log1p(np.exp(-x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
}


def _training(name: str, n: int) -> Any:
    """Forward and backward."""

    def candidates() -> dict:
        x, gy = random(n), random(n, seed=1)
        t, ours = nnkern.Tensor(x, requires_grad=True), getattr(nnkern, name)
        found = {"nnkern": lambda: nnkern.grad(ours(t), t, nnkern.Tensor(gy))[0].numpy()}
        if torch := torch_module():
            leaf, tg, f = (
                torch.tensor(x, requires_grad=True),
                torch.from_numpy(gy),
                torch_function(torch, name),
            )
            found["torch"] = lambda: torch.autograd.grad(f(leaf), leaf, tg)[0]
        return found

    return candidates


def _approximate_gelu(n: int) -> Any:
    """GPT-2's gelu, with tanh."""

    def candidates() -> dict:
        x = random(n)
        found = {
            "nnkern": lambda: nnkern.gelu(x, "tanh"),
            "numpy": lambda: _gelu_tanh(x),
            "numpy (usual)": lambda: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        }
        if torch := torch_module():
            tx = torch.from_numpy(x)
            found["torch"] = lambda: torch.nn.functional.gelu(tx, approximate="tanh")
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for size, n in SIZES.items():
        for name in ("tanh", "sigmoid", "relu", "gelu"):
            work = float(FUNCTION_FLOPS.get(name, 1)) * n, 8.0 * n
            found.append(Case(name, size, unary(name, n, NUMPY.get(name), USUAL.get(name)), *work))
        work = float(FUNCTION_FLOPS["gelu_tanh"]) * n, 8.0 * n
        found.append(Case("gelu", f"{size}, tanh form", _approximate_gelu(n), *work))
        for name in RARE:
            work = float(FUNCTION_FLOPS.get(name, 4)) * n, 8.0 * n
            found.append(
                Case(name, size, unary(name, n, RARE[name]), *work, full=name not in ("silu", "mish"))
            )
        for name in ("relu", "gelu", "mish", "leaky_relu"):
            work = 3.0 * FUNCTION_FLOPS.get(name, 1) * n, 20.0 * n
            found.append(Case(name, f"{size}, training", _training(name, n), *work, full=name != "gelu"))
    return found
