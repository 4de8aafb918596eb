"""Layers that pad, resample and shuffle images."""

from __future__ import annotations

from typing import Any

from .. import ops
from .module import Module


class _Pad(Module):
    """padding: one number for all sides, or (low, high) of the last axis, then of the one before it, and so on."""

    axes = 0
    mode = "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self.axes) if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != 2 * self.axes:
            raise ValueError(
                f"{type(self).__name__}: padding must be a number or {2 * self.axes} of them, got {self.padding}"
            )

    def forward(self, x: Any) -> Any:
        if x.ndim not in (self.axes + 1, self.axes + 2):
            raise ValueError(
                f"{type(self).__name__}: input must have {self.axes + 1} or {self.axes + 2} dims "
                f"(input.shape={tuple(x.shape)})"
            )
        return ops.pad(x, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, x: Any) -> Any:
        return ops.pad(x, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad1d(_ConstantPad):
    """The last axis surrounded by a number: see ops.pad."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """The last two axes surrounded by a number: see ops.pad."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """The last three axes surrounded by a number: see ops.pad."""

    axes = 3


class ZeroPad1d(_ZeroPad):
    """The last axis surrounded by zeros: see ops.pad."""

    axes = 1


class ZeroPad2d(_ZeroPad):
    """The last two axes surrounded by zeros: see ops.pad."""

    axes = 2


class ZeroPad3d(_ZeroPad):
    """The last three axes surrounded by zeros: see ops.pad."""

    axes = 3


class ReflectionPad1d(_Pad):
    """The last axis mirrored at its ends: see ops.pad."""

    axes, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """The last two axes mirrored at their ends: see ops.pad."""

    axes, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """The last three axes mirrored at their ends: see ops.pad."""

    axes, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """The ends of the last axis repeated: see ops.pad."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The ends of the last two axes repeated: see ops.pad."""

    axes, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """The ends of the last three axes repeated: see ops.pad."""

    axes, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """The last axis continued from its other end: see ops.pad."""

    axes, mode = 1, "circular"


class CircularPad2d(_Pad):
    """The last two axes continued from their other ends: see ops.pad."""

    axes, mode = 2, "circular"


class CircularPad3d(_Pad):
    """The last three axes continued from their other ends: see ops.pad."""

    axes, mode = 3, "circular"


class Upsample(Module):
    """Images resampled to a size or by a factor: see ops.interpolate."""

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, x: Any) -> Any:
        return ops.interpolate(
            x, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        what = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{what}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Upsample with mode "nearest"."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """Upsample with mode "bilinear" and align_corners."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


class PixelShuffle(Module):
    """Channels become pixels: see ops.pixel_shuffle."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, x: Any) -> Any:
        return ops.pixel_shuffle(x, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Pixels become channels: see ops.pixel_unshuffle."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, x: Any) -> Any:
        return ops.pixel_unshuffle(x, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """The channels of each group taken in turn: see ops.channel_shuffle."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Any) -> Any:
        return ops.channel_shuffle(x, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
