"""Norms over the last axes: layer_norm and rms_norm, alone or behind an addition (add_layer_norm, add_rms_norm)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..function import Function
from ..tensor import Tensor
from .arithmetic import add, mul, sub
from .elementwise import rsqrt, square
from .reduce import mean as _mean
from .reduce import sum as _sum
from .reduce import var_mean

__all__ = ["add_layer_norm", "add_rms_norm", "layer_norm", "rms_norm"]


class LayerNorm(Function):
    name = "layer_norm"

    def __init__(self, normalized_shape: Any, eps: float | None, rms: bool) -> None:
        self.shape, self.eps, self.rms = normalized_shape, eps, rms

    def forward(self, x: Any, residual: Any, w: Any, b: Any) -> Any:
        eps = self.eps
        if eps is None:
            eps = float(np.finfo(x.dtype).eps) if x.dtype.kind == "f" else 0.0  # which the kernel refuses
        y, h, statistics = self.kernels.layer_norm_forward(x, residual, w, b, self.shape, eps, self.rms)
        self.saved = (x if residual is None else h, w, statistics, eps)
        return y if residual is None else (y, h)

    def backward(self, gy: Any, gh: Any = None) -> Any:
        h, w, statistics, eps = self.saved
        need_x, need_residual, need_w, need_b = self.needs_input_grad
        if gy is None:
            g, gw, gb = gh, None, None
        elif isinstance(gy, Tensor):
            g, gw, gb = self._plain(gy, gh, h, w, eps)
        else:
            g, gw, gb = self.kernels.layer_norm_backward(gy, h, w, statistics, gh, self.shape, self.rms)
        return (
            g if need_x else None,
            g if need_residual else None,
            gw if need_w else None,
            gb if need_b else None,
        )

    def _plain(self, gy: Any, gh: Any, h: Any, w: Any, eps: float) -> tuple[Any, ...]:
        count = 1 if isinstance(self.shape, int) else len(self.shape)
        axes, rows = tuple(range(h.ndim - count, h.ndim)), tuple(range(h.ndim - count))
        if self.rms:
            rstd = rsqrt(add(_mean(square(h), axes, True), eps))
            hat = mul(h, rstd)
        else:
            var, mean = var_mean(h, axes, 0, True)
            rstd = rsqrt(add(var, eps))
            hat = mul(sub(h, mean), rstd)
        g = gy if w is None else mul(gy, w)
        gx = sub(g, mul(hat, _mean(mul(g, hat), axes, True)))
        gx = mul(gx if self.rms else sub(gx, _mean(g, axes, True)), rstd)
        gw, gb = mul(gy, hat), gy
        if rows:
            gw, gb = _sum(gw, rows), _sum(gb, rows)
        return gx if gh is None else add(gx, gh), gw, gb


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """(input - mean) / sqrt(var + eps) * weight + bias, mean and (biased) var over the last axes.

    input: (..., *normalized_shape), float32 or float64; normalized_shape: a number or several; weight, bias: of shape
    normalized_shape, or None. Returns an array of input's shape. Raises ValueError where shapes do not fit. Semantics:
    torch.nn.functional.layer_norm. Ba, Kiros, Hinton 2016.

    >>> nnkern.layer_norm(np.array([[1.0, 3.0], [0.0, 8.0]]), 2, eps=0.0)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    return LayerNorm(normalized_shape, eps, False)(input, None, weight, bias)


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """input / sqrt(mean(input^2) + eps) * weight, the mean over the last axes.

    input: (..., *normalized_shape), float32 or float64; weight: of shape normalized_shape, or None; eps: None is the
    dtype's. Returns an array of input's shape. Raises ValueError where shapes do not fit. Semantics:
    torch.nn.functional.rms_norm. Zhang and Sennrich 2019.

    >>> nnkern.rms_norm(np.array([3.0, 4.0, 0.0, 0.0]), 4)
    array([1.2, 1.6, 0. , 0. ])
    """
    return LayerNorm(normalized_shape, eps, True)(input, None, weight, None)


def add_layer_norm(
    input: Any, residual: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """(layer_norm(h), h) with h = input + residual: one pass over memory, forward and backward.

    input, residual: of one shape. What a transformer does between its blocks; see layer_norm. Beyond PyTorch.

    >>> y, h = nnkern.add_layer_norm(np.array([1.0, 2.0]), np.array([0.0, 1.0]), 2, eps=0.0)
    >>> y, h
    (array([-1.,  1.]), array([1., 3.]))
    """
    return LayerNorm(normalized_shape, eps, False)(input, residual, weight, bias)


def add_rms_norm(
    input: Any, residual: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Any:
    """(rms_norm(h), h) with h = input + residual: one pass over memory, forward and backward.

    input, residual: of one shape; see rms_norm. Beyond PyTorch.

    >>> nnkern.add_rms_norm(np.array([1.0, 2.0]), np.array([2.0, 2.0]), 2)[1]
    array([3., 4.])
    """
    return LayerNorm(normalized_shape, eps, True)(input, residual, weight, None)
