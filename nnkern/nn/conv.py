"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from ..ops._conv_options import MODES, choice
from ..ops._windows import padding_per_axis, per_axis, whole
from . import init
from .module import Module, fuses_relu
from .parameter import Parameter, check_sizes


class _ConvNd(Module):
    axes = 0
    transposed = False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        super().__init__()
        n, kind = self.axes, type(self).__name__
        check_sizes(self, in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size)
        if not isinstance(whole(groups), int):
            raise TypeError(f"{kind}: groups must be an int, got {type(groups).__name__}")
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{kind}: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = (
            per_axis(self, "kernel_size", kernel_size, n),
            per_axis(self, "stride", stride, n),
        )
        self.padding, self.dilation = (
            padding_per_axis(self, padding, n),
            per_axis(self, "dilation", dilation, n),
        )
        if self.transposed and self.padding == "causal":
            raise ValueError(f"{kind}: padding 'causal' is not one of valid, same, same_lower, full")
        choice(kind, "padding_mode", MODES, padding_mode)
        self.padding_mode = padding_mode
        outer, inner = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(np.empty((outer, inner // groups, *self.kernel_size), dtype))
        if bias:
            self.bias = Parameter(np.empty(out_channels, dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        fan_in = self.weight.shape[1] * math.prod(self.kernel_size)
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        init.uniform_(self.weight, -bound, bound)  # torch's kaiming_uniform_(a=sqrt(5)) is this
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if isinstance(self.padding, str) or any(self.padding):
            text += f", padding={self.padding}"
        if any(d != 1 for d in self.dilation):
            text += f", dilation={self.dilation}"
        if getattr(self, "output_padding", None) and any(self.output_padding):
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class _Conv(_ConvNd):
    @fuses_relu
    def forward(self, x: Any, residual: Any = None, activation: str | None = None) -> Any:
        """residual and activation are fused into the product: see ops.conv2d."""
        return getattr(ops, f"conv{self.axes}d")(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups,
            padding_mode=self.padding_mode, residual=residual, activation=activation,
        )  # fmt: skip


class Conv1d(_Conv):
    """Convolution of (N, in_channels, L); weight (out_channels, in_channels / groups, R). See ops.conv1d."""

    axes = 1


class Conv2d(_Conv):
    """Convolution of (N, in_channels, H, W); weight (out_channels, in_channels / groups, R, S). See ops.conv2d."""

    axes = 2


class Conv3d(_Conv):
    """Convolution of (N, in_channels, D, H, W). See ops.conv3d."""

    axes = 3


class _ConvTranspose(_ConvNd):
    transposed = True

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, bias: bool = True, dilation: Any = 1, padding_mode: str = "zeros",
        dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        if padding_mode != "zeros":
            raise ValueError(f"{type(self).__name__}: padding_mode must be 'zeros', got {padding_mode!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, "zeros", dtype
        )
        self.output_padding = per_axis(self, "output_padding", output_padding, self.axes)

    def forward(self, x: Any, output_size: Any = None) -> Any:
        return getattr(ops, f"conv_transpose{self.axes}d")(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation,
            output_size=output_size,
        )  # fmt: skip


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution; weight (in_channels, out_channels / groups, R). See ops.conv_transpose1d."""

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution; weight (in_channels, out_channels / groups, R, S). See ops.conv_transpose2d."""

    axes = 2


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution over three axes. See ops.conv_transpose3d."""

    axes = 3
