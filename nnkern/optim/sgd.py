"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .optimizer import Optimizer


class SGD(Optimizer):
    """p -= lr * b, where b = momentum * b + (1 - dampening) * (g + weight_decay * p) and starts as the first g.

    nesterov looks one step ahead: p -= lr * (g + momentum * b). maximize climbs instead.

    >>> w = nnkern.Tensor([1.0, -1.0], requires_grad=True)
    >>> optimizer = nnkern.optim.SGD([w], lr=0.25, momentum=0.9)
    >>> (w * w).sum().backward(); optimizer.step(); w
    tensor([ 0.5, -0.5], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check_options(self, options: dict[str, Any]) -> None:
        super().check_options(options)
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise ValueError("SGD: nesterov needs momentum > 0 and dampening = 0")

    def _step(self, group: dict[str, Any], params: list[Any]) -> None:
        if group["momentum"] == 0:
            return self._run(group, params, (), False)
        state = self.state
        new = [p for p in params if state[p].get("momentum_buffer") is None]
        if new:
            for p in new:
                state[p]["momentum_buffer"] = np.empty_like(p.data)
            self._run(group, new, [state[p]["momentum_buffer"] for p in new], True)
            fresh = {id(p) for p in new}
            params = [p for p in params if id(p) not in fresh]
        if params:
            self._run(group, params, [state[p]["momentum_buffer"] for p in params], False)

    def _run(self, group: dict[str, Any], params: list[Any], buffers: Any, first_step: bool) -> None:
        self.kernels.sgd_step(
            [p.data for p in params], [p.grad.data for p in params], buffers,
            group["lr"], group["momentum"], group["dampening"], group["weight_decay"], group["nesterov"],
            group["maximize"], first_step,
        )  # fmt: skip
