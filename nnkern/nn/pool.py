"""Pooling layers."""

from __future__ import annotations

from numbers import Real
from typing import Any

from .. import ops
from ..ops._windows import padding_per_axis, per_axis
from .module import Module


class _Pool(Module):
    """Calls the function of ops with the attributes that `options` names, in its order."""

    axes = 0
    function = ""
    options: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()

    def forward(self, x: Any) -> Any:
        return getattr(ops, self.function)(x, *[getattr(self, name) for name in self.options])

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.shown or self.options)


class _MaxPool(_Pool):
    options = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    @property
    def shrinks(self) -> bool:
        """Gives one array, of fewer values."""
        return not self.return_indices and self.stride != 1


class MaxPool1d(_MaxPool):
    """The largest element of every window of (N, C, L). See ops.max_pool1d."""

    function = "max_pool1d"


class MaxPool2d(_MaxPool):
    """The largest element of every window of (N, C, H, W). See ops.max_pool2d."""

    function = "max_pool2d"


class MaxPool3d(_MaxPool):
    """The largest element of every window of (N, C, D, H, W). See ops.max_pool3d."""

    function = "max_pool3d"


MAX_POOLS = (MaxPool1d, MaxPool2d, MaxPool3d)


class _AvgPool(_Pool):
    options = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
    shown = ("kernel_size", "stride", "padding")

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override


class AvgPool1d(_AvgPool):
    """The mean of every window of (N, C, L). See ops.avg_pool1d."""

    function = "avg_pool1d"

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.kernel_size, self.stride = (
            per_axis(self, name, getattr(self, name), 1) for name in ("kernel_size", "stride")
        )
        self.padding = padding_per_axis(self, padding, 1)


class AvgPool2d(_AvgPool):
    """The mean of every window of (N, C, H, W). See ops.avg_pool2d."""

    function = "avg_pool2d"


class AvgPool3d(_AvgPool):
    """The mean of every window of (N, C, D, H, W). See ops.avg_pool3d."""

    function = "avg_pool3d"


class _LPPool(_Pool):
    options = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = (
            norm_type,
            kernel_size,
            stride,
            ceil_mode,
        )


class LPPool1d(_LPPool):
    """The p-norm of every window of (N, C, L). See ops.lp_pool1d."""

    function = "lp_pool1d"


class LPPool2d(_LPPool):
    """The p-norm of every window of (N, C, H, W). See ops.lp_pool2d."""

    function = "lp_pool2d"


class LPPool3d(_LPPool):
    """The p-norm of every window of (N, C, D, H, W). See ops.lp_pool3d."""

    function = "lp_pool3d"


class _AdaptiveAvgPool(_Pool):
    options = ("output_size",)

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of output_size parts of (N, C, L). See ops.adaptive_avg_pool1d."""

    function = "adaptive_avg_pool1d"


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of output_size parts of (N, C, H, W). See ops.adaptive_avg_pool2d."""

    function = "adaptive_avg_pool2d"


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of output_size parts of (N, C, D, H, W). See ops.adaptive_avg_pool3d."""

    function = "adaptive_avg_pool3d"


class _AdaptiveMaxPool(_Pool):
    options = ("output_size", "return_indices")
    shown = ("output_size",)

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest elements of output_size parts of (N, C, L). See ops.adaptive_max_pool1d."""

    function = "adaptive_max_pool1d"


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest elements of output_size parts of (N, C, H, W). See ops.adaptive_max_pool2d."""

    function = "adaptive_max_pool2d"


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest elements of output_size parts of (N, C, D, H, W). See ops.adaptive_max_pool3d."""

    function = "adaptive_max_pool3d"


class _MaxUnpool(Module):
    axes = 0

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        n = self.axes
        self.kernel_size, self.padding = (
            per_axis(self, "kernel_size", kernel_size, n),
            per_axis(self, "padding", padding, n),
        )
        self.stride = self.kernel_size if stride is None else per_axis(self, "stride", stride, n)

    def forward(self, x: Any, indices: Any, output_size: Any = None) -> Any:
        unpool = getattr(ops, f"max_unpool{self.axes}d")
        return unpool(x, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Zeros but for what MaxPool1d found. See ops.max_unpool1d."""

    axes = 1


class MaxUnpool2d(_MaxUnpool):
    """Zeros but for what MaxPool2d found. See ops.max_unpool2d."""

    axes = 2


class MaxUnpool3d(_MaxUnpool):
    """Zeros but for what MaxPool3d found. See ops.max_unpool3d."""

    axes = 3


class _FractionalMaxPool(_Pool):
    options = ("kernel_size", "output_size", "output_ratio", "return_indices", "_random_samples")

    def __init__(
        self, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        n, kind = self.axes, type(self).__name__
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{kind}: give either output_size or output_ratio")
        self.kernel_size = per_axis(self, "kernel_size", kernel_size, n)
        self.output_size = None if output_size is None else per_axis(self, "output_size", output_size, n)
        self.output_ratio = (output_ratio,) * n if isinstance(output_ratio, Real) else output_ratio
        if output_ratio is not None and not all(
            isinstance(r, Real) and 0 < float(r) < 1 for r in self.output_ratio
        ):
            raise ValueError(f"{kind}: output_ratio must lie between 0 and 1, got {output_ratio!r}")
        self.return_indices, self._random_samples = return_indices, _random_samples

    def extra_repr(self) -> str:
        return ""


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest elements of pseudo-random windows. See ops.fractional_max_pool2d."""

    axes = 2
    function = "fractional_max_pool2d"


class FractionalMaxPool3d(_FractionalMaxPool):
    """The largest elements of pseudo-random windows. See ops.fractional_max_pool3d."""

    axes = 3
    function = "fractional_max_pool3d"
