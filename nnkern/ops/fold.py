"""unfold (im2col) and fold (col2im): every window of an image as a column, and the sum of such columns."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..function import Function
from ._windows import numbers, padding_pairs

__all__ = ["fold", "unfold"]


class Windows(NamedTuple):
    """The order is the kernels'."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]  # low and high end of each axis
    dilation: tuple[int, ...]


class Unfold(Function):
    def __init__(self, windows: Windows) -> None:
        self.windows = windows

    def forward(self, x: Any) -> Any:
        self.size = x.shape[2:]
        return self.kernels.unfold_forward(x, *self.windows)

    def backward(self, gy: Any) -> Any:
        return Fold(self.size, self.windows)(gy)


class Fold(Function):
    def __init__(self, size: tuple[int, ...], windows: Windows) -> None:
        self.size, self.windows = size, windows

    def forward(self, y: Any) -> Any:
        return self.kernels.fold_forward(y, self.size, *self.windows)

    def backward(self, gx: Any) -> Any:
        return Unfold(self.windows)(gx)


def _windows(
    op: str, size: tuple[int, ...], kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> Windows:
    n = len(size)
    kernel = numbers(op, "kernel_size", kernel_size, n)
    stride, dilation = numbers(op, "stride", stride, n), numbers(op, "dilation", dilation, n)
    return Windows(kernel, stride, padding_pairs(op, padding, size, kernel, stride, dilation), dilation)


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """im2col: every window of every image as a column; what lies outside the image is zero.

    y[n, (c, r, s), (i, j)] = x[n, c, i * stride + r * dilation - padding, j * stride + s * dilation - padding]

    input: (N, C, H, W) or (C, H, W), float32 or float64. kernel_size: an int, or one per axis; one or three of them
    are for images with one or three axes (beyond PyTorch). padding: as conv2d's, also (low, high) pairs and names.
    Returns (N, C * R * S, L) or (C * R * S, L), L the number of windows. Differentiable any number of times. Raises
    ValueError for a window larger than the padded image. Semantics: torch.nn.functional.unfold.

    >>> nnkern.unfold(np.arange(4.0).reshape(1, 1, 4), (3,))
    array([[[0., 1.],
            [1., 2.],
            [2., 3.]]])
    """
    n = len(kernel_size) if hasattr(kernel_size, "__len__") else 2
    if input.ndim not in (n + 1, n + 2):
        raise ValueError(
            f"unfold: input must have {n + 2} axes (or {n + 1}, without the batch) for kernel_size {kernel_size} "
            f"(input.shape={tuple(input.shape)})"
        )
    op = Unfold(_windows("unfold", tuple(input.shape[-n:]), kernel_size, dilation, padding, stride))
    if input.ndim == n + 2:
        return op(input)
    y = op(input.reshape(1, *input.shape))
    return y.reshape(*y.shape[1:])


def fold(
    input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """col2im, the adjoint of unfold: images as sums of their windows; where windows overlap their numbers add up.

    x[n, c, i * stride + r * dilation - padding, j * ...] += y[n, (c, r, s), (i, j)]

    input: (N, C * R * S, L) or (C * R * S, L) as unfold returns it; output_size: an int or (H, W), also one or three
    numbers (beyond PyTorch); the rest as unfold's. Returns (N, C, H, W) or (C, H, W). Divide by
    fold(unfold(ones)) for the mean of the windows. Raises ValueError where C * R * S or L does not fit.
    Semantics: torch.nn.functional.fold.

    >>> nnkern.fold(np.ones((1, 3, 2)), (4,), 3)
    array([[[1., 2., 2., 1.]]])
    """
    given = next((v for v in (output_size, kernel_size) if hasattr(v, "__len__")), (1, 1))
    size = numbers("fold", "output_size", output_size, len(given))
    if input.ndim not in (2, 3):
        raise ValueError(
            f"fold: input must have 3 axes (or 2, without the batch) (input.shape={tuple(input.shape)})"
        )
    op = Fold(size, _windows("fold", size, kernel_size, dilation, padding, stride))
    if input.ndim == 3:
        return op(input)
    x = op(input.reshape(1, *input.shape))
    return x.reshape(*x.shape[1:])
