"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .optimizer import Optimizer


class Adam(Optimizer):
    """p -= lr * m' / (sqrt(v') + eps), with running means m of g and v of g^2, corrected for their start at zero.

    weight_decay adds weight_decay * p to g. amsgrad divides by the largest v so far. maximize climbs instead.
    Kingma and Ba, "Adam: a method for stochastic optimization", 2015.

    >>> w = nnkern.Tensor([1.0, -1.0], requires_grad=True)
    >>> optimizer = nnkern.optim.Adam([w], lr=0.5)
    >>> (w * w).sum().backward(); optimizer.step(); w.data.round(3)
    array([ 0.5, -0.5], dtype=float32)
    """

    decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )

    def check_options(self, options: dict[str, Any]) -> None:
        super().check_options(options)
        betas = options["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise TypeError(f"{type(self).__name__}: betas must be two numbers, got {betas!r}")
        for i, beta in enumerate(betas):
            if not 0 <= beta < 1:
                raise ValueError(f"{type(self).__name__}: betas[{i}] must be in [0, 1), got {beta}")

    def _step(self, group: dict[str, Any], params: list[Any]) -> None:
        by_step: dict[int, list[Any]] = {}  # parameters that sat out a step are behind the others
        for p in params:
            state = self.state[p]
            if not state:
                state["step"] = 0
                state["exp_avg"] = np.zeros_like(p.data)
                state["exp_avg_sq"] = np.zeros_like(p.data)
                if group["amsgrad"]:
                    state["max_exp_avg_sq"] = np.zeros_like(p.data)
            state["step"] += 1
            by_step.setdefault(state["step"], []).append((p, state))
        beta1, beta2 = group["betas"]
        for step, pairs in by_step.items():
            self.kernels.adam_step(
                [p.data for p, _ in pairs], [p.grad.data for p, _ in pairs], [s["exp_avg"] for _, s in pairs],
                [s["exp_avg_sq"] for _, s in pairs],
                [s["max_exp_avg_sq"] for _, s in pairs] if group["amsgrad"] else (),
                step, group["lr"], beta1, beta2, group["eps"], group["weight_decay"], self.decoupled,
                group["amsgrad"], group["maximize"],
            )  # fmt: skip


class AdamW(Adam):
    """Adam whose weight decay acts on the parameters, not on the gradients: p *= 1 - lr * weight_decay first.

    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
