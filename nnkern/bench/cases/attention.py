"""Attention over the shapes of small transformers and GPT-2: forward, and forward with backward."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern
from nnkern.models import GPT

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


def _torch_gpt(torch: Any, vocabulary: int, length: int, width: int, heads: int, layers: int) -> Any:
    """nnkern.models.GPT in PyTorch, with the same names."""
    nn: Any = torch.nn
    functional: Any = nn.functional

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            n, rows, _ = x.shape
            qkv = self.qkv(self.norm1(x)).chunk(3, -1)
            q, k, v = (part.reshape(n, rows, heads, -1).permute(0, 2, 1, 3) for part in qkv)
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.permute(0, 2, 1, 3).reshape(n, rows, width))
            return x + self.down(functional.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = (nn.Parameter(torch.empty(n, width)) for n in (vocabulary, length))
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.norm = nn.LayerNorm(width)

        def forward(self, tokens: Any) -> Any:
            x = functional.embedding(tokens, self.tokens) + self.places[: tokens.shape[1]]
            for block in self.blocks:
                x = block(x)
            return functional.linear(self.norm(x), self.tokens)

    return GPT()


def _gpt_step(sizes: tuple[int, ...], batch: int) -> Any:
    def stepper(library: Any, model: Any, tokens: Any) -> Any:
        optimiser = library.optim.SGD(model.parameters(), lr=0.1)
        cross_entropy, parameters = library.nn.CrossEntropyLoss(), list(model.parameters())

        def step() -> Any:
            optimiser.zero_grad()
            scores = model(tokens[:, :-1])
            loss = cross_entropy(scores.reshape(-1, sizes[0]), tokens[:, 1:].reshape(-1))
            loss.backward()
            optimiser.step()
            return [loss, *parameters]

        return step

    def candidates() -> dict:
        tokens = np.random.default_rng(0).integers(0, sizes[0], (batch, sizes[1] + 1))
        nnkern.manual_seed(0)
        model = GPT(*sizes)
        start = {k: np.array(v) for k, v in model.state_dict().items()}
        found = {"nnkern": stepper(nnkern, model, nnkern.Tensor(tokens))}
        if torch := torch_module():
            theirs = _torch_gpt(torch, *sizes)
            theirs.load_state_dict({k: torch.from_numpy(v) for k, v in start.items()})
            found["torch"] = stepper(torch, theirs, torch.from_numpy(tokens))
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
    vocabulary, length, width, heads, layers, batch = 256, 128, 192, 6, 4, 8
    weights = layers * 12 * width * width + vocabulary * width
    flops = 6.0 * batch * length * (weights + layers * length * width)
    size = 8.0 * (weights + batch * length * width * layers * 14)
    found.append(
        Case("training step", "GPT, 4 layers of 192, 6 heads, 8 x 128 tokens",
             _gpt_step((vocabulary, length, width, heads, layers), batch), flops, size, compared=_values, tolerance=1e-3)
    )  # fmt: skip
    return found
