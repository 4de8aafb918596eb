"""Activations: relu, sigmoid, tanh, gelu, silu, softplus; the rules of elementwise.py hold."""

from __future__ import annotations

from typing import Any

from ..function import Function
from ..tensor import Tensor
from .arithmetic import add, div, mul, sub
from .compare import gt, where
from .elementwise import Unary, UnaryFromResult, erf, exp, square

__all__ = [
    "gelu", "relu", "relu_grad", "sigmoid", "silu", "softplus", "tanh",
]  # fmt: skip


class Tanh(UnaryFromResult):
    def backward(self, gy: Any) -> Any:
        y = self.saved[0]
        if isinstance(gy, Tensor):
            return mul(gy, sub(1.0, mul(y, y)))
        return self.kernels.tanh_grad_forward(gy, y)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return Tanh()(x)


class Sigmoid(UnaryFromResult):
    def backward(self, gy: Any) -> Any:
        y = self.saved[0]
        if isinstance(gy, Tensor):
            return mul(gy, mul(y, sub(1.0, y)))
        return self.kernels.sigmoid_grad_forward(gy, y)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return Sigmoid()(x)


class ReLU(Function):
    name = "relu"

    def forward(self, x: Any) -> Any:
        y = self.kernels.relu_forward(x)
        self.saved = (y,)
        return y

    def backward(self, gy: Any) -> Any:
        return relu_grad(gy, self.saved[0])


def relu(x: Any) -> Any:
    """max(x, 0); NaN stays NaN, the gradient at 0 is 0."""
    return ReLU()(x)


class ReLUGrad(Function):
    name = "relu_grad"

    def forward(self, gy: Any, y: Any) -> Any:
        self.saved = (y,)
        return self.kernels.relu_grad_forward(gy, y)

    def backward(self, ggx: Any) -> Any:
        return relu_grad(ggx, self.saved[0]), None


def relu_grad(gy: Any, y: Any) -> Any:
    """gy where y > 0, else 0: the gradient of relu, y being its input or its result."""
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
        if self.kind == "gelu":
            density = mul(exp(mul(square(x), -0.5)), 0.3989422804014327)
            slope = add(mul(add(erf(mul(x, 0.7071067811865476)), 1.0), 0.5), mul(x, density))
        else:
            inner = mul(add(x, mul(mul(square(x), x), 0.044715)), 2 * 0.7978845608028654)
            s = sigmoid(inner)
            inner_slope = mul(add(mul(square(x), 3 * 0.044715), 1.0), 2 * 0.7978845608028654)
            slope = add(s, mul(mul(x, mul(s, sub(1.0, s))), inner_slope))
        return mul(gy, slope)


def gelu(x: Any, approximate: str = "none") -> Any:
    """x Phi(x), Phi the normal distribution function; approximate='tanh' takes the tanh formula instead.

    Source: Hendrycks & Gimpel, Gaussian Error Linear Units, arXiv 1606.08415.
    """
    return GELU(approximate)(x)


class SiLU(Unary):
    def backward(self, gy: Any) -> Any:
        x = self.saved[0]
        if not isinstance(gy, Tensor):
            return self.kernels.silu_grad_forward(gy, x)
        s = sigmoid(x)
        return mul(gy, mul(s, add(mul(x, sub(1.0, s)), 1.0)))


def silu(x: Any) -> Any:
    """x sigmoid(x), also called swish."""
    return SiLU()(x)


class Softplus(Unary):
    def backward(self, gy: Any) -> Any:
        return mul(gy, sigmoid(self.saved[0]))


def softplus(x: Any, beta: float = 1, threshold: float = 20) -> Any:
    """log(1 + e^(beta x)) / beta, a smooth relu; x itself where beta x > threshold, as in PyTorch."""
    y = Softplus()(x) if beta == 1 else div(Softplus()(mul(x, float(beta))), float(beta))
    return y if threshold >= 20 else where(gt(x, threshold / beta), x, y)
