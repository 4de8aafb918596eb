"""Optimizer: groups of parameters with their options, and the state that goes with each parameter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import backends
from ..autograd import enable_grad
from ..device import to_ndarray
from ..function import record_changes
from ..tensor import Tensor


class Optimizer:
    """Base of the optimisers. A subclass writes `_step(group, params)` for the parameters that have a gradient.

    params: Tensors that require grad, or dicts {"params": Tensors, option: value}, one for each group. Options that a
    group leaves out come from `defaults`. `param_groups` is a list of dicts and may be edited (`group["lr"] = 0.01`);
    `state[p]` is the dict of what is remembered of p.
    """

    kernels: Any = backends.kernels("cpu")

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                f"{type(self).__name__}: params must be an iterable of Tensors, got one Tensor: use [p]"
            )
        if not isinstance(params, Iterable):
            raise TypeError(
                f"{type(self).__name__}: params must be an iterable of Tensors, got {type(params).__name__}"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: got no parameters")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """One more group, for parameters that join later or want other options."""
        name = type(self).__name__
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f"{name}: a group must be a dict with 'params', got {group!r}")
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        unknown = set(group) - {"params"} - set(self.defaults)
        if unknown:
            raise ValueError(f"{name}: unknown options {sorted(unknown)}; known are {sorted(self.defaults)}")
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: params[{i}] is {type(p).__name__}, not a Tensor")
            if not p.is_leaf or not p.requires_grad:
                raise ValueError(f"{name}: params[{i}] (shape {p.shape}) must be a leaf that requires grad")
            if id(p) in known:
                raise ValueError(f"{name}: params[{i}] (shape {p.shape}) appears more than once")
            known.add(id(p))
        group = {**self.defaults, **group, "params": params}
        self.check_options(group)
        self.param_groups.append(group)

    def check_options(self, options: dict[str, Any]) -> None:
        """ValueError where an option makes no sense."""
        for key in ("lr", "weight_decay", "momentum", "eps"):
            if key not in options:
                continue
            if not hasattr(options[key], "__float__"):
                raise TypeError(
                    f"{type(self).__name__}: {key} must be a number, got {type(options[key]).__name__}"
                )
            if not options[key] >= 0:
                raise ValueError(f"{type(self).__name__}: {key} must be >= 0, got {options[key]}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters, or fills them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = Tensor(np.zeros_like(p.grad.data))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Changes all parameters that have a gradient. closure: computes the loss (and backward) first; its result is
        returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._step(group, params)
                record_changes(params, "step")
        return loss

    def _step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: {name: array}}, "param_groups": [...]} with parameters numbered in order, as torch.optim's."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers[id(p)] = len(numbers)
            groups.append({**group, "params": [numbers[id(p)] for p in group["params"]]})
        return {"state": {numbers[id(p)]: dict(s) for p, s in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over options and state (copied) from state_dict(), of this optimiser or of torch's."""
        name = type(self).__name__
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= set(state_dict):
            raise TypeError(f"{name}: load_state_dict takes a dict with 'state' and 'param_groups'")
        groups, saved = self.param_groups, state_dict["param_groups"]
        sizes, saved_sizes = [len(g["params"]) for g in groups], [len(g["params"]) for g in saved]
        if sizes != saved_sizes:
            raise ValueError(f"{name}: groups of {sizes} parameters can't load groups of {saved_sizes}")
        params = {n: p for g, s in zip(groups, saved) for n, p in zip(s["params"], g["params"])}
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, entries in state_dict["state"].items():
            p = params[number]
            for key, value in entries.items():
                state[p][key] = self._loaded(p, key, value)
        for group, s in zip(groups, saved):
            group.update({key: s[key] for key in self.defaults if key in s})
        self.state = state

    def _loaded(self, p: Tensor, key: str, value: Any) -> Any:
        if value is None or isinstance(value, (int, float)):
            return value
        array = np.array(to_ndarray(value, "load_state_dict"), p.dtype)
        if key == "step":
            return int(array)
        if array.shape != p.shape:
            raise ValueError(
                f"{type(self).__name__}: {key} of shape {array.shape} for a parameter of shape {p.shape}"
            )
        return array

    def __repr__(self) -> str:
        lines = [
            f"Parameter Group {i}\n" + "".join(f"    {k}: {g[k]}\n" for k in sorted(g) if k != "params")
            for i, g in enumerate(self.param_groups)
        ]
        return f"{type(self).__name__} (\n{''.join(lines)})"
