"""An op on an image beside PyTorch's, in both of its layouts, forward or with its gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnkern import Tensor, grad

from .case import random, torch_module


def beside_torch(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    shape: tuple[int, ...],
    last: bool,
    *others: Any,
    picture: bool = False,
) -> Callable[[], dict]:
    """ours(x, *others) and theirs(torch, x, *others); last: our x is channels-last too; picture: x is uint8."""

    def candidates() -> dict:
        x = random(*shape)
        if picture:
            x = np.clip(64 * x + 128, 0, 255).astype(np.uint8)
        mine = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if last else x
        found = {"nnkern": lambda: ours(mine, *others)}
        if torch := torch_module():
            tx, rest = torch.from_numpy(x), [torch.from_numpy(o) for o in others]
            found["torch"] = lambda: theirs(torch, tx, *rest)
            if len(shape) == 4:
                lx = tx.contiguous(memory_format=torch.channels_last)
                found["torch (channels_last)"] = lambda: theirs(torch, lx, *rest)
        return found

    return candidates


def training(
    ours: Callable[..., Any], theirs: Callable[..., Any], shape: tuple[int, ...], last: bool, *others: Any
) -> Callable[[], dict]:
    """The same forward and backward; the gradients of all arrays are compared."""

    def candidates() -> dict:
        x = random(*shape)
        gy = random(*ours(x, *others).shape, seed=1)

        def lay(a: Any) -> Any:
            return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if last else a

        tensors = [Tensor(lay(x), requires_grad=True), *(Tensor(o, requires_grad=True) for o in others)]
        g = lay(gy)
        found = {"nnkern": lambda: [t.data for t in grad(ours(*tensors), tensors, g)]}
        if torch := torch_module():

            def theirs_in(memory_format: Any) -> Any:
                tx, tg = (torch.from_numpy(a).contiguous(memory_format=memory_format) for a in (x, gy))
                leaves = [tx.requires_grad_(), *(torch.from_numpy(o.copy()).requires_grad_() for o in others)]
                return lambda: list(torch.autograd.grad(theirs(torch, *leaves), leaves, tg))

            found["torch"] = theirs_in(torch.contiguous_format)
            if len(shape) == 4:
                found["torch (channels_last)"] = theirs_in(torch.channels_last)
        return found

    return candidates
