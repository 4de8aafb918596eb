"""Sampling an image at the places of a grid, and grids of affine maps: spatial transformers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ..autograd import enable_grad, grad
from ..function import Function
from ..tensor import Tensor
from ._loss_common import any_kind
from .arithmetic import add, mul, sub
from .compare import clamp, where
from .elementwise import abs
from .index import gather
from .matmul import matmul
from .shape import reshape, transpose

__all__ = ["affine_grid", "grid_sample"]

_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
_PADDINGS = {"zeros": 0, "border": 1, "reflection": 2}


class GridSample(Function):
    def __init__(self, mode: int, padding: int, align_corners: bool) -> None:
        self.options = mode, padding, align_corners

    def forward(self, x: Any, grid: Any) -> Any:
        self.saved = (x, grid)
        return self.kernels.grid_sample_forward(x, grid, *self.options)

    def backward(self, gy: Any) -> Any:
        x, grid = self.saved
        if isinstance(gy, Tensor):
            return _gradients(gy, x, grid, self.needs_input_grad, *self.options)
        needed = self.needs_input_grad
        gx, ggrid = self.kernels.grid_sample_backward(
            gy, x, grid, *self.options, bool(needed[0]), bool(needed[1])
        )
        return gx if needed[0] else None, ggrid if needed[1] else None


def _gradients(gy: Any, x: Any, grid: Any, needed: Any, *options: Any) -> Any:
    """The gradients as Tensors that can be differentiated again: those of the definition."""
    wanted = [a for a, need in zip((x, grid), needed) if need]
    with enable_grad():
        found = list(grad(_definition(x, grid, *options), wanted, gy, create_graph=True, allow_unused=True))
    return tuple(found.pop(0) if need else None for need in needed)


def _inside(at: Any, size: int, padding: int, align_corners: bool) -> Any:
    """What padding makes of a coordinate."""
    if padding == 2:
        low, span = (0.0, size - 1) if align_corners else (-0.5, size)
        if span == 0:
            return mul(at, 0.0)
        at = abs(sub(at, low))
        a = np.asarray(at)
        flips = np.floor(a / span)
        even = flips % 2 == 0
        rest = sub(at, (flips * span).astype(a.dtype))
        at = add(where(even, rest, sub(float(span), rest)), low)
    return at if padding == 0 else clamp(at, 0.0, size - 1.0)


def _axis_taps(g: Any, size: int, mode: int, padding: int, align_corners: bool) -> Any:
    """Of one axis: pairs of places (arrays; -1 outside) and weights (which carry the gradient of g)."""
    at = mul(add(g, 1.0), (size - 1) / 2) if align_corners else sub(mul(add(g, 1.0), size / 2), 0.5)
    if mode != 2:
        at = _inside(at, size, padding, align_corners)
    a = np.asarray(at)
    low = np.rint(a) if mode == 1 else np.floor(a)
    if mode == 1:
        places, weights = [low], [1.0]
    elif mode == 0:
        part = sub(at, low)
        places, weights = [low, low + 1], [sub(1.0, part), part]
    else:
        part = sub(at, low)
        places = [np.asarray(_inside(low + i, size, padding, align_corners)) for i in range(-1, 3)]
        weights = [_cubic(part if i < 1 else sub(1.0, part), i in (-1, 2)) for i in range(-1, 3)]
    fits = [(p >= 0) & (p <= size - 1) for p in places]
    return [(np.where(f, p, -1).astype(np.int64), w) for p, f, w in zip(places, fits, weights)]


def _cubic(u: Any, far: bool, a: float = -0.75) -> Any:
    """Of the number at distance u in [0, 1], or at 1 + u."""
    if not far:
        return add(mul(sub(mul(u, a + 2), a + 3), mul(u, u)), 1.0)
    u = add(u, 1.0)
    return sub(mul(add(mul(sub(mul(u, a), 5 * a), u), 8 * a), u), 4 * a)


def _definition(x: Any, grid: Any, mode: int, padding: int, align_corners: bool) -> Any:
    """grid_sample by public functions."""
    n, c, *size = x.shape
    places = tuple(grid.shape[1:-1])
    taps = [
        _axis_taps(grid[..., i], length, mode, padding, align_corners) for i, length in enumerate(size[::-1])
    ]
    flat, y = reshape(x, (n, c, -1)), None
    for chosen in product(*taps):
        at, weight, inside = np.zeros((n, *places), np.int64), None, np.ones((n, *places), bool)
        for (place, w), length in reversed(list(zip(chosen, size[::-1]))):
            at, inside = at * length + place, inside & (place >= 0)
            weight = w if weight is None else mul(weight, w)
        index = np.broadcast_to(np.where(inside, at, 0).reshape(n, 1, -1), (n, c, at[0].size))
        taken = where(
            np.broadcast_to(inside[:, None], (n, c, *places)),
            reshape(gather(flat, 2, index), (n, c, *places)),
            0.0,
        )
        if mode != 1:
            taken = mul(taken, where(inside[:, None], reshape(weight, (n, 1, *places)), 0.0))
        y = taken if y is None else add(y, taken)
    return y


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """input at the places of grid: y[n, :, i, j] = input[n, :, at grid[n, i, j]], between pixels by mode.

    input: (N, C, H, W) with grid (N, h, w, 2), or (N, C, D, H, W) with grid (N, d, h, w, 3); float32 or float64. A place
    is (x, y) or (x, y, z), x along W; -1 and 1 are the edges of the image (with align_corners the centres of the corner
    pixels). mode: "bilinear" (trilinear for volumes), "nearest", "bicubic" (images). padding_mode, outside the image:
    "zeros", "border" (the nearest pixel of the edge), "reflection". Returns (N, C, h, w) or (N, C, d, h, w), in input's
    layout. Differentiable by both any number of times. Raises ValueError for shapes that do not go together. Semantics:
    torch.nn.functional.grid_sample.

    >>> x, centre = np.arange(4.0).reshape(1, 1, 2, 2), np.zeros((1, 1, 1, 2))
    >>> grid_sample(x, centre)
    array([[[[1.5]]]])
    """
    if mode not in _MODES:
        raise ValueError(f"grid_sample: mode must be one of {', '.join(map(repr, _MODES))}, got {mode!r}")
    if padding_mode not in _PADDINGS:
        names = ", ".join(map(repr, _PADDINGS))
        raise ValueError(f"grid_sample: padding_mode must be one of {names}, got {padding_mode!r}")
    return GridSample(_MODES[mode], _PADDINGS[padding_mode], bool(align_corners))(input, grid)


@any_kind
def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """The grid (for grid_sample) of affine maps: grid[n, i, j] = theta[n] @ (x_j, y_i, 1).

    theta: (N, 2, 3) with size (N, C, H, W), or (N, 3, 4) with size (N, C, D, H, W). Returns (N, H, W, 2) or
    (N, D, H, W, 3). align_corners as grid_sample's. Raises ValueError for shapes that do not go together,
    TypeError for whole numbers.
    """
    size = tuple(int(s) for s in size)
    axes = len(size) - 2
    if axes not in (2, 3) or tuple(theta.shape) != (size[0], axes, axes + 1) or min(size) < 1:
        raise ValueError(
            "affine_grid: theta (N, 2, 3) needs size (N, C, H, W), theta (N, 3, 4) size (N, C, D, H, W), all positive "
            f"(theta.shape={tuple(theta.shape)}, size={size})"
        )
    if theta.dtype.kind != "f":
        raise TypeError(f"affine_grid: theta must be float32 or float64, got {theta.dtype}")
    lines = []
    for n in size[:1:-1]:
        line = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        lines.append(line if align_corners else line * (n - 1) / n)
    ones = np.ones(size[2:])
    places = [np.meshgrid(*lines[::-1], indexing="ij")[axes - 1 - i] for i in range(axes)]
    base = np.stack([*places, ones], -1).reshape(-1, axes + 1).astype(theta.dtype)
    return reshape(matmul(base, transpose(theta, 1, 2)), (size[0], *size[2:], axes))
