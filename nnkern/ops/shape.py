"""Shape ops: reshape, permute, slice-free views, cat, pad and the like.

Views share memory with their input (they are NumPy views); their gradients flow. Copies run through one
strided engine (csrc/cpu/copy.cpp). Names and arguments follow PyTorch.
"""

import math
from itertools import accumulate

import numpy as np

from ..function import Function
from ..tensor import Tensor
from . import reduce
from .index import getitem, zeros_view

__all__ = [
    "broadcast_to", "cat", "chunk", "clone", "contiguous", "expand", "flatten", "flip", "movedim", "narrow",
    "pad", "permute", "repeat", "reshape", "roll", "split", "squeeze", "stack", "swapaxes", "tile",
    "transpose", "tril", "triu", "unbind", "unflatten", "unsqueeze", "view",
]  # fmt: skip

_HAS_COPY_ARGUMENT = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


def _axis(op, dim, ndim):
    """dim counted from the front, checked."""
    if not -ndim <= dim < ndim:
        raise IndexError(f"{op}: dim {dim} does not exist, x has {ndim} dimensions")
    return dim % ndim


def _axes(op, dims, ndim):
    """All of dims counted from the front, checked, each once."""
    axes = tuple(_axis(op, d, ndim) for d in ((dims,) if isinstance(dims, int) else dims))
    if len(set(axes)) != len(axes):
        raise ValueError(f"{op}: a dim is repeated in {tuple(dims)}")
    return axes


class Reshape(Function):
    is_view = True

    def __init__(self, shape):
        self.shape = shape

    def forward(self, x):
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

    def backward(self, gy):
        return reshape(gy, self.x_shape)


def reshape(x, shape):
    """x's elements in C order under another shape; one length may be -1 (whatever is left).

    Returns a view where x's strides allow it, else a copy. Raises ValueError if the sizes differ.

    >>> reshape(np.arange(6.0), (2, -1)).shape
    (2, 3)
    """
    return Reshape((shape,) if isinstance(shape, int) else tuple(shape))(x)


view = reshape  # PyTorch's view would refuse to copy


def flatten(x, start_dim=0, end_dim=-1):
    """Merge the dims from start_dim to end_dim into one: (N, C, H, W) with start_dim=1 becomes (N, C*H*W)."""
    if not x.ndim:
        return reshape(x, (1,))
    start, end = _axis("flatten", start_dim, x.ndim), _axis("flatten", end_dim, x.ndim)
    if start > end:
        raise ValueError(
            f"flatten: start_dim {start_dim} comes after end_dim {end_dim} (x.shape={tuple(x.shape)})"
        )
    shape = tuple(x.shape)
    return reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def unflatten(x, dim, sizes):
    """Split one dim into `sizes` (one may be -1): the opposite of flatten."""
    dim, shape, sizes = _axis("unflatten", dim, x.ndim), tuple(x.shape), tuple(sizes)
    known = math.prod(s for s in sizes if s != -1)
    if sizes.count(-1) == 1 and known and shape[dim] % known == 0:
        sizes = tuple(shape[dim] // known if s == -1 else s for s in sizes)
    if math.prod(sizes) != shape[dim] or -1 in sizes:
        raise ValueError(f"unflatten: dim {dim} of x.shape={shape} can't be split into {sizes}")
    return reshape(x, (*shape[:dim], *sizes, *shape[dim + 1 :]))


def squeeze(x, dim=None):
    """Drop dims of length 1: all of them, or those named in dim (others named there stay)."""
    shape = tuple(x.shape)
    dropped = range(len(shape)) if dim is None else _axes("squeeze", dim, len(shape))
    return reshape(x, [n for d, n in enumerate(shape) if n != 1 or d not in dropped])


def unsqueeze(x, dim):
    """Insert a dim of length 1 at position dim."""
    shape = list(x.shape)
    shape.insert(_axis("unsqueeze", dim, len(shape) + 1), 1)
    return reshape(x, shape)


class Permute(Function):
    is_view = True

    def __init__(self, dims):
        self.dims = dims

    def forward(self, x):
        try:
            return x.transpose(self.dims)
        except ValueError:
            axes = _axes("permute", self.dims, x.ndim)
            raise ValueError(f"permute: dims={axes} must name each dim of x.shape={x.shape}") from None

    def backward(self, gy):
        n = len(self.dims)
        return Permute(sorted(range(n), key=lambda i: self.dims[i] % n))(gy)


def permute(x, dims):
    """The dims of x in another order, as a view: y.shape[i] = x.shape[dims[i]]."""
    return Permute(tuple(dims))(x)


def transpose(x, dim0, dim1):
    """Swap two dims, as a view."""
    dims = list(range(x.ndim))
    a, b = _axis("transpose", dim0, x.ndim), _axis("transpose", dim1, x.ndim)
    dims[a], dims[b] = b, a
    return Permute(tuple(dims))(x)


swapaxes = transpose


def movedim(x, source, destination):
    """Move dims to new positions, the others keeping their order (numpy.moveaxis), as a view."""
    source, destination = _axes("movedim", source, x.ndim), _axes("movedim", destination, x.ndim)
    if len(source) != len(destination):
        raise ValueError(f"movedim: {len(source)} source dims but {len(destination)} destinations")
    order = [d for d in range(x.ndim) if d not in source]
    for to, dim in sorted(zip(destination, source)):
        order.insert(to, dim)
    return Permute(tuple(order))(x)


class BroadcastTo(Function):
    is_view = True

    def __init__(self, shape):
        self.shape = shape

    def forward(self, x):
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

    def backward(self, gy):
        return reduce.sum_to(gy, self.x_shape)


def broadcast_to(x, shape):
    """x repeated along new leading dims and dims of length 1, as a read-only view (stride 0)."""
    return BroadcastTo((shape,) if isinstance(shape, int) else tuple(shape))(x)


def expand(x, sizes):
    """broadcast_to, where -1 keeps the length that x has there."""
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    shape, lead = tuple(x.shape), len(sizes) - x.ndim
    if any(n == -1 for n in sizes[: max(0, lead)]):
        raise ValueError(f"expand: -1 in {sizes} stands at a dim that x.shape={shape} does not have")
    return broadcast_to(x, [shape[i - lead] if n == -1 else n for i, n in enumerate(sizes)])


class Flip(Function):
    is_view = True

    def __init__(self, dims):
        self.dims = dims

    def forward(self, x):
        return x[tuple(slice(None, None, -1) if d in self.dims else slice(None) for d in range(x.ndim))]

    def backward(self, gy):
        return flip(gy, self.dims)


def flip(x, dims):
    """Reverse the order along dims, as a view with negative strides."""
    return Flip(_axes("flip", dims, x.ndim))(x)


class Clone(Function):
    def forward(self, x):
        return self.kernels.copy_forward(x)

    def backward(self, gy):
        return gy


def clone(x):
    """A C-contiguous copy of x."""
    return Clone()(x)


def contiguous(x):
    """x itself if it is C-contiguous, else a copy that is."""
    a = x.data if isinstance(x, Tensor) else x
    return x if isinstance(a, np.ndarray) and a.flags.c_contiguous else clone(x)


class Cat(Function):
    def __init__(self, dim):
        self.dim = dim

    def forward(self, *xs):
        y = self.kernels.cat_forward(xs, self.dim)
        self.dim %= y.ndim
        self.lengths = [x.shape[self.dim] for x in xs]
        return y

    def backward(self, gy):
        return split(gy, self.lengths, self.dim)


def cat(tensors, dim=0):
    """Join arrays of equal shape (except along dim) and equal dtype along dim."""
    return Cat(dim)(*tensors)


class Stack(Function):
    def __init__(self, dim):
        self.dim = dim

    def forward(self, *xs):
        if not xs:
            raise ValueError("stack: needs at least one array")
        self.dim = dim = _axis("stack", self.dim, xs[0].ndim + 1)
        place = (slice(None),) * dim + (None,)
        odd = next((i for i, x in enumerate(xs) if x.shape != xs[0].shape), None)
        if odd is not None:
            shapes = f"tensors[0].shape={xs[0].shape}, tensors[{odd}].shape={xs[odd].shape}"
            raise ValueError(f"stack: tensors[{odd}] must have the shape of tensors[0] ({shapes})")
        return self.kernels.cat_forward([x[place] for x in xs], dim)

    def backward(self, gy):
        return unbind(gy, self.dim)


def stack(tensors, dim=0):
    """Join arrays of equal shape and dtype along a new dim."""
    return Stack(dim)(*tensors)


def narrow(x, dim, start, length):
    """x[start : start + length] along dim, as a view."""
    dim = _axis("narrow", dim, x.ndim)
    if not 0 <= start <= start + length <= x.shape[dim]:
        raise IndexError(
            f"narrow: [{start}, {start + length}) does not lie in dim {dim} of x.shape={tuple(x.shape)}"
        )
    return getitem(x, (slice(None),) * dim + (slice(start, start + length),))


class Split(Function):
    """Views of the given lengths along dim; `drop` removes dim from each."""

    is_view = True

    def __init__(self, dim, lengths, drop=False):
        self.dim, self.lengths, self.drop = dim, lengths, drop

    def forward(self, x):
        self.x_shape = x.shape
        lead = (slice(None),) * self.dim
        if self.drop:
            return tuple(x[(*lead, i, ...)] for i in range(x.shape[self.dim]))
        ends = accumulate(self.lengths)
        return tuple(x[(*lead, slice(end - n, end))] for end, n in zip(ends, self.lengths))

    def backward(self, *gys):
        given = next(g for g in gys if g is not None)
        shape = list(self.x_shape)
        parts = []
        for g, n in zip(gys, self.lengths):
            shape[self.dim] = n
            parts.append(
                zeros_view(shape, given.dtype) if g is None else unsqueeze(g, self.dim) if self.drop else g
            )
        return cat(parts, self.dim)


def split(x, split_size, dim=0):
    """Views of split_size each along dim (the last may be shorter), or of the lengths in a list."""
    dim = _axis("split", dim, x.ndim)
    total = x.shape[dim]
    if isinstance(split_size, int):
        if split_size <= 0:
            raise ValueError(f"split: split_size must be positive, got {split_size}")
        split_size = [min(split_size, total - i) for i in range(0, max(total, 1), split_size)]
    if sum(split_size) != total:
        raise ValueError(
            f"split: lengths {list(split_size)} must sum to {total} (x.shape={tuple(x.shape)}, dim={dim})"
        )
    return Split(dim, split_size)(x)


def chunk(x, chunks, dim=0):
    """At most `chunks` views of equal length along dim (the last may be shorter)."""
    if chunks <= 0:
        raise ValueError(f"chunk: chunks must be positive, got {chunks}")
    return split(x, max(1, -(-x.shape[_axis("chunk", dim, x.ndim)] // chunks)), dim)


def unbind(x, dim=0):
    """A tuple of views, one for each position along dim, without that dim."""
    dim = _axis("unbind", dim, x.ndim)
    n = x.shape[dim]
    return Split(dim, (1,) * n, drop=True)(x) if n else ()


class Pad(Function):
    def __init__(self, pads, value):
        self.pads, self.value = pads, value

    def forward(self, x):
        return self.kernels.pad_forward(x, self.pads, self.value)

    def backward(self, gy):
        return pad(gy, [-p for p in self.pads])


def pad(x, pad, mode="constant", value=0.0):
    """Surround x with `value`: pad = (before, after) of the last dim, then of the one before it, and so on.

    Negative numbers crop. `mode` must be "constant".

    >>> pad(np.ones((2, 2)), (1, 0)).tolist()
    [[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    """
    if mode != "constant":
        raise ValueError(f"pad: mode must be 'constant', got {mode!r}")
    return Pad(list(pad), float(value or 0))(x)


class Triangle(Function):
    def __init__(self, diagonal, upper):
        self.diagonal, self.upper = diagonal, upper

    def forward(self, x):
        return self.kernels.triangle_forward(x, self.diagonal, self.upper)

    def backward(self, gy):
        return Triangle(self.diagonal, self.upper)(gy)


def tril(x, diagonal=0):
    """Keep x[..., i, j] where j <= i + diagonal; zeros elsewhere."""
    return Triangle(diagonal, False)(x)


def triu(x, diagonal=0):
    """Keep x[..., i, j] where j >= i + diagonal; zeros elsewhere."""
    return Triangle(diagonal, True)(x)


def roll(x, shifts, dims=None):
    """Move the elements by `shifts` along dims; those pushed out at the end come in at the front."""
    if dims is None:
        return reshape(roll(reshape(x, (-1,)), shifts, 0), x.shape)
    if isinstance(shifts, int):
        shifts, dims = (shifts,), (dims,) if isinstance(dims, int) else dims
    if len(shifts) != len(dims):
        raise ValueError(f"roll: {len(shifts)} shifts but {len(dims)} dims")
    for shift, dim in zip(shifts, dims):
        n = x.shape[_axis("roll", dim, x.ndim)]
        cut = -shift % n if n else 0
        x = cat((narrow(x, dim, cut, n - cut), narrow(x, dim, 0, cut)), dim)
    return x


def repeat(x, sizes):
    """x laid out sizes[i] times along each dim i (numpy.tile); more sizes than dims add dims in front."""
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    if len(sizes) < x.ndim:
        raise ValueError(f"repeat: {len(sizes)} sizes for x.shape={tuple(x.shape)}; give one for each dim")
    lengths = (1,) * (len(sizes) - x.ndim) + tuple(x.shape)
    x = reshape(x, [n for length in lengths for n in (1, length)])
    x = broadcast_to(x, [n for pair in zip(sizes, lengths) for n in pair])
    return reshape(clone(x), [times * length for times, length in zip(sizes, lengths)])


def tile(x, dims):
    """repeat, where missing leading sizes are 1."""
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    return repeat(x, (1,) * (x.ndim - len(dims)) + dims)
