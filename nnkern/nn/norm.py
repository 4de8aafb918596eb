"""Norm layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ops
from .module import Module, fuses_relu
from .parameter import Parameter, check_sizes


def _affine(layer: Module, shape: int | tuple[int, ...], affine: bool, bias: bool, dtype: Any) -> None:
    """weight and bias, one number per channel (or of any shape), or None."""
    layer.register_parameter("weight", Parameter(np.ones(shape, dtype)) if affine else None)
    layer.register_parameter("bias", Parameter(np.zeros(shape, dtype)) if affine and bias else None)


def _reset(layer: Module) -> None:
    """weight and bias as they were made."""
    if layer.weight is not None:
        layer.weight.data.fill(1)
    if layer.bias is not None:
        layer.bias.data.fill(0)


def _shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


class _RunningNorm(Module):
    """What batch and instance norm share: running statistics and how they move."""

    dims: tuple[int, ...] = ()  # numbers of axes that forward takes

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, *, bias: bool = True, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        super().__init__()
        check_sizes(self, num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        _affine(self, num_features, affine, bias, dtype)
        tracked = track_running_stats
        self.register_buffer("running_mean", np.zeros(num_features, dtype) if tracked else None)
        self.register_buffer("running_var", np.ones(num_features, dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64) if tracked else None)

    def reset_running_stats(self) -> None:
        if self.track_running_stats:
            self.running_mean.data.fill(0)
            self.running_var.data.fill(1)
            self.num_batches_tracked.data.fill(0)

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        _reset(self)

    def _check(self, x: Any) -> None:
        if x.ndim not in self.dims:
            wanted = " or ".join(map(str, self.dims))
            raise ValueError(
                f"{type(self).__name__}: input must have {wanted} axes (input.shape={tuple(x.shape)})"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_RunningNorm):
    def _step(self) -> float:
        """Counts a training batch; how far the running statistics move to it: momentum, or 1 / batches so far."""
        if self.running_mean is None:
            return 0.0
        count = self.num_batches_tracked.data
        count += 1
        return 1 / float(count) if self.momentum is None else self.momentum

    @fuses_relu
    def forward(self, x: Any, residual: Any = None, activation: str | None = None) -> Any:
        """residual and activation are fused: see ops.batch_norm."""
        self._check(x)
        if self.training or self.running_mean is None:
            momentum, training = self._step() if self.training else 0.0, True
        else:
            momentum, training = 0.0, False
        return ops.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training, momentum, self.eps,
            activation=activation, residual=residual,
        )  # fmt: skip


class BatchNorm1d(_BatchNorm):
    """Batch norm of (N, num_features) or (N, num_features, L). See ops.batch_norm."""

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch norm of (N, num_features, H, W). See ops.batch_norm."""

    dims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch norm of (N, num_features, D, H, W). See ops.batch_norm."""

    dims = (5,)


class _InstanceNorm(_RunningNorm):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
        track_running_stats: bool = False, *, bias: bool = True, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias=bias, dtype=dtype)

    def forward(self, x: Any) -> Any:
        self._check(x)
        unbatched = x.ndim == self.dims[0]
        if x.shape[0 if unbatched else 1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}: input must have {self.num_features} channels (input.shape={tuple(x.shape)})"
            )
        own = self.training or not self.track_running_stats
        y = ops.instance_norm(
            x.reshape(1, *x.shape) if unbatched else x, self.running_mean, self.running_var, self.weight, self.bias,
            own, self.momentum or 0.0, self.eps,
        )  # fmt: skip
        return y.reshape(*x.shape) if unbatched else y


class InstanceNorm1d(_InstanceNorm):
    """Instance norm of (N, num_features, L) or (num_features, L). See ops.instance_norm."""

    dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance norm of (N, num_features, H, W) or (num_features, H, W). See ops.instance_norm."""

    dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance norm of (N, num_features, D, H, W) or (num_features, D, H, W). See ops.instance_norm."""

    dims = (4, 5)


class GroupNorm(Module):
    """Norm over groups of channels of (N, num_channels, ...). See ops.group_norm."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True,
        *, bias: bool = True, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        super().__init__()
        check_sizes(self, num_groups=num_groups, num_channels=num_channels)
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        _affine(self, num_channels, affine, bias, dtype)

    def reset_parameters(self) -> None:
        _reset(self)

    def forward(self, x: Any) -> Any:
        return ops.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class LocalResponseNorm(Module):
    """Norm over `size` neighbouring channels of (N, C, ...). See ops.local_response_norm."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Any) -> Any:
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class LayerNorm(Module):
    """Norm over the last axes, (..., *normalized_shape). See ops.layer_norm."""

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, *, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        super().__init__()
        check_sizes(self, normalized_shape=normalized_shape)
        self.normalized_shape = _shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        _affine(self, self.normalized_shape, elementwise_affine, bias, dtype)

    def reset_parameters(self) -> None:
        _reset(self)

    def forward(self, x: Any) -> Any:
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Norm by the root of the mean square over the last axes. See ops.rms_norm."""

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True,
        *, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        super().__init__()
        check_sizes(self, normalized_shape=normalized_shape)
        self.normalized_shape = _shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        weight = Parameter(np.ones(self.normalized_shape, dtype)) if elementwise_affine else None
        self.register_parameter("weight", weight)

    def reset_parameters(self) -> None:
        if self.weight is not None:
            self.weight.data.fill(1)

    def forward(self, x: Any) -> Any:
        return ops.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
