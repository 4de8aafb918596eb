"""Folding BatchNorm into the convolution before it, for inference."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from .. import ops
from ..autograd import no_grad
from ..tensor import Tensor
from .container import Sequential
from .conv import Conv1d, Conv2d, Conv3d
from .module import Module, fuses_relu
from .norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .parameter import Parameter
from .utils.parametrize import is_parametrized

_CONVS = (Conv1d, Conv2d, Conv3d)
_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d)


class Folded(Module):
    """Stands where a BatchNorm was: y = activation(x + residual)."""

    @fuses_relu
    def forward(self, x: Any, residual: Any = None, activation: str | None = None) -> Any:
        y = x if residual is None else ops.add(x, residual)
        return ops.relu(y) if activation == "relu" else y


def fuse_conv_bn(model: Module, *inputs: Any) -> Module:
    """A copy of model for inference: each BatchNorm that a convolution feeds is folded into its weight and bias.

    w' = w * gamma / sqrt(var + eps),  b' = (b - mean) * gamma / sqrt(var + eps) + beta

    Without inputs only neighbours in a Sequential are folded: nothing else tells what feeds what. With inputs (an
    example of the model's) the model runs once to see it, and once more to see that its results stayed the same. The
    copy is in eval mode, a Folded stands where each BatchNorm was, and model is as it was. Layers stay as they are
    where one of them has a parametrised weight, hooks, or a forward of its own, or where the convolution is called with
    a residual or activation. Raises ValueError if the results differ, which means that something else uses a
    convolution's result, too.

    >>> fuse_conv_bn(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    Sequential(
      (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
      (1): Folded()
    )
    """
    fused = copy.deepcopy(model).eval()
    with no_grad():
        before, pairs = _watch(fused, inputs) if inputs else (None, _neighbours(fused))
        for conv, norm in pairs:
            if norm.running_mean is not None:
                _fold(conv, norm)
                _replace(fused, norm, Folded())
        if inputs:
            _compare(before, fused(*inputs))
    return fused


def _plain(module: Module, kinds: tuple[type[Module], ...]) -> bool:
    """Whether it is of these kinds and does what they do: nothing overridden, parametrised or hooked."""
    if not isinstance(module, kinds) or is_parametrized(module):
        return False
    hooks = module._hooks
    hooked = hooks is not None and bool(hooks.pre or hooks.post or hooks.backward)
    return not hooked and getattr(module.forward, "__func__", None) is kinds[0].forward  # all kinds share it


def _neighbours(model: Module) -> list[tuple[Any, Any]]:
    """Convolutions and the BatchNorm right after them in a Sequential, neither of them used elsewhere."""
    uses = Counter(id(child) for module in model.modules() for child in module._modules.values())
    pairs: list[tuple[Any, Any]] = []
    for module in model.modules():
        if isinstance(module, Sequential) and type(module).forward is Sequential.forward:
            children = list(module._modules.values())
            pairs += [p for p in zip(children, children[1:]) if _plain(p[0], _CONVS) and _plain(p[1], _NORMS)]
    return [(conv, norm) for conv, norm in pairs if uses[id(conv)] == uses[id(norm)] == 1]


def _watch(model: Module, inputs: tuple[Any, ...]) -> tuple[Any, list[tuple[Any, Any]]]:
    """The model's results, and each BatchNorm with the convolution whose result it was given, both run once."""
    made: dict[int, tuple[Any, Any]] = {}  # by id of the result, which stays alive here
    fed: list[tuple[Any, Any]] = []
    runs: Counter[int] = Counter()
    convs = [m for m in model.modules() if _plain(m, _CONVS)]
    norms = [m for m in model.modules() if _plain(m, _NORMS)]

    def conv_forward(conv: Any, x: Any, residual: Any = None, activation: str | None = None) -> Any:
        y = type(conv).forward(conv, x, residual, activation)
        runs[id(conv)] += 1
        if residual is None and activation in (None, "none"):  # else the norm's scale comes after them
            made[id(y)] = conv, y
        return y

    def norm_forward(norm: Any, x: Any, residual: Any = None, activation: str | None = None) -> Any:
        runs[id(norm)] += 1
        if id(x) in made:
            fed.append((made[id(x)][0], norm))
        return type(norm).forward(norm, x, residual, activation)

    for watched, forward in ((convs, conv_forward), (norms, norm_forward)):
        for m in watched:
            m.__dict__["forward"] = partial(forward, m)
    try:
        y = model(*inputs)
    finally:
        for m in (*convs, *norms):
            del m.__dict__["forward"]
    return y, [(conv, norm) for conv, norm in fed if runs[id(conv)] == runs[id(norm)] == 1]


def _fold(conv: Any, norm: Any) -> None:
    mean, var = norm.running_mean.data, norm.running_var.data
    scale = 1 / np.sqrt(var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.data
    bias = -mean * scale if conv.bias is None else (conv.bias.data - mean) * scale
    if norm.bias is not None:
        bias = bias + norm.bias.data
    w = conv.weight.data
    trained = conv.weight.requires_grad
    conv.weight = Parameter((w * scale.reshape(-1, *[1] * (w.ndim - 1))).astype(w.dtype), trained)
    conv.bias = Parameter(bias.astype(w.dtype), trained if conv.bias is None else conv.bias.requires_grad)


def _replace(model: Module, old: Module, new: Module) -> None:
    for module in model.modules():
        for name, child in list(module._modules.items()):  # named_children() tells one name only
            if child is old:
                setattr(module, name, new)


def _compare(before: Any, after: Any) -> None:
    if isinstance(before, Mapping):
        before, after = list(before.values()), list(after.values())
    if isinstance(before, tuple | list):
        for a, b in zip(before, after, strict=True):
            _compare(a, b)
    elif isinstance(before, Tensor | np.ndarray):
        x, y = (np.asarray(a.data if isinstance(a, Tensor) else a, np.float64) for a in (before, after))
        scale = float(np.abs(x).max(initial=0))
        error = float(np.abs(x - y).max(initial=0))
        if not error <= 1e-3 * scale:
            raise ValueError(
                f"fuse_conv_bn: the results would change by {error:.3g} of {scale:.3g}: something else uses the result "
                "of a convolution that feeds a BatchNorm"
            )
    elif hasattr(before, "__dict__") and not isinstance(before, Module):  # a dataclass, say
        _compare(vars(before), vars(after))
