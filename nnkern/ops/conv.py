"""Convolution and its gradients over one, two or three spatial axes; the transposed forms are the same gradients.

Layouts: arrays are (N, C, ...) in any strides. Contiguous (channels first) and channels-last arrays are read and
written where they lie, and the result has the layout of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..device import numpy_dtype
from ..function import Function
from ..tensor import Tensor
from . import activation as activations
from ._conv_options import Options, check_dims, conv_options, transposed_options
from ._windows import integers
from .matmul import _ACTIVATIONS
from .pad import pad as _pad
from .reduce import sum as _sum
from .shape import permute

__all__ = [
    "conv1d", "conv1d_input_grad", "conv1d_weight_grad", "conv2d", "conv2d_input_grad", "conv2d_weight_grad",
    "conv3d", "conv3d_input_grad", "conv3d_weight_grad", "conv_tbc", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d",
]  # fmt: skip


class Conv(Function):
    """y = activation(x * w + b + residual)."""

    crosswise = True

    def __init__(self, options: Options, activation: str | None = None) -> None:
        self.options, self.activation = options, activation

    @property
    def name(self) -> str:
        return f"conv{len(self.options.stride)}d"

    def forward(self, x: Any, w: Any, b: Any, residual: Any) -> Any:
        *options, algorithm = self.options
        y = self.kernels.conv_forward(x, w, b, residual, *options, _ACTIVATIONS[self.activation], algorithm)
        self.saved = (x, w, y) if self.activation == "relu" else (x, w)
        return y

    def backward(self, gy: Any) -> Any:
        x, w, *y = self.saved
        if y:
            gy = activations.relu_grad(gy, y[0])
        need_x, need_w, need_b, need_residual = self.needs_input_grad
        return (
            ConvInputGrad(self.options, x.shape[2:])(gy, w, None) if need_x else None,
            ConvWeightGrad(self.options, w.shape[2:])(gy, x) if need_w else None,
            _channel_sum(gy) if need_b else None,
            gy if need_residual else None,
        )


class ConvInputGrad(Function):
    """gx: the adjoint of the convolution with w, applied to gy; plus b per channel, which makes it conv_transpose."""

    def __init__(self, options: Options, size: Sequence[int], name: str | None = None) -> None:
        self.options, self.size, self._name = options, tuple(size), name

    @property
    def name(self) -> str:
        return self._name or f"conv{len(self.size)}d_input_grad"

    def forward(self, gy: Any, w: Any, b: Any) -> Any:
        self.saved = (gy, w)
        return self.kernels.conv_input_grad(gy, w, b, self.size, *self.options)

    def backward(self, ggx: Any) -> Any:
        gy, w = self.saved
        need_gy, need_w, need_b = self.needs_input_grad
        return (
            Conv(self.options)(ggx, w, None, None) if need_gy else None,
            ConvWeightGrad(self.options, w.shape[2:])(gy, ggx) if need_w else None,
            _channel_sum(ggx) if need_b else None,
        )


class ConvWeightGrad(Function):
    """gw: what makes <gw, w> = <gy, conv(x, w)> for every w."""

    def __init__(self, options: Options, size: Sequence[int]) -> None:
        self.options, self.size = options, tuple(size)

    @property
    def name(self) -> str:
        return f"conv{len(self.size)}d_weight_grad"

    def forward(self, gy: Any, x: Any) -> Any:
        self.saved = (gy, x)
        return self.kernels.conv_weight_grad(gy, x, self.size, *self.options)

    def backward(self, ggw: Any) -> Any:
        gy, x = self.saved
        need_gy, need_x = self.needs_input_grad
        return (
            Conv(self.options)(x, ggw, None, None) if need_gy else None,
            ConvInputGrad(self.options, x.shape[2:])(gy, ggw, None) if need_x else None,
        )


def _channel_sum(g: Any) -> Any:
    return _sum(g, (0, *range(2, g.ndim)))


# --- options


def _conv(
    n: int, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int, padding_mode: str,
    activation: str | None, residual: Any, algorithm: str | None,
) -> Any:  # fmt: skip
    op = f"conv{n}d"
    check_dims(op, x, w, n)
    if activation not in _ACTIVATIONS:
        raise ValueError(f"{op}: activation '{activation}' is not one of {', '.join(map(str, _ACTIVATIONS))}")
    options = conv_options(
        op, x.shape[-n:], w.shape[2:], stride, padding, dilation, groups, padding_mode, algorithm
    )
    batched = x.ndim == n + 2
    if not batched:
        x = x.reshape(1, *x.shape)
        residual = residual if residual is None else residual.reshape(1, *residual.shape)
    if activation not in (None, "none", "relu") and _taped(x, w, b, residual):
        y, (kind, _, tanh) = Conv(options)(x, w, b, residual), activation.partition("_")
        y = activations.gelu(y, approximate="tanh") if tanh else getattr(activations, kind)(y)
    else:
        y = Conv(options, activation)(x, w, b, residual)
    return y if batched else y.reshape(*y.shape[1:])


def _taped(*inputs: Any) -> bool:
    return any(isinstance(x, Tensor) and x.requires_grad for x in inputs)


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
    *, padding_mode: str = "zeros", activation: str | None = None, residual: Any = None, algorithm: str | None = None,
) -> Any:  # fmt: skip
    """Convolution over one spatial axis: see conv2d. input (N, C, L) or (C, L), weight (K, C / groups, R).

    padding may also be 'causal': no result sees a later element.

    >>> nnkern.conv1d(np.ones((1, 1, 4)), np.ones((1, 1, 2)), padding="causal")
    array([[[1., 2., 2., 2.]]])
    """
    options = (stride, padding, dilation, groups, padding_mode)
    return _conv(1, input, weight, bias, *options, activation, residual, algorithm)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
    *, padding_mode: str = "zeros", activation: str | None = None, residual: Any = None, algorithm: str | None = None,
) -> Any:  # fmt: skip
    """activation(input * weight + bias + residual): every filter slides over every image (cross-correlation).

    y[n, k, i, j] = sum over c, r, s of x[n, c, i * stride + r * dilation - low, j * stride + ...] w[k, c, r, s]

    input: (N, C, H, W) or (C, H, W), float32 or float64; weight: (K, C / groups, R, S); bias: (K,) or None.
    stride, dilation: an int or one per axis. padding: an int, one int or (low, high) pair per axis, 'valid', 'same'
    (ceil(size / stride) results, TensorFlow's rule), 'same_lower' or 'full'. groups: channel groups that don't mix.
    Beyond PyTorch: padding_mode 'zeros', 'reflect', 'replicate' or 'circular' (no padded copy is made), activation as
    in linear, residual of the result's shape, and algorithm: None chooses; 'gemm', 'winograd' (F(4, 3), of 5x5
    filters F(2, 5), of 4x4 filters with stride 2 F(4, 2); of other strides by the taps in every stride-th row and
    column; along one axis with stride 1 F(3, 3), by pieces of three taps), 'winograd2' (F(2, 3)), 'direct' or
    'depthwise' forces one and raises ValueError where it can't serve, in whichever direction. In float32 these filters
    may take Winograd's algorithm by themselves: see
    docs/accuracy.md for its rounding.

    Returns (N, K, H', W') in the input's layout (contiguous or channels-last), H' = (H + pads - dilation * (R - 1) - 1)
    // stride + 1. Raises ValueError for shapes that do not fit. Semantics: torch.nn.functional.conv2d.

    >>> nnkern.conv2d(np.ones((1, 3, 8, 8)), np.ones((16, 3, 3, 3)), padding=1).shape
    (1, 16, 8, 8)
    """
    options = (stride, padding, dilation, groups, padding_mode)
    return _conv(2, input, weight, bias, *options, activation, residual, algorithm)


def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
    *, padding_mode: str = "zeros", activation: str | None = None, residual: Any = None, algorithm: str | None = None,
) -> Any:  # fmt: skip
    """Convolution over three spatial axes: see conv2d. input (N, C, D, H, W), weight (K, C / groups, Q, R, S)."""
    options = (stride, padding, dilation, groups, padding_mode)
    return _conv(3, input, weight, bias, *options, activation, residual, algorithm)


def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """conv1d with time first: input (T, N, C), weight (R, C, K), bias (K,). Returns (T', N, K).

    >>> nnkern.conv_tbc(np.ones((5, 2, 3)), np.ones((3, 3, 4)), np.zeros(4), 1).shape
    (5, 2, 4)
    """
    if input.ndim != 3 or weight.ndim != 3:
        raise ValueError(
            "conv_tbc: input must be (T, N, C) and weight (R, C, K) "
            f"(input.shape={tuple(input.shape)}, weight.shape={tuple(weight.shape)})"
        )
    return permute(conv1d(permute(input, (1, 2, 0)), permute(weight, (2, 1, 0)), bias, 1, pad), (2, 0, 1))


def _input_grad(
    n: int, input_size: Any, w: Any, gy: Any, stride: Any, padding: Any, dilation: Any, groups: int,
    padding_mode: str, algorithm: str | None,
) -> Any:  # fmt: skip
    op = f"conv{n}d_input_grad"
    check_dims(op, gy, w, n, "grad_output")
    size = integers(op, "input_size", input_size)
    if len(size) != gy.ndim:
        raise ValueError(f"{op}: input_size {size} needs one number per axis of grad_output ({gy.ndim})")
    lead = (*gy.shape[: -n - 1], w.shape[1] * groups)
    if size[:-n] != lead:
        raise ValueError(
            f"{op}: input_size {size} must begin with {lead} "
            f"(weight.shape={tuple(w.shape)}, grad_output.shape={tuple(gy.shape)}, groups={groups})"
        )
    options = conv_options(
        op, size[-n:], w.shape[2:], stride, padding, dilation, groups, padding_mode, algorithm
    )
    if gy.ndim == n + 1:
        return _squeeze(ConvInputGrad(options, size[-n:])(gy.reshape(1, *gy.shape), w, None))
    return ConvInputGrad(options, size[-n:])(gy, w, None)


def _squeeze(y: Any) -> Any:
    return y.reshape(*y.shape[1:])


def _weight_grad(
    n: int, x: Any, weight_size: Any, gy: Any, stride: Any, padding: Any, dilation: Any, groups: int,
    padding_mode: str, algorithm: str | None,
) -> Any:  # fmt: skip
    op = f"conv{n}d_weight_grad"
    size = integers(op, "weight_size", weight_size)
    if x.ndim not in (n + 1, n + 2) or gy.ndim != x.ndim or len(size) != n + 2:
        raise ValueError(
            f"{op}: input and grad_output must have {n + 2} axes (or {n + 1}) and weight_size {n + 2} numbers "
            f"(input.shape={tuple(x.shape)}, grad_output.shape={tuple(gy.shape)}, weight_size={size})"
        )
    if size[0] != gy.shape[-n - 1] or size[1] * groups != x.shape[-n - 1]:
        raise ValueError(
            f"{op}: weight_size {size} must begin with the channels of grad_output and those of input / groups "
            f"(input.shape={tuple(x.shape)}, grad_output.shape={tuple(gy.shape)}, groups={groups})"
        )
    options = conv_options(
        op, x.shape[-n:], size[2:], stride, padding, dilation, groups, padding_mode, algorithm
    )
    if x.ndim == n + 1:
        x, gy = x.reshape(1, *x.shape), gy.reshape(1, *gy.shape)
    return ConvWeightGrad(options, size[2:])(gy, x)


def _gradients(n: int) -> tuple[Any, Any]:
    def input_grad(
        input_size: Any, weight: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1, *, padding_mode: str = "zeros", algorithm: str | None = None,
    ) -> Any:  # fmt: skip
        return _input_grad(
            n, input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, algorithm
        )

    def weight_grad(
        input: Any, weight_size: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1, *, padding_mode: str = "zeros", algorithm: str | None = None,
    ) -> Any:  # fmt: skip
        return _weight_grad(
            n, input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, algorithm
        )

    input_grad.__name__ = input_grad.__qualname__ = f"conv{n}d_input_grad"
    weight_grad.__name__ = weight_grad.__qualname__ = f"conv{n}d_weight_grad"
    input_grad.__doc__ = f"""The gradient of conv{n}d with respect to its input, of shape input_size (all axes).

    Differentiable again, in weight and grad_output. Options as conv{n}d's. Semantics: torch.nn.grad.conv{n}d_input.
    """
    weight_grad.__doc__ = f"""The gradient of conv{n}d with respect to its weight, of shape weight_size (all axes).

    Differentiable again, in input and grad_output. Options as conv{n}d's. Semantics: torch.nn.grad.conv{n}d_weight.
    """
    return input_grad, weight_grad


conv1d_input_grad, conv1d_weight_grad = _gradients(1)
conv2d_input_grad, conv2d_weight_grad = _gradients(2)
conv3d_input_grad, conv3d_weight_grad = _gradients(3)


# --- transposed


def _conv_transpose(
    n: int, x: Any, w: Any, b: Any, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any,
    output_size: Any,
) -> Any:  # fmt: skip
    op = f"conv_transpose{n}d"
    check_dims(op, x, w, n)
    options, size, missing = transposed_options(
        op, x, w, b, stride, padding, output_padding, groups, dilation, output_size
    )
    dtype = numpy_dtype(x.dtype)
    if dtype.kind != "f":
        raise TypeError(f"{op}: input is {dtype}; float32 or float64 is needed: input.astype('float32')")
    batched = x.ndim == n + 2
    if not batched:
        x = x.reshape(1, *x.shape)
    if any(missing):
        # of (N, C, L) pad would lose the layout
        x = x[:, :, None] if n == 1 else x
        x = _pad(x, [v for m in reversed(missing) for v in (0, m)])
        x = x[:, :, 0] if n == 1 else x
    y = ConvInputGrad(options, size, op)(x, w, b)
    return y if batched else _squeeze(y)


def conv_transpose1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1, *, output_size: Any = None,
) -> Any:  # fmt: skip
    """Transposed convolution over one spatial axis: see conv_transpose2d."""
    return _conv_transpose(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation, output_size
    )


def conv_transpose2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1, *, output_size: Any = None,
) -> Any:  # fmt: skip
    """The adjoint of conv2d (its gradient with respect to the input), plus bias: it makes images larger.

    input: (N, C, H, W) or (C, H, W); weight: (C, K / groups, R, S); bias: (K,) or None. Options as conv2d's; padding
    takes away from the result, 'same' gives H * stride rows. output_padding adds rows and columns at the high end;
    output_size gives the size itself: an int, one per axis, or the whole shape. Returns (N, K, H', W') in the input's layout,
    H' = (H - 1) * stride - pads + dilation * (R - 1) + 1 + output_padding.
    Semantics: torch.nn.functional.conv_transpose2d.

    >>> nnkern.conv_transpose2d(np.ones((1, 3, 8, 8)), np.ones((3, 16, 4, 4)), stride=2, padding=1).shape
    (1, 16, 16, 16)
    """
    return _conv_transpose(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation, output_size
    )


def conv_transpose3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1, *, output_size: Any = None,
) -> Any:  # fmt: skip
    """Transposed convolution over three spatial axes: see conv_transpose2d."""
    return _conv_transpose(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation, output_size
    )
