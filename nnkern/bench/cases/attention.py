"""Attention over the shapes of small transformers and GPT-2: forward, and forward with backward."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import FUNCTION_FLOPS, Case, random, torch_module

# batch x heads x length x width
SHAPES = [(1, 8, 128, 64), (8, 6, 128, 32), (1, 12, 512, 64), (1, 12, 1024, 64)]
CACHED = 2048


def _numpy(q: Any, k: Any, v: Any, causal: bool) -> Any:
    s = q @ k.swapaxes(-1, -2)
    s *= np.float32(q.shape[-1] ** -0.5)
    if causal:
        s[..., ~np.tri(s.shape[-2], s.shape[-1], dtype=bool)] = -np.inf
    s -= s.max(-1, keepdims=True)
    np.exp(s, out=s)
    s /= s.sum(-1, keepdims=True)
    return s @ v


def _arrays(shape: tuple[int, ...], rows: int | None = None) -> tuple[Any, Any, Any]:
    b, h, length, width = shape
    return (random(b, h, rows or length, width), random(*shape, seed=1), random(*shape, seed=2))


def _forward(shape: tuple[int, ...], causal: bool, rows: int | None = None) -> Any:
    def candidates() -> dict:
        arrays = _arrays(shape, rows)
        found = {
            "nnkern": lambda: nnkern.scaled_dot_product_attention(*arrays, None, 0.0, causal),
            "numpy": lambda: _numpy(*arrays, causal),
        }
        if torch := torch_module():
            theirs = [torch.from_numpy(a) for a in arrays]
            attention = torch.nn.functional.scaled_dot_product_attention
            found["torch"] = lambda: attention(*theirs, is_causal=causal)
        return found

    return candidates


def _training(shape: tuple[int, ...], causal: bool) -> Any:
    def stepper(attention: Any, leaves: list[Any], gy: Any) -> Any:
        def step() -> Any:
            for x in leaves:
                x.grad = None
            y = attention(*leaves, is_causal=causal)
            y.backward(gy)
            return [y, *(x.grad for x in leaves)]

        return step

    def candidates() -> dict:
        arrays, gy = _arrays(shape), random(*shape, seed=3)
        ours = [nnkern.Tensor(a, requires_grad=True) for a in arrays]
        found = {"nnkern": stepper(nnkern.scaled_dot_product_attention, ours, gy)}
        if torch := torch_module():
            theirs = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
            attention = torch.nn.functional.scaled_dot_product_attention
            found["torch"] = stepper(attention, theirs, torch.from_numpy(gy))
        return found

    return candidates


def _values(results: Any) -> list[np.ndarray]:
    return [np.asarray(x.detach()).copy() for x in results]


def cases() -> list[Case]:
    found = []
    for b, h, length, width in SHAPES:
        for causal in (False, True):
            share = 0.5 if causal else 1.0
            scores, size = share * b * h * length * length, 16.0 * b * h * length * width
            name = f"{b} x {h} x {length} x {width}" + (", causal" if causal else "")
            flops = scores * (4 * width + FUNCTION_FLOPS["exp"])
            found.append(Case("attention", name, _forward((b, h, length, width), causal), flops, size))
            flops = scores * (14 * width + 2 * FUNCTION_FLOPS["exp"])
            step = _training((b, h, length, width), causal)
            found.append(
                Case("attention step", name, step, flops, 2.5 * size, compared=_values, full=length > 512)
            )
    shape = (1, 12, CACHED, 64)
    found.append(
        Case("attention", f"1 x 12 x 1 over {CACHED} keys", _forward(shape, False, 1), 4.0 * 12 * CACHED * 64,
             8.0 * 12 * CACHED * 64)
    )  # fmt: skip
    return found
