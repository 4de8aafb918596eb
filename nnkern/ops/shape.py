"""Shape ops: reshape, permute, slice-free views, shuffles of channels and the like.

Views share memory with their input (they are NumPy views); their gradients flow. Copies run through one
strided engine (csrc/cpu/copy.cpp). Names and arguments follow PyTorch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..function import Function
from ..tensor import Tensor
from . import reduce

__all__ = [
    "broadcast_to", "channel_shuffle", "clone", "contiguous", "diag_embed", "diagonal", "expand", "flatten", "flip",
    "meshgrid", "movedim", "native_channel_shuffle", "permute", "pixel_shuffle", "pixel_unshuffle", "reshape", "squeeze", "swapaxes", "transpose",
    "tril", "triu", "unflatten", "unsqueeze", "view",
]  # fmt: skip

_HAS_COPY_ARGUMENT = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


def axis_of(op: str, dim: int, ndim: int) -> Any:
    """dim counted from the front, checked."""
    if type(dim) is not int and not hasattr(dim, "__index__"):
        raise TypeError(f"{op}: a dim must be a whole number, got {dim!r}")
    if not -ndim <= dim < ndim:
        if ndim or dim not in (0, -1):  # which a number may be said to have, as in PyTorch
            raise IndexError(f"{op}: dim {dim} does not exist, x has {ndim} dimensions")
        return 0
    return dim % ndim


def axes_of(op: str, dims: Any, ndim: int) -> Any:
    """All of dims counted from the front, checked, each once."""
    axes = tuple(axis_of(op, d, ndim) for d in ((dims,) if isinstance(dims, int) else dims))
    if len(set(axes)) != len(axes):
        raise ValueError(f"{op}: a dim is repeated in {tuple(dims)}")
    return axes


class Reshape(Function):
    is_view = True

    def __init__(self, shape: Any) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        try:
            if x.flags.c_contiguous or not _HAS_COPY_ARGUMENT:
                return x.reshape(self.shape)
            try:
                return x.reshape(self.shape, copy=False)
            except ValueError:  # strides that no view can express; our copy is faster than NumPy's
                return self.kernels.copy_forward(x).reshape(self.shape)
        except ValueError:
            raise ValueError(
                f"reshape: x.shape={x.shape} has {x.size} elements, which do not fit shape={self.shape}"
            ) from None
        except TypeError:
            raise TypeError(f"reshape: a shape must be whole numbers, got {self.shape}") from None

    def backward(self, gy: Any) -> Any:
        return reshape(gy, self.x_shape)


def reshape(x: Any, shape: Any) -> Any:
    """x's elements in C order under another shape; one length may be -1 (whatever is left).

    Returns a view where x's strides allow it, else a copy. Raises ValueError if the sizes differ.

    >>> reshape(np.arange(6.0), (2, -1)).shape
    (2, 3)
    """
    try:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
    except TypeError:
        if not isinstance(shape, np.integer):
            raise TypeError(f"reshape: a shape must be whole numbers, got {shape!r}") from None
        shape = (int(shape),)
    return Reshape(shape)(x)


view = reshape  # PyTorch's view would refuse to copy


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Merge the dims from start_dim to end_dim into one: (N, C, H, W) with start_dim=1 becomes (N, C*H*W)."""
    if not x.ndim:
        return reshape(x, (1,))
    start, end = axis_of("flatten", start_dim, x.ndim), axis_of("flatten", end_dim, x.ndim)
    if start > end:
        raise ValueError(
            f"flatten: start_dim {start_dim} comes after end_dim {end_dim} (x.shape={tuple(x.shape)})"
        )
    shape = tuple(x.shape)
    return reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def unflatten(x: Any, dim: int, sizes: Any) -> Any:
    """Split one dim into `sizes` (one may be -1): the opposite of flatten."""
    dim, shape, sizes = axis_of("unflatten", dim, x.ndim), tuple(x.shape), tuple(sizes)
    known = math.prod(s for s in sizes if s != -1)
    if sizes.count(-1) == 1 and known and shape[dim] % known == 0:
        sizes = tuple(shape[dim] // known if s == -1 else s for s in sizes)
    if math.prod(sizes) != shape[dim] or -1 in sizes:
        raise ValueError(f"unflatten: dim {dim} of x.shape={shape} can't be split into {sizes}")
    return reshape(x, (*shape[:dim], *sizes, *shape[dim + 1 :]))


def squeeze(x: Any, dim: Any = None) -> Any:
    """Drop dims of length 1: all of them, or those named in dim (others named there stay)."""
    shape = tuple(x.shape)
    dropped = range(len(shape)) if dim is None else axes_of("squeeze", dim, len(shape))
    return reshape(x, [n for d, n in enumerate(shape) if n != 1 or d not in dropped])


def unsqueeze(x: Any, dim: int) -> Any:
    """Insert a dim of length 1 at position dim."""
    shape = list(x.shape)
    shape.insert(axis_of("unsqueeze", dim, len(shape) + 1), 1)
    return reshape(x, shape)


class Permute(Function):
    is_view = True

    def __init__(self, dims: Any) -> None:
        self.dims = dims

    def forward(self, x: Any) -> Any:
        try:
            return x.transpose(self.dims)
        except ValueError:
            axes = axes_of("permute", self.dims, x.ndim)
            raise ValueError(f"permute: dims={axes} must name each dim of x.shape={x.shape}") from None

    def backward(self, gy: Any) -> Any:
        n = len(self.dims)
        return Permute(sorted(range(n), key=lambda i: self.dims[i] % n))(gy)


def permute(x: Any, dims: Any) -> Any:
    """The dims of x in another order, as a view: y.shape[i] = x.shape[dims[i]]."""
    return Permute((dims,) if isinstance(dims, int) else tuple(dims))(x)


def transpose(x: Any, dim0: int, dim1: int) -> Any:
    """Swap two dims, as a view."""
    dims = list(range(x.ndim or 1))
    a, b = axis_of("transpose", dim0, x.ndim), axis_of("transpose", dim1, x.ndim)
    dims[a], dims[b] = b, a
    return Permute(tuple(dims[: x.ndim]))(x)


swapaxes = transpose


def movedim(x: Any, source: Any, destination: Any) -> Any:
    """Move dims to new positions, the others keeping their order (numpy.moveaxis), as a view."""
    source, destination = axes_of("movedim", source, x.ndim), axes_of("movedim", destination, x.ndim)
    if len(source) != len(destination):
        raise ValueError(f"movedim: {len(source)} source dims but {len(destination)} destinations")
    order = [d for d in range(x.ndim) if d not in source]
    for to, dim in sorted(zip(destination, source)):
        order.insert(to, dim)
    return Permute(tuple(order[: x.ndim]))(x)


class BroadcastTo(Function):
    is_view = True

    def __init__(self, shape: Any) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        if (
            x.size == 1 and x.flags.c_contiguous
        ):  # as in the gradient of a sum; NumPy takes three times as long
            y = np.ndarray(self.shape, x.dtype, x, 0, (0,) * len(self.shape))
            y.flags.writeable = False
            return y
        try:
            return np.broadcast_to(x, self.shape)
        except ValueError:
            raise ValueError(
                f"broadcast_to: x.shape={x.shape} does not broadcast to shape={self.shape}"
            ) from None

    def backward(self, gy: Any) -> Any:
        return reduce.sum_to(gy, self.x_shape)


def broadcast_to(x: Any, shape: Any) -> Any:
    """x repeated along new leading dims and dims of length 1, as a read-only view (stride 0)."""
    return BroadcastTo((shape,) if isinstance(shape, int) else tuple(shape))(x)


def expand(x: Any, sizes: Any) -> Any:
    """broadcast_to, where -1 keeps the length that x has there."""
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    shape, lead = tuple(x.shape), len(sizes) - x.ndim
    if any(n == -1 for n in sizes[: max(0, lead)]):
        raise ValueError(f"expand: -1 in {sizes} stands at a dim that x.shape={shape} does not have")
    return broadcast_to(x, [shape[i - lead] if n == -1 else n for i, n in enumerate(sizes)])


class Flip(Function):
    is_view = True

    def __init__(self, dims: Any) -> None:
        self.dims = dims

    def forward(self, x: Any) -> Any:
        return x[tuple(slice(None, None, -1) if d in self.dims else slice(None) for d in range(x.ndim))]

    def backward(self, gy: Any) -> Any:
        return flip(gy, self.dims)


def flip(x: Any, dims: Any) -> Any:
    """Reverse the order along dims, as a view with negative strides."""
    return Flip(axes_of("flip", dims, x.ndim))(x)


class Clone(Function):
    def forward(self, x: Any) -> Any:
        return self.kernels.copy_forward(x)

    def backward(self, gy: Any) -> Any:
        return gy


def clone(x: Any) -> Any:
    """A C-contiguous copy of x."""
    return Clone()(x)


def contiguous(x: Any) -> Any:
    """x itself if it is C-contiguous, else a copy that is."""
    a = x.data if isinstance(x, Tensor) else x
    return x if isinstance(a, np.ndarray) and a.flags.c_contiguous else clone(x)


class Triangle(Function):
    def __init__(self, diagonal: int, upper: bool) -> None:
        self.diagonal, self.upper = diagonal, upper

    def forward(self, x: Any) -> Any:
        return self.kernels.triangle_forward(x, self.diagonal, self.upper)

    def backward(self, gy: Any) -> Any:
        return Triangle(self.diagonal, self.upper)(gy)


def tril(x: Any, diagonal: int = 0) -> Any:
    """Keep x[..., i, j] where j <= i + diagonal; zeros elsewhere."""
    return Triangle(diagonal, False)(x)


def triu(x: Any, diagonal: int = 0) -> Any:
    """Keep x[..., i, j] where j >= i + diagonal; zeros elsewhere."""
    return Triangle(diagonal, True)(x)


class Diagonal(Function):
    is_view = True

    def __init__(self, offset: int, dim1: int, dim2: int) -> None:
        self.place = offset, dim1, dim2

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        offset, dim1, dim2 = self.place
        y = np.diagonal(x, offset, dim1, dim2)
        if x.flags.writeable:  # NumPy's diagonals are read-only, but a view of ours may be changed
            y.flags.writeable = True
        return y

    def backward(self, gy: Any) -> Any:
        return DiagonalGrad(self.x_shape, *self.place)(gy)


class DiagonalGrad(Function):
    """Zeros with gy on a diagonal."""

    def __init__(self, shape: Any, offset: int, dim1: int, dim2: int) -> None:
        self.shape, self.place = shape, (offset, dim1, dim2)

    def forward(self, gy: Any) -> Any:
        gx = np.zeros(self.shape, gy.dtype)
        offset, dim1, dim2 = self.place
        i = np.arange(gy.shape[-1])
        np.moveaxis(gx, (dim1, dim2), (-2, -1))[..., i + max(0, -offset), i + max(0, offset)] = gy
        return gx

    def backward(self, ggx: Any) -> Any:
        return diagonal(ggx, *self.place)


def diagonal(x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of dims dim1 and dim2 as the last dim, as a view: y[..., i] = x[.., i, .., i + offset, ..]."""
    dim1, dim2 = axes_of("diagonal", (dim1, dim2), x.ndim)
    return Diagonal(offset, dim1, dim2)(x)


def diag_embed(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Zeros with x's last dim on a diagonal of two new ones: y[.., i, .., i + offset, ..] = x[..., i]."""
    dim1, dim2 = axes_of("diag_embed", (dim1, dim2), x.ndim + 1)
    n, shape = x.shape[-1] + abs(offset), list(x.shape[:-1])
    for dim in sorted((dim1, dim2)):
        shape.insert(dim, n)
    return DiagonalGrad(tuple(shape), offset, dim1, dim2)(x)


def meshgrid(*tensors: Any, indexing: str = "ij") -> Any:
    """A view of each 1-d array along its own dim of one common grid. "xy" swaps the first two dims."""
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    arrays = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    n = len(arrays)
    place = [1, 0, *range(2, n)] if indexing == "xy" and n > 1 else list(range(n))
    shape = [0] * n
    for p, a in zip(place, arrays):
        if a.ndim > 1:
            raise ValueError(f"meshgrid: arrays must have one dim (shape {tuple(a.shape)})")
        shape[p] = math.prod(a.shape)
    return tuple(
        broadcast_to(reshape(a, [-1 if d == p else 1 for d in range(n)]), shape)
        for p, a in zip(place, arrays)
    )


def _images(op: str, x: Any, needed: int = 3) -> Any:
    """The leading dims, C, H and W of x."""
    if x.ndim < needed:
        raise ValueError(
            f"{op}: input needs at least {needed} dims, (..., C, H, W) (input.shape={tuple(x.shape)})"
        )
    *lead, c, h, w = x.shape
    return lead, c, h, w


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(..., C r r, H, W) to (..., C, H r, W r): r * r channels become the pixels of a square (sub-pixel convolution).

    y[.., c, h r + i, w r + j] = input[.., (c r + i) r + j, h, w]. Raises ValueError if r * r does not divide the channels.
    """
    lead, c, h, w = _images("pixel_shuffle", input)
    r, n = upscale_factor, len(lead)
    if r < 1 or c % (r * r):
        shape = tuple(input.shape)
        raise ValueError(f"pixel_shuffle: {c} channels must be a multiple of {r} * {r} (input.shape={shape})")
    x = reshape(input, (*lead, c // (r * r), r, r, h, w))
    x = permute(x, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return reshape(x, (*lead, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(..., C, H r, W r) to (..., C r r, H, W): the opposite of pixel_shuffle."""
    lead, c, h, w = _images("pixel_unshuffle", input)
    r, n = downscale_factor, len(lead)
    if r < 1 or h % r or w % r:
        shape = tuple(input.shape)
        raise ValueError(f"pixel_unshuffle: height and width must be multiples of {r} (input.shape={shape})")
    x = reshape(input, (*lead, c, h // r, r, w // r, r))
    x = permute(x, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return reshape(x, (*lead, c * r * r, h // r, w // r))


def channel_shuffle(input: Any, groups: int) -> Any:
    """(N, C, ...) with the channels of `groups` groups taken in turn: y[:, k g + i] = input[:, i (C / g) + k]."""
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise ValueError(
            f"channel_shuffle: input needs three dims or more and a multiple of {groups} channels "
            f"(input.shape={tuple(input.shape)})"
        )
    n, c, *rest = input.shape
    return reshape(swapaxes(reshape(input, (n, groups, c // groups, *rest)), 1, 2), (n, c, *rest))


native_channel_shuffle = channel_shuffle  # PyTorch's name for the kernel
