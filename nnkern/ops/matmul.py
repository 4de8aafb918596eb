"""Matrix products: matmul, linear and their relatives, on one GEMM engine.

Operands may be transposed, sliced or broadcast: the engine reads them where they lie.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..config import get_isa
from ..device import to_ndarray
from ..function import Function
from ..tensor import Tensor
from . import activation as activations
from ._activation import kernels, ndarray
from ._conv_options import dtype_name
from ._errors import refused_argument
from .activation import relu_grad
from .arithmetic import add, mul
from .reduce import sum as _sum
from .reduce import sum_to
from .shape import broadcast_to, movedim, reshape

__all__ = ["PackedMatrix", "addmm", "baddbmm", "bilinear", "bmm", "linear", "matmul", "mm", "mv", "outer"]

# Numbers of the fused activations, as in csrc/cpu/gemm.h.
_ACTIVATIONS = {None: 0, "none": 0, "relu": 1, "sigmoid": 2, "tanh": 3, "gelu": 4, "gelu_tanh": 5, "silu": 6}


def _turn(x: Any) -> Any:
    """The last two axes swapped: a view."""
    return x.swapaxes(-1, -2)


class MatMul(Function):
    crosswise = True

    def forward(self, x: Any, w: Any) -> Any:
        self.saved = (x, w)
        return self.kernels.matmul_forward(x, w)

    def backward(self, gy: Any) -> Any:
        x, w = self.saved
        need_x, need_w = self.needs_input_grad
        if x.ndim == 1 or w.ndim == 1:
            return self._backward_1d(x, w, gy)
        gx = sum_to(matmul(gy, _turn(w)), x) if need_x else None
        gw = sum_to(matmul(_turn(x), gy), w) if need_w else None
        return gx, gw

    def _backward_1d(self, x: Any, w: Any, gy: Any) -> Any:
        """A 1-d operand is a row (left) or a column (right) for the time being."""
        need_x, need_w = self.needs_input_grad
        row = x.reshape(1, -1) if x.ndim == 1 else x
        column = w.reshape(-1, 1) if w.ndim == 1 else w
        shape = gy.shape
        if w.ndim == 1:
            shape = (*shape, 1)
        if x.ndim == 1:
            shape = (*shape[:-1], 1, shape[-1])
        gy = gy.reshape(*shape)
        gx = sum_to(matmul(gy, _turn(column)), row).reshape(*x.shape) if need_x else None
        gw = sum_to(matmul(_turn(row), gy), column).reshape(*w.shape) if need_w else None
        return gx, gw


class PackedMatrix:
    """The right operand of many products, laid out once as the engine reads it.

    w: (K, N) array or Tensor, float32 or float64. Use it as `matmul(x, packed)`, or `linear(x, packed, bias)` when made
    from a Linear's weight as PackedMatrix(weight.T). Pays where x has few rows. It is a copy: later changes of w are
    not seen. Gradients flow to x and bias, not to w. Picklable; on another instruction set it packs itself anew.

    >>> matmul(np.ones((2, 3)), PackedMatrix(np.ones((3, 4)))).shape
    (2, 4)
    """

    def __init__(self, w: Any) -> None:
        w = w.data if isinstance(w, Tensor) else to_ndarray(w, "PackedMatrix")
        self.w = w.copy()
        self._pack()

    def _pack(self) -> None:
        self._isa = get_isa()
        self._packed = Function.kernels.pack_forward(self.w)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.w.shape

    @property
    def dtype(self) -> Any:
        return self.w.dtype

    def packed(self) -> Any:
        """The panels, for the instruction set in use."""
        if self._isa != get_isa():
            self._pack()
        return self._packed

    def __reduce__(self) -> tuple[Any, ...]:
        return PackedMatrix, (self.w,)


class PackedProduct(Function):
    name = "matmul"

    def __init__(self, w: PackedMatrix, activation: str | None) -> None:
        self.w, self.activation = w, activation

    def forward(self, x: Any, b: Any) -> Any:
        k, n = self.w.shape
        b = b if b is None else np.ascontiguousarray(b)
        y = self.kernels.matmul_packed_forward(x, self.w.packed(), k, n, b, _ACTIVATIONS[self.activation])
        if self.activation == "relu":
            self.saved = (y,)
        return y

    def backward(self, gy: Any) -> Any:
        if self.activation == "relu":
            gy = relu_grad(gy, self.saved[0])
        need_x, need_b = self.needs_input_grad
        gb = _sum(gy.reshape(-1, gy.shape[-1]), 0) if need_b else None
        return (matmul(gy, self.w.w.T) if need_x else None), gb


def matmul(x: Any, w: Any) -> Any:
    """x @ w: the matrix product of the last two axes; leading axes broadcast, 1-d operands are vectors.

    y[..., i, j] = sum_k x[..., i, k] w[..., k, j]

    x: (..., M, K) or (K,); w: (..., K, N) or (K,). Returns (..., M, N), without M or N for a 1-d operand.
    float32 or float64, both alike. Raises ValueError if the inner sizes differ or the leading axes do not broadcast,
    TypeError for other dtypes. Semantics: numpy.matmul, torch.matmul.

    >>> matmul(np.ones((2, 3)), np.ones((3, 4))).shape
    (2, 4)
    """
    if type(x) is ndarray and type(w) is ndarray:
        return kernels.matmul_forward(x, w)
    if type(w) is PackedMatrix:
        return PackedProduct(w, None)(x, None)
    return MatMul()(x, w)


class Linear(Function):
    crosswise = True

    def __init__(self, activation: str | None) -> None:
        if activation not in _ACTIVATIONS:
            raise ValueError(
                f"linear: activation '{activation}' is not one of {', '.join(map(str, _ACTIVATIONS))}"
            )
        self.activation = activation

    def forward(self, x: Any, w: Any, b: Any) -> Any:
        y = self.kernels.linear_forward(x, w, b, None, _ACTIVATIONS[self.activation], 1.0, 1.0)
        self.saved = (x, w, y) if self.activation == "relu" else (x, w)
        return y

    def backward(self, gy: Any) -> Any:
        x, w, *rest = self.saved
        need_x, need_w, need_b = self.needs_input_grad
        if rest:
            gy = relu_grad(gy, rest[0])
        rows = gy.shape[0] if gy.ndim == 2 else math.prod(gy.shape[:-1])  # -1 does not go with 0 features
        flat = gy if gy.ndim == 2 else gy.reshape(rows, gy.shape[-1])
        gx = matmul(gy, w) if need_x else None
        gw = matmul(flat.T, x if x.ndim == 2 else x.reshape(rows, x.shape[-1])) if need_w else None
        gb = _sum(flat, 0) if need_b else None
        return gx, gw, gb


def linear(x: Any, weight: Any, bias: Any = None, activation: str | None = None) -> Any:
    """activation(x @ weight.T + bias), bias and activation fused into the product.

    x: (..., in_features) or (in_features,); weight: (out_features, in_features), or
    PackedMatrix(weight.T), or (in_features,) for one feature without its axis; bias: (out_features,), (1,), () or None.
    activation: None, 'relu', 'sigmoid', 'tanh', 'gelu', 'gelu_tanh' or 'silu' (beyond PyTorch, for inference;
    gradients exist for None and 'relu'). Returns (..., out_features). Semantics: torch.nn.functional.linear.

    >>> linear(np.ones((5, 3)), np.ones((2, 3)), np.zeros(2)).shape
    (5, 2)
    """
    if activation not in (None, "relu") and _taped(x, weight, bias):
        name, _, tanh = activation.partition("_")
        y = linear(x, weight, bias)
        return activations.gelu(y, approximate="tanh") if tanh else getattr(activations, name)(y)
    if type(weight) is PackedMatrix:
        return PackedProduct(weight, activation)(x, bias)
    try:
        return Linear(activation)(x, weight, bias)
    except TypeError as e:
        refused = refused_argument(str(e), {"x": x, "weight": weight, "bias": bias})
        if refused is None:
            raise
        raise TypeError(f"linear: {refused}") from None
    except ValueError:
        one = tuple(getattr(bias, "shape", (2,))) in ((), (1,))  # number for all features
        if len(weight.shape) == 2 and one and tuple(bias.shape) != (weight.shape[0],):
            return linear(x, weight, broadcast_to(bias, (weight.shape[0],)), activation)
        if len(weight.shape) != 1 or len(getattr(bias, "shape", ())) != 0:
            raise
    y = linear(x, reshape(weight, (1, -1)), None if bias is None else reshape(bias, (1,)), activation)
    return reshape(y, tuple(y.shape[:-1]))


def _taped(*inputs: Any) -> bool:
    return any(isinstance(x, Tensor) and x.requires_grad for x in inputs)


def _dims(op: str, x: Any, ndim: int, name: str) -> None:
    if len(x.shape) != ndim:
        raise ValueError(f"{op}: {name} must have {ndim} axes ({name}.shape={tuple(x.shape)})")


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """y[.., k] = input1[.., :] @ weight[k] @ input2[.., :] + bias[k].

    input1: (..., I); input2: (..., J), the same leading axes; weight: (K, I, J); bias: (K,) or None. Returns (..., K).
    Semantics: torch.nn.functional.bilinear.

    >>> nnkern.bilinear(np.ones((5, 2)), np.ones((5, 3)), np.ones((4, 2, 3))).shape
    (5, 4)
    """
    lead, (k, i, j) = tuple(input1.shape[:-1]), _cube(weight)
    if tuple(input2.shape[:-1]) != lead or (input1.shape[-1], input2.shape[-1]) != (i, j):
        raise ValueError(
            f"bilinear: inputs must be (..., {i}) and (..., {j}) with equal leading axes (input1.shape="
            f"{tuple(input1.shape)}, input2.shape={tuple(input2.shape)}, weight.shape={(k, i, j)})"
        )
    for name, v in (("input2", input2), ("weight", weight), ("bias", bias)):
        if v is not None and v.dtype != input1.dtype and dtype_name(v) != dtype_name(input1):
            raise TypeError(
                f"bilinear: input1 is {dtype_name(input1)} but {name} is {dtype_name(v)}; convert one of them with astype"
            )
    rows = math.prod(lead)
    left = matmul(reshape(input1, (rows, i)), reshape(movedim(weight, 1, 0), (i, k * j)))
    y = matmul(reshape(left, (rows, k, j)), reshape(input2, (rows, j, 1)))
    y = reshape(y, (*lead, k))
    return y if bias is None else add(y, bias)


def _cube(weight: Any) -> tuple[int, ...]:
    if len(weight.shape) != 3:
        raise ValueError(f"bilinear: weight must be (K, I, J) (weight.shape={tuple(weight.shape)})")
    return tuple(weight.shape)


def mm(x: Any, w: Any) -> Any:
    """matmul of two matrices, without broadcasting: (M, K) x (K, N)."""
    _dims("mm", x, 2, "x")
    _dims("mm", w, 2, "w")
    return matmul(x, w)


def bmm(x: Any, w: Any) -> Any:
    """matmul of two stacks of matrices, without broadcasting: (B, M, K) x (B, K, N)."""
    _dims("bmm", x, 3, "x")
    _dims("bmm", w, 3, "w")
    if x.shape[0] != w.shape[0]:
        raise ValueError(
            f"bmm: x holds {x.shape[0]} matrices but w {w.shape[0]} (x.shape={tuple(x.shape)}, w.shape={tuple(w.shape)})"
        )
    return matmul(x, w)


def mv(x: Any, v: Any) -> Any:
    """Matrix times vector: (M, K) x (K,)."""
    _dims("mv", x, 2, "x")
    _dims("mv", v, 1, "v")
    return matmul(x, v)


def outer(x: Any, y: Any) -> Any:
    """Every product of an element of x with one of y: (M,), (N,) -> (M, N)."""
    _dims("outer", x, 1, "x")
    _dims("outer", y, 1, "y")
    return matmul(x.reshape(-1, 1), y.reshape(1, -1))


def addmm(input: Any, x: Any, w: Any, beta: float = 1, alpha: float = 1) -> Any:
    """beta * input + alpha * (x @ w), input broadcast to the product's shape."""
    _dims("addmm", x, 2, "x")
    _dims("addmm", w, 2, "w")
    return _add_product(input, matmul(x, w), beta, alpha)


def baddbmm(input: Any, x: Any, w: Any, beta: float = 1, alpha: float = 1) -> Any:
    """beta * input + alpha * bmm(x, w)."""
    return _add_product(input, bmm(x, w), beta, alpha)


def _add_product(input: Any, product: Any, beta: float, alpha: float) -> Any:
    product = product if alpha == 1 else mul(product, alpha)
    # beta 0 means that input is not looked at, whatever it holds
    return product if beta == 0 else add(input if beta == 1 else mul(input, beta), product)
