"""Norms: batch_norm, group_norm, instance_norm, local_response_norm.

Arrays are (N, C, ...) in any strides; contiguous and channels-last ones are read where they lie, and the result has the
layout of the input.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import to_ndarray
from ..function import Function
from ..tensor import Tensor
from .activation import relu_grad
from .arithmetic import add, div, mul, sub
from .elementwise import pow as _pow
from .elementwise import rsqrt, square
from .join import narrow
from .pad import pad
from .reduce import mean as _mean
from .reduce import sum as _sum
from .reduce import var_mean
from .shape import reshape

__all__ = ["batch_norm", "group_norm", "instance_norm", "local_response_norm"]


def _per_channel(v: Any, x: Any) -> Any:
    """v, one number per channel, so that it broadcasts over x."""
    return v if v is None else reshape(v, (1, -1) + (1,) * (x.ndim - 2))


def _gradients(gz: Any, x: Any, w: Any, hat: Any) -> tuple[Any, ...]:
    """(w gz, gw, gb) in plain ops."""
    axes = (0, *range(2, x.ndim))
    return gz if w is None else mul(gz, _per_channel(w, x)), _sum(mul(gz, hat), axes), _sum(gz, axes)


class BatchNorm(Function):
    name = "batch_norm"

    def __init__(
        self, running_mean: Any, running_var: Any, training: bool, momentum: float, eps: float, relu: bool
    ) -> None:
        self.running = running_mean, running_var
        self.training, self.momentum, self.eps, self.relu = training, momentum, eps, relu

    def forward(self, x: Any, w: Any, b: Any, residual: Any) -> Any:
        y, mean, var = self.kernels.batch_norm_forward(
            x, w, b, *self.running, residual, self.training, self.momentum, self.eps, self.relu
        )
        self.saved = (x, w, mean, var, y if self.relu else None)
        return y

    def backward(self, gy: Any) -> Any:
        x, w, mean, var, y = self.saved
        if isinstance(gy, Tensor):
            return self._plain(gy if y is None else relu_grad(gy, y), x, w, mean, var)
        need_x, need_w, need_b, need_residual = self.needs_input_grad
        keep = need_residual and y is not None
        gx, gw, gb, gz = self.kernels.batch_norm_backward(
            gy, x, w, mean, var, y, self.training, self.eps, keep
        )
        gz = (gz if keep else gy) if need_residual else None
        return gx if need_x else None, gw if need_w else None, gb if need_b else None, gz

    def _plain(self, gz: Any, x: Any, w: Any, mean: Any, var: Any) -> tuple[Any, ...]:
        axes = (0, *range(2, x.ndim))
        if self.training:
            var, mean = var_mean(x, axes, 0, True)
        else:
            var, mean = _per_channel(var, x), _per_channel(mean, x)
        rstd = rsqrt(add(var, self.eps))
        hat = mul(sub(x, mean), rstd)
        g, gw, gb = _gradients(gz, x, w, hat)
        if self.training:
            g = sub(sub(g, _mean(g, axes, True)), mul(hat, _mean(mul(g, hat), axes, True)))
        need_x, need_w, need_b, need_residual = self.needs_input_grad
        gx = mul(g, rstd) if need_x else None
        return gx, gw if need_w else None, gb if need_b else None, gz if need_residual else None


class GroupNorm(Function):
    name = "group_norm"

    def __init__(self, groups: int, eps: float) -> None:
        self.groups, self.eps = groups, eps

    def forward(self, x: Any, w: Any, b: Any) -> Any:
        y, *self.statistics = self.kernels.group_norm_forward(x, w, b, self.groups, self.eps)
        self.saved = (x, w, *self.statistics)
        return y

    def backward(self, gy: Any) -> Any:
        x, w, mean, var = self.saved
        need = self.needs_input_grad
        if isinstance(gy, Tensor):
            gs = self._plain(gy, x, w)
        else:
            gs = self.kernels.group_norm_backward(gy, x, w, mean, var, self.groups, self.eps)
        return tuple(g if needed else None for g, needed in zip(gs, need))

    def _plain(self, gy: Any, x: Any, w: Any) -> tuple[Any, ...]:
        grouped = x.shape[0], self.groups, math.prod(x.shape[1:]) // self.groups
        z = reshape(x, grouped)
        var, mean = var_mean(z, 2, 0, True)
        rstd = rsqrt(add(var, self.eps))
        hat = mul(sub(z, mean), rstd)
        g, gw, gb = _gradients(gy, x, w, reshape(hat, x.shape))
        g = reshape(g, grouped)
        g = sub(sub(g, _mean(g, 2, True)), mul(hat, _mean(mul(g, hat), 2, True)))
        return reshape(mul(g, rstd), x.shape), gw, gb


class LocalResponseNorm(Function):
    name = "local_response_norm"

    def __init__(self, *options: Any) -> None:
        self.options = options

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.kernels.local_response_norm_forward(x, *self.options)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        if not isinstance(gy, Tensor):
            return self.kernels.local_response_norm_backward(gy, x, *self.options)
        size, alpha, beta, k = self.options
        low, high = min(size // 2, x.shape[1]), min((size - 1) // 2, x.shape[1])
        s = add(mul(_window(square(x), low, high), alpha / size), k)
        g = mul(gy, _pow(s, -beta))
        back = mul(_window(div(mul(g, x), s), high, low), 2 * alpha * beta / size)
        return sub(g, mul(x, back))


def _window(v: Any, low: int, high: int) -> Any:
    """The sum over the channels c - low to c + high of v."""
    channels = v.shape[1]
    padded = pad(v, (0, 0) * (v.ndim - 2) + (low, high))
    total = narrow(padded, 1, 0, channels)
    for i in range(1, low + high + 1):
        total = add(total, narrow(padded, 1, i, channels))
    return total


def _running(op: str, mean: Any, var: Any) -> tuple[Any, ...]:
    """The running statistics as arrays that can be written in place."""
    if (mean is None) != (var is None):
        raise ValueError(f"{op}: running_mean and running_var must be given together")
    return tuple(
        v.data if isinstance(v, Tensor) else v if v is None else to_ndarray(v, op) for v in (mean, var)
    )


def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5, *, activation: str | None = None, residual: Any = None,
) -> Any:  # fmt: skip
    """activation((input - mean) / sqrt(var + eps) * weight + bias + residual), mean and var per channel.

    input: (N, C) or (N, C, ...), float32 or float64; weight, bias, running_mean, running_var: (C,) or None. While
    training, mean and (biased) var are the batch's, and the running ones, if given, become (1 - momentum) * running +
    momentum * the batch's, in place, with the unbiased variance; otherwise the running ones are used. Beyond PyTorch:
    activation None or 'relu' and residual (of input's shape) in the same pass over memory, forward and backward.

    Returns an array of input's shape and layout. Raises ValueError for shapes that do not fit, and when training with
    one value per channel. Semantics: torch.nn.functional.batch_norm. Ioffe and Szegedy 2015.

    >>> nnkern.batch_norm(np.array([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    mean, var = _running("batch_norm", running_mean, running_var)
    if mean is None and not training:
        raise ValueError("batch_norm: without training, running_mean and running_var are needed")
    if activation not in (None, "none", "relu"):
        raise ValueError(f"batch_norm: activation '{activation}' is not one of None, relu")
    return BatchNorm(mean, var, training, momentum, eps, activation == "relu")(input, weight, bias, residual)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """(input - mean) / sqrt(var + eps) * weight + bias, mean and var over a group of channels of one sample.

    input: (N, C, ...), num_groups must divide C; weight, bias: (C,) or None. Returns an array of input's shape and
    layout. Semantics: torch.nn.functional.group_norm. Wu and He 2018.

    >>> nnkern.group_norm(np.array([[1.0, 3.0, 5.0, 9.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    if num_groups > 0 and math.prod(input.shape) == num_groups:
        raise ValueError(
            f"group_norm: more than one value per channel is needed (input.shape={tuple(input.shape)})"
        )
    return GroupNorm(num_groups, eps)(input, weight, bias)


def instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """(input - mean) / sqrt(var + eps) * weight + bias, mean and var of each channel of each sample.

    input: (N, C, ...); weight, bias, running_mean, running_var: (C,) or None. With use_input_stats, running statistics
    that are given move towards the batch's average as in batch_norm; without, they take the place of mean and var.
    Raises ValueError for one value per channel. Semantics: torch.nn.functional.instance_norm. Ulyanov et al. 2016.

    >>> nnkern.instance_norm(np.array([[[1.0, 3.0]]]), eps=0.0)
    array([[[-1.,  1.]]])
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    running = _running("instance_norm", running_mean, running_var)
    for name, v in zip(("running_mean", "running_var"), running):
        if v is None:
            continue
        if tuple(v.shape) != tuple(input.shape[1:2]):
            raise ValueError(
                f"instance_norm: {name} must have one number for each of the {input.shape[1]} channels "
                f"(input.shape={tuple(input.shape)}, {name}.shape={tuple(v.shape)})"
            )
        if v.dtype.kind != "f":
            raise TypeError(f"instance_norm: {name} is {v.dtype}; float32 or float64 is needed")
        if not v.flags.writeable:
            raise ValueError(f"instance_norm: {name} is read-only, but use_input_stats writes it")
    size = math.prod(input.shape[2:])
    if size == 1:
        raise ValueError(
            f"instance_norm: more than one value per channel is needed (input.shape={tuple(input.shape)})"
        )
    norm = GroupNorm(max(1, input.shape[1]), eps)
    y = norm(input, weight, bias)
    if running[0] is not None and input.shape[0] * size:
        mean, var = norm.statistics
        for old, new in zip(running, (mean.mean(0), var.mean(0) * (size / (size - 1)))):
            np.copyto(old, (1 - momentum) * old + momentum * new, casting="same_kind")
    return y


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """input / (k + alpha / size * sum of squares over `size` neighbouring channels)^beta.

    input: (N, C, ...) of at least 3 axes; the window of channel c is c - size // 2 to c + (size - 1) // 2, cut at the
    ends. Returns an array of input's shape and layout. Raises ValueError unless size >= 1. Semantics:
    torch.nn.functional.local_response_norm. Krizhevsky et al. 2012.

    >>> nnkern.local_response_norm(np.ones((1, 3, 1)), 3, alpha=3.0, beta=1.0).ravel()
    array([0.33333333, 0.25      , 0.33333333])
    """
    return LocalResponseNorm(size, alpha, beta, k)(input)
