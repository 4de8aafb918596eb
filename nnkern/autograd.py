"""Derivatives: backward(), grad(), no_grad, gradcheck, checkpoint.

The walk over the tape itself is function.Walk. Gradients are arrays; under create_graph they are Tensors, so that they
are taped in their turn.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from . import random
from .function import Function, Walk, grad_mode, newest
from .tensor import Tensor

# --- grad mode -----------------------------------------------------------------------------------------------------


class _Mode:
    """Context manager and decorator: tape ops or not. Per thread."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self.before: list[bool] = []  # one instance may be entered again inside itself

    def __enter__(self) -> None:
        self.before.append(grad_mode.enabled)
        grad_mode.enabled = self.mode

    def __exit__(self, *exc: object) -> None:
        grad_mode.enabled = self.before.pop()

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        mode = self.mode

        @functools.wraps(f)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with _Mode(mode):
                return f(*args, **kwargs)

        @functools.wraps(f)
        def generator(*args: Any, **kwargs: Any) -> Any:
            steps, sent = f(*args, **kwargs), None
            try:
                while True:
                    with _Mode(mode):  # while it runs, not while its caller does
                        try:
                            item = steps.send(sent)
                        except StopIteration as end:
                            return end.value
                    sent = yield item
            finally:
                steps.close()

        return generator if inspect.isgeneratorfunction(f) else wrapper


class no_grad(_Mode):
    """Nothing inside is taped: `with no_grad(): ...`, `@no_grad()` or `@no_grad`."""

    def __new__(cls, function: Any = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self, function: Any = None) -> None:
        super().__init__(False)


class enable_grad(_Mode):
    """Taping inside no_grad: `with enable_grad(): ...`, `@enable_grad()` or `@enable_grad`."""

    def __new__(cls, function: Any = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self, function: Any = None) -> None:
        super().__init__(True)


class inference_mode(_Mode):
    """no_grad under PyTorch's other name; inference_mode(False) tapes."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode)


class set_grad_enabled(_Mode):
    """Taping from here on (True) or not (False); as a context manager or decorator, for what is inside."""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, (bool, np.bool_)):
            raise TypeError(f"set_grad_enabled: mode must be True or False, got {type(mode).__name__}")
        super().__init__(mode)
        self.outside = grad_mode.enabled
        grad_mode.enabled = mode

    def __enter__(self) -> None:
        self.before.append(self.outside)
        grad_mode.enabled = self.mode

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        grad_mode.enabled = self.outside
        return super().__call__(f)


def is_grad_enabled() -> bool:
    """Whether ops are taped now, in this thread."""
    return grad_mode.enabled


# --- backward and grad ----------------------------------------------------------------------------------------------


def _seed(y: Tensor, gradient: Any, what: str, create_graph: bool) -> Any:
    y._refresh_view()
    if not y.requires_grad:
        raise RuntimeError(f"{what}: the tensor does not require grad and has no history (shape {y.shape})")
    if gradient is None:
        if y.data.size != 1:
            raise RuntimeError(
                f"{what}: without a gradient the tensor must hold one number, but its shape is {y.shape}; "
                "pass gradient=, or reduce it with .sum() or .mean()"
            )
        gradient = np.ones(y.data.shape, y.data.dtype)
    elif isinstance(gradient, Tensor):
        gradient = gradient if create_graph else gradient.data
    else:
        gradient = np.asarray(gradient)
    if gradient.shape != y.data.shape or gradient.dtype != y.data.dtype:
        raise RuntimeError(
            f"{what}: the gradient is {gradient.dtype} {tuple(gradient.shape)} but the tensor is "
            f"{y.data.dtype} {y.data.shape}"
        )
    return Tensor(gradient) if create_graph and not isinstance(gradient, Tensor) else gradient


def backward(y: Tensor, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False) -> None:
    """Adds d y / d leaf (times `gradient`) to .grad of every leaf that y was computed from."""
    walk = Walk(create_graph)
    walk.start(y, _seed(y, gradient, "backward", create_graph))
    if create_graph:
        with enable_grad():
            for x, g in walk.run(True).values():  # a copy: leaves may share g, and it may be the caller's
                x.grad = g.clone() if x.grad is None else x.grad + g
        return
    found = walk.run(retain_graph)
    while found:
        x, g = found.popitem()[1]
        if x.grad is not None:
            Function.kernels.add_forward(x.grad.data, g, x.grad.data)
        else:
            # Steal the buffer unless somebody else still sees it (2: `g` and getrefcount's own argument).
            x.grad = Tensor(g if g.base is None and sys.getrefcount(g) == 2 else g.copy())


def _tensors(given: Any, what: str) -> tuple[Tensor, ...]:
    tensors = tuple(given) if isinstance(given, Iterable) and not isinstance(given, Tensor) else (given,)
    for t in tensors:
        if not isinstance(t, Tensor):
            raise TypeError(f"grad: {what} must be a Tensor or several, got {type(t).__name__}")
    return tensors


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of outputs with respect to inputs, as a tuple of Tensors; .grad stays untouched.

    Of an input that no output was computed from it is None if allow_unused, zeros if materialize_grads, else an error.
    only_inputs is taken, so that PyTorch's code runs, and must be True.
    """
    if not only_inputs:
        raise ValueError("grad: only_inputs=False is no longer PyTorch's either; backward() fills .grad")
    if materialize_grads and allow_unused is False:
        raise ValueError("grad: materialize_grads needs allow_unused, which is False here")
    outputs, inputs = _tensors(outputs, "outputs"), _tensors(inputs, "inputs")
    if grad_outputs is None or isinstance(grad_outputs, (Tensor, np.ndarray)):
        grad_outputs = (grad_outputs,) * len(outputs) if grad_outputs is None else (grad_outputs,)
    if len(grad_outputs) != len(outputs):
        raise ValueError(f"grad: {len(outputs)} outputs but {len(grad_outputs)} grad_outputs")
    for i, t in enumerate(inputs):
        if not t.requires_grad:
            raise RuntimeError(f"grad: inputs[{i}] does not require grad (shape {t.shape})")
    seeds = [_seed(y, g, "grad", create_graph) for y, g in zip(outputs, grad_outputs)]
    keep = create_graph if retain_graph is None else retain_graph
    walk = Walk(create_graph, inputs)
    for y, g in zip(outputs, seeds):
        walk.start(y, g)
    if not create_graph:
        found = walk.run(keep)
    else:
        with enable_grad():
            found = walk.run(keep)
    result = []
    for i, t in enumerate(inputs):
        g = found.get(id(t), (None, None))[1]
        if g is None and materialize_grads:
            g = np.zeros_like(t.data)
        if g is None and not allow_unused:
            raise RuntimeError(
                f"grad: inputs[{i}] (shape {t.shape}) was not used to compute the outputs; pass allow_unused=True "
                "to get None for it"
            )
        result.append(g if g is None or isinstance(g, Tensor) else Tensor(g))
    return tuple(result)


# --- checks --------------------------------------------------------------------------------------------------------


def gradcheck(
    f: Callable[..., Any], inputs: Sequence[Tensor], eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3
) -> bool:
    """Compares backward of f with central differences, element by element; float64 inputs that require grad.

    Raises AssertionError naming input and element of the worst difference; returns True otherwise.
    """
    inputs = tuple(inputs)
    for i, t in enumerate(inputs):
        if isinstance(t, Tensor) and t.requires_grad and t.dtype != np.float64:
            raise TypeError(f"gradcheck: inputs[{i}] is {t.dtype}; central differences need float64")
    y = f(*inputs)
    outputs = y if isinstance(y, tuple) else (y,)
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(o.shape) for o in outputs]

    def value() -> float:
        with no_grad():
            y = f(*inputs)
        return sum(float(np.sum(o.data * w)) for o, w in zip(y if isinstance(y, tuple) else (y,), weights))

    wanted = [t for t in inputs if isinstance(t, Tensor) and t.requires_grad]
    roots = [(o, w) for o, w in zip(outputs, weights) if o.requires_grad]
    analytic = grad([o for o, _ in roots], wanted, [w for _, w in roots], allow_unused=True)
    for k, (t, g) in enumerate(zip(wanted, analytic)):
        numeric = np.zeros(t.shape)
        for index in np.ndindex(*t.shape):
            before = t.data[index]
            t.data[index] = before + eps
            plus = value()
            t.data[index] = before - eps
            minus = value()
            t.data[index] = before
            numeric[index] = (plus - minus) / (2 * eps)
        got = np.zeros(t.shape) if g is None else g.data
        error = np.abs(got - numeric) - (atol + rtol * np.abs(numeric))
        if np.any(error > 0) or np.any(np.isnan(got)):
            at = np.unravel_index(np.argmax(error), t.shape)
            raise AssertionError(
                f"gradcheck: input {k} at {tuple(int(i) for i in at)}: backward gives {got[at]:.9g}, "
                f"central differences give {numeric[at]:.9g}"
            )
    return True


def gradgradcheck(f: Callable[..., Any], inputs: Sequence[Tensor], **tolerances: float) -> bool:
    """gradcheck of the gradients of f: second derivatives."""
    inputs = tuple(inputs)
    with no_grad():
        y = f(*inputs)
    outputs = y if isinstance(y, tuple) else (y,)
    rng = np.random.default_rng(1)
    seeds = [Tensor(rng.standard_normal(o.shape), requires_grad=True) for o in outputs]

    def first(*args: Tensor) -> tuple[Any, ...]:
        with enable_grad():
            xs, gs = args[: len(inputs)], args[len(inputs) :]
            y = f(*xs)
            outs = y if isinstance(y, tuple) else (y,)
            wanted = [t for t in xs if isinstance(t, Tensor) and t.requires_grad]
            return grad(outs, wanted, gs, create_graph=True)

    return gradcheck(first, (*inputs, *seeds), **tolerances)


# --- checkpoint ----------------------------------------------------------------------------------------------------


class Checkpoint(Function):
    """Keeps the inputs only; backward runs the function again, with the same random numbers."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], result: Any, state: Any) -> None:
        self.function, self.args, self.result, self.state = function, args, result, state

    def forward(self, *arrays: Any) -> Any:
        result, self.result = self.result, None
        return result

    def backward(self, *gys: Any) -> tuple[Any, ...]:
        taped = any(isinstance(g, Tensor) for g in gys)
        args = self.args if taped else tuple(_leaf(a) for a in self.args)
        around = self.inputs[len(args) :]
        now, start = random.get_state(), newest()
        random.set_state(self.state)
        try:
            with enable_grad():
                y = self.function(*args)
        finally:
            random.set_state(now)
        outs = y if isinstance(y, tuple) else (y,)
        wanted = [t for t, need in zip((*args, *around), self.needs_input_grad) if need]
        pairs = [(o, g) for o, g in zip(outs, gys) if g is not None and o.requires_grad]
        walk = Walk(taped, wanted)
        walk.since = start
        for o, g in pairs:
            walk.start(o, g)
        with set_grad_enabled(taped):
            found = walk.run(taped)
        # each once, also if it is an argument and closed over as well
        return tuple(
            found.pop(id(t), (None, None))[1] if need else None
            for t, need in zip((*args, *around), self.needs_input_grad)
        )


def _leaf(a: Any) -> Any:
    return Tensor(a.data, requires_grad=a.requires_grad) if isinstance(a, Tensor) else a


def _around(outs: tuple[Tensor, ...], args: tuple[Any, ...], start: int) -> list[Tensor]:
    """The Tensors that require grad and went into outs since op number `start`, beside args: parameters mostly."""
    own, seen = {id(a) for a in args}, set()
    found = {}
    todo = list(outs)
    while todo:
        t = todo.pop()
        if id(t) in own or not t.requires_grad:
            continue
        if t._fn is None or t._fn.sequence <= start:
            found[id(t)] = t
        elif id(t._fn) not in seen:
            seen.add(id(t._fn))
            todo.extend(x for x in t._fn.inputs if isinstance(x, Tensor))
    return list(found.values())


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: Any = None) -> Any:
    """function(*args) that stores only its inputs and runs again during backward: memory for time.

    Gradients flow to the Tensors among args and to those that the function closes over, such as a module's parameters.
    Dropout draws the same numbers again. use_reentrant is taken, so that PyTorch's code runs, and without effect.
    """
    if not is_grad_enabled():
        return function(*args)
    state, start = random.get_state(), newest()
    leaves = tuple(_leaf(a) for a in args)
    y = function(*leaves)
    outs = y if isinstance(y, tuple) else (y,)
    if not any(t.requires_grad for t in outs):
        return y
    result = tuple(t.data for t in outs) if isinstance(y, tuple) else y.data
    around = _around(outs, leaves, start)
    tensors = [a if isinstance(a, Tensor) else None for a in args]
    return Checkpoint(function, args, result, state)(*tensors, *around)
