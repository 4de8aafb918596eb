"""Hooks of a Module: what runs around its forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..function import Function, grad_mode
from ..tensor import Tensor


class Hooks:
    def __init__(self) -> None:
        self.pre: dict[int, Callable[..., Any]] = {}
        self.post: dict[int, Callable[..., Any]] = {}
        self.backward: dict[int, Callable[..., Any]] = {}

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook in list(self.pre.values()):
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        gates = None
        if self.backward and grad_mode.enabled:
            gates = _Gates(module, list(self.backward.values()))
            args = gates.enter(args)
        y = module.forward(*args, **kwargs)
        for hook in list(self.post.values()):
            changed = hook(module, args, y)
            if changed is not None:
                y = changed
        return gates.leave(y) if gates is not None else y


class _Gates:
    """Identity ops at the module's inputs and outputs that see the gradients pass."""

    def __init__(self, module: Any, hooks: list[Callable[..., Any]]) -> None:
        self.module, self.hooks = module, hooks
        self.grad_output: tuple[Any, ...] = ()
        self.has_input = False

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        where = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        if not where:
            return args
        self.has_input = True
        passed = _Gate(self.run, len(where))(*[args[i] for i in where])
        passed = dict(zip(where, passed if isinstance(passed, tuple) else (passed,)))
        return tuple(passed.get(i, a) for i, a in enumerate(args))

    def leave(self, y: Any) -> Any:
        many = isinstance(y, tuple)
        outputs = y if many else (y,)
        if not all(isinstance(t, Tensor) for t in outputs):
            raise TypeError("register_full_backward_hook: forward must return a Tensor or a tuple of them")
        passed = _Gate(self.remember, len(outputs))(*outputs)
        return passed if many == isinstance(passed, tuple) else (passed,)

    def remember(self, gys: tuple[Any, ...]) -> tuple[Any, ...]:
        self.grad_output = gys
        if not self.has_input:
            self.run((None,))
        return gys

    def run(self, gxs: tuple[Any, ...]) -> tuple[Any, ...]:
        as_tensors = [tuple(_tensor(g) for g in gs) for gs in (gxs, self.grad_output)]
        raw = not any(isinstance(g, Tensor) for g in gxs)
        for hook in self.hooks:
            changed = hook(self.module, *as_tensors)
            if changed is not None:
                as_tensors[0] = changed if isinstance(changed, tuple) else (changed,)
        return tuple(g.data if raw and isinstance(g, Tensor) else g for g in as_tensors[0])


def _tensor(g: Any) -> Any:
    return g if g is None or isinstance(g, Tensor) else Tensor(g)


class _Gate(Function):
    def __init__(self, seen: Any, count: int) -> None:
        self.seen, self.count = seen, count

    def forward(self, *xs: Any) -> Any:
        views = tuple(x[...] for x in xs)
        return views[0] if self.count == 1 else views

    def backward(self, *gys: Any) -> Any:
        return self.seen(gys)
