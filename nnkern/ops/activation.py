"""Activations; the rules of elementwise.py hold.

`inplace=True` writes the result over x (an array or Tensor) and returns x; functions whose name ends in _ always do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..function import Function
from ..random import generator
from ..tensor import Tensor
from ._activation import Activation, activate, kernels, ndarray, run
from ._activation_piecewise import (
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    hardtanh_,
    relu6,
    softshrink,
    threshold,
    threshold_,
)  # fmt: skip
from .arithmetic import add, div, mul, neg, sub, unbroadcast
from .compare import gt, where
from .elementwise import Unary, UnaryFromResult, abs, erf, exp, square

__all__ = [
    "celu", "celu_", "elu", "elu_", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "hardtanh_",
    "leaky_relu", "leaky_relu_", "logsigmoid", "mish", "prelu", "relu", "relu6", "relu_", "relu_grad", "rrelu", "rrelu_",
    "selu", "selu_", "sigmoid", "silu", "softplus", "softshrink", "softsign", "swish", "tanh", "tanhshrink", "threshold",
    "threshold_",
]  # fmt: skip


class Tanh(UnaryFromResult):
    def backward(self, gy: Any) -> Any:
        y = self.saved[0]
        if isinstance(gy, Tensor):
            return mul(gy, sub(1.0, mul(y, y)))
        return self.kernels.tanh_grad_forward(gy, y)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return kernels.tanh_forward(x) if type(x) is ndarray else Tanh()(x)


class Sigmoid(UnaryFromResult):
    def backward(self, gy: Any) -> Any:
        y = self.saved[0]
        if isinstance(gy, Tensor):
            return mul(gy, mul(y, sub(1.0, y)))
        return self.kernels.sigmoid_grad_forward(gy, y)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return kernels.sigmoid_forward(x) if type(x) is ndarray else Sigmoid()(x)


class ReLU(Function):
    name = "relu"

    def forward(self, x: Any) -> Any:
        y = self.kernels.relu_forward(x)
        self.saved = (y,)
        return y

    def backward(self, gy: Any) -> Any:
        return relu_grad(gy, self.saved[0])


def relu(x: Any, inplace: bool = False) -> Any:
    """max(x, 0); NaN stays NaN, the gradient at 0 is 0."""
    if inplace:
        return relu_(x)
    return kernels.relu_forward(x) if type(x) is ndarray else ReLU()(x)


def relu_(x: Any) -> Any:
    """relu over x itself."""
    return run(ReLU(), x, True, "relu_")


class ReLUGrad(Function):
    name = "relu_grad"

    def forward(self, gy: Any, y: Any) -> Any:
        self.saved = (y,)
        return self.kernels.relu_grad_forward(gy, y)

    def backward(self, ggx: Any) -> Any:
        return relu_grad(ggx, self.saved[0]), None


def relu_grad(gy: Any, y: Any) -> Any:
    """0 where y <= 0, else gy (at NaN, too): the gradient of relu, y being its input or its result."""
    return ReLUGrad()(gy, y)


class GELU(Function):
    def __init__(self, approximate: str) -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got '{approximate}'")
        self.kind = "gelu" if approximate == "none" else "gelu_tanh"

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return getattr(self.kernels, f"{self.kind}_forward")(x)

    def backward(self, gy: Any) -> Any:
        x = self.saved[0]
        if not isinstance(gy, Tensor):
            return getattr(self.kernels, f"{self.kind}_grad_forward")(gy, x)
        return mul(gy, gelu_slope(x, self.kind))


def gelu_slope(x: Any, kind: str) -> Any:
    """The derivative of gelu (kind 'gelu' or 'gelu_tanh')."""
    if kind == "gelu":
        density = mul(exp(mul(square(x), -0.5)), 0.3989422804014327)
        return add(mul(add(erf(mul(x, 0.7071067811865476)), 1.0), 0.5), mul(x, density))
    inner = mul(add(x, mul(mul(square(x), x), 0.044715)), 2 * 0.7978845608028654)
    s = sigmoid(inner)
    inner_slope = mul(add(mul(square(x), 3 * 0.044715), 1.0), 2 * 0.7978845608028654)
    return add(s, mul(mul(x, mul(s, sub(1.0, s))), inner_slope))


def gelu(x: Any, approximate: str = "none") -> Any:
    """x Phi(x), Phi the normal distribution function; approximate='tanh' takes the tanh formula instead.

    Source: Hendrycks & Gimpel, Gaussian Error Linear Units, arXiv 1606.08415.
    """
    return run(GELU(approximate), x, False, "")


class SiLU(Unary):
    def backward(self, gy: Any) -> Any:
        x = self.saved[0]
        if not isinstance(gy, Tensor):
            return self.kernels.silu_grad_forward(gy, x)
        return mul(gy, silu_slope(x))


def silu_slope(x: Any) -> Any:
    """The derivative of silu."""
    s = sigmoid(x)
    return mul(s, add(mul(x, sub(1.0, s)), 1.0))


def silu(x: Any, inplace: bool = False) -> Any:
    """x sigmoid(x), also called swish. Ramachandran et al., arXiv 1710.05941."""
    if type(x) is ndarray and not inplace:
        return kernels.silu_forward(x)
    return run(SiLU(), x, inplace, "silu_")


swish = silu


class LeakyReLU(Activation):
    name = "leaky_relu"

    def plain(self, gy: Any, x: Any, *numbers: float) -> Any:
        return where(gt(x, 0.0), gy, mul(gy, numbers[0]))


def leaky_relu(x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where x > 0, else negative_slope x."""
    return activate(LeakyReLU, x, inplace, "leaky_relu_", negative_slope)


def leaky_relu_(x: Any, negative_slope: float = 0.01) -> Any:
    """leaky_relu over x itself."""
    return leaky_relu(x, negative_slope, True)


class RReLU(Function):
    name = "rrelu"

    def __init__(self, lower: float, upper: float) -> None:
        self.lower, self.upper = lower, upper

    def forward(self, x: Any) -> Any:
        slope = generator().random(x.shape) * (self.upper - self.lower) + self.lower
        self.saved = (np.where(x > 0, 1.0, slope).astype(x.dtype),)
        return self.kernels.mul_forward(x, self.saved[0])

    def backward(self, gy: Any) -> Any:
        return mul(gy, self.saved[0])


def rrelu(
    x: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Any:
    """leaky_relu whose slope is drawn from [lower, upper) for each element, or their middle unless `training`.

    The numbers come from nnkern.manual_seed's generator. Xu et al. 2015, arXiv 1505.00853.
    """
    if lower > upper:
        raise ValueError(f"rrelu: lower must not be above upper, got {lower} and {upper}")
    if not training:
        return leaky_relu(x, (lower + upper) / 2, inplace)
    return run(RReLU(lower, upper), x, inplace, "rrelu_")


def rrelu_(x: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Any:
    """rrelu over x itself."""
    return rrelu(x, lower, upper, training, True)


class PReLU(Function):
    name = "prelu"

    def forward(self, x: Any, w: Any) -> Any:
        if w.ndim > 1 or (w.size != 1 and (x.ndim < 2 or w.size != x.shape[1])):
            raise ValueError(
                f"prelu: weight must hold one number or one per channel (x.shape={x.shape}, weight.shape={w.shape})"
            )
        self.saved = (x, w)
        try:
            return self.kernels.prelu_forward(x, w.reshape(self.wide(x, w)))
        except TypeError:
            if not isinstance(x, ndarray) or w.dtype == x.dtype:
                raise
            raise TypeError(
                f"prelu: x is {x.dtype} but weight is {w.dtype}; convert one of them with astype"
            ) from None

    @staticmethod
    def wide(x: Any, w: Any) -> tuple[int, ...]:
        """The shape in which w broadcasts against x."""
        return () if w.size == 1 else (w.size,) + (1,) * (x.ndim - 2)

    def backward(self, gy: Any) -> Any:
        x, w = self.saved
        if not isinstance(gy, Tensor):
            return self.kernels.prelu_backward(gy, x, w)
        wide, right = w.reshape(self.wide(x.data, w.data)), gt(x, 0.0)
        gw = unbroadcast(where(right, 0.0, mul(gy, x)), wide)
        return where(right, gy, mul(gy, wide)), gw.reshape(w.shape)


def prelu(x: Any, weight: Any) -> Any:
    """x where x > 0, else weight x: a leaky_relu that learns its slope. weight: one number, or one per channel (dim 1).

    Raises ValueError for a weight of another shape. He et al. 2015, arXiv 1502.01852.
    """
    return PReLU()(x, weight)


class ELU(Activation):
    name = "elu"

    def plain(self, gy: Any, x: Any, *numbers: float) -> Any:
        alpha, scale, rate = numbers
        right = gt(x, 0.0)
        left = exp(mul(where(right, 0.0, x), rate))  # the other half would overflow
        return mul(gy, where(right, scale, mul(left, alpha * rate)))


def elu(x: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (e^x - 1). Clevert et al. 2015, arXiv 1511.07289."""
    return activate(ELU, x, inplace, "elu_", alpha, 1.0, 1.0)


def elu_(x: Any, alpha: float = 1.0) -> Any:
    """elu over x itself."""
    return elu(x, alpha, True)


def selu(x: Any, inplace: bool = False) -> Any:
    """s x where x > 0, else s a (e^x - 1), with s = 1.0507 and a = 1.6733. Klambauer et al. 2017, arXiv 1706.02515."""
    scale = 1.0507009873554804934193349852946
    return activate(ELU, x, inplace, "selu_", 1.6732632423543772848170429916717 * scale, scale, 1.0)


def selu_(x: Any) -> Any:
    """selu over x itself."""
    return selu(x, True)


def celu(x: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (e^(x / alpha) - 1). Barron 2017, arXiv 1704.07483."""
    if alpha == 0:
        raise ValueError("celu: alpha must not be 0")
    return activate(ELU, x, inplace, "celu_", alpha, 1.0, 1.0 / alpha)


def celu_(x: Any, alpha: float = 1.0) -> Any:
    """celu over x itself."""
    return celu(x, alpha, True)


class Softplus(Activation):
    name = "softplus"

    def plain(self, gy: Any, x: Any, *numbers: float) -> Any:
        z = mul(x, numbers[0])
        return where(gt(z, numbers[1]), gy, mul(gy, sigmoid(z)))


def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + e^(beta x)) / beta, a smooth relu; x itself where beta x > threshold, as in PyTorch."""
    return activate(Softplus, x, False, "", beta, threshold)


class LogSigmoid(Activation):
    name = "logsigmoid"

    def plain(self, gy: Any, x: Any, *numbers: float) -> Any:
        return mul(gy, sigmoid(neg(x)))


def logsigmoid(x: Any) -> Any:
    """log(sigmoid(x)) = -log(1 + e^-x), without overflow."""
    return activate(LogSigmoid, x, False, "")


class Mish(Activation):
    name = "mish"

    def plain(self, gy: Any, x: Any, *numbers: float) -> Any:
        t = tanh(softplus(x))
        return mul(gy, add(t, mul(mul(x, sigmoid(x)), sub(1.0, square(t)))))


def mish(x: Any, inplace: bool = False) -> Any:
    """x tanh(log(1 + e^x)). Misra 2019, arXiv 1908.08681."""
    return activate(Mish, x, inplace, "mish_")


class Softsign(Activation):
    name = "softsign"

    def plain(self, gy: Any, x: Any, *numbers: float) -> Any:
        return div(gy, square(add(abs(x), 1.0)))


def softsign(x: Any) -> Any:
    """x / (1 + |x|)."""
    return activate(Softsign, x, False, "")


class Tanhshrink(Activation):
    name = "tanhshrink"

    def plain(self, gy: Any, x: Any, *numbers: float) -> Any:
        return mul(gy, square(tanh(x)))


def tanhshrink(x: Any) -> Any:
    """x - tanh(x), exact near 0, too."""
    return activate(Tanhshrink, x, False, "")
