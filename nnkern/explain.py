"""Which algorithm serves a call, and what it costs: explain()."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .device import to_ndarray
from .function import Function
from .ops._conv_options import ALGORITHMS, Options, check_dims, conv_options, transposed_options
from .ops._windows import integers
from .ops.matmul import _ACTIVATIONS
from .tensor import Tensor

__all__ = ["explain"]

_DIRECTIONS = ("forward", "input_grad", "weight_grad")
_NAMES = {number: name for name, number in ALGORITHMS.items() if name}


class Way(NamedTuple):
    """One direction of a convolution. multiplications: what its inner products do; the definition has flops / 2."""

    direction: str
    algorithm: str
    detail: str
    multiplications: float


class Explanation(NamedTuple):
    """call: what was asked about; flops: of its definition, in each direction; ways: what is done instead."""

    call: str
    flops: float
    ways: tuple[Way, ...]

    def __repr__(self) -> str:
        lines = [f"{self.call}: {self.flops / 1e9:.3g} GFLOP by definition"]
        for way in self.ways:
            cost = f"{2 * way.multiplications / 1e9:.3g} GFLOP"
            lines.append(f"  {way.direction:<12} {way.algorithm:<10} {cost:<13} {way.detail}")
        return "\n".join(lines)


def _positions(size: int, low: int, kernel: int, stride: int, taps: int) -> int:
    """Of a grid, each of which makes `stride` pixels: fewest over the zeros in front of a filter of `taps` steps."""
    fronts = range(low, low + taps * stride - kernel + 1)
    return min((size - 1 + front) // stride - front // stride + 1 for front in fronts)


def _way(
    direction: int, algorithm: str, x: np.ndarray, w: np.ndarray, options: Options, out: list[int]
) -> Way:
    """What one direction takes; out: results of the convolution along each axis."""
    n, c, k, taps = x.shape[0], x.shape[1], w.shape[0], math.prod(w.shape[2:])
    multiplications = n * math.prod(out) * w.size
    written = x.shape[2:] if direction == 1 else out  # where tiles and pixels are counted
    if algorithm.startswith("winograd"):
        residues = math.prod(options.stride)  # of the stride: filters of r x r taps each
        r = -(-w.shape[-1] // options.stride[-1])
        m, pieces = {2: 4, 3: 4, 4: 3, 5: 2}.get(r, 3) if algorithm == "winograd" else 2, 1
        if len(out) == 1:  # filters in pieces of three taps
            m, r, pieces = 3, 3, -(-taps // 3)
        if residues > 1 and direction == 1:
            written = [
                _positions(*axis, r)
                for axis in zip(written, options.padding[::2], w.shape[2:], options.stride, strict=True)
            ]
        tiles, planes = n * math.prod(written[:-2]), (m + r - 1) ** min(2, len(out))
        fields = math.prod(-(-size // m) for size in written[-2:])
        if direction == 1 and w.shape[-1] == 4 and options.stride[-1] == 2 and c % 32 == 0:
            # tiles that begin with the pixels of each residue
            own = math.prod(-(-size // (2 * m)) for size in x.shape[2:])
            fields = own if 5 * own < 4 * fields else fields
        tiles *= fields
        depth = c * residues * pieces * math.prod(w.shape[2:-2])
        multiplications = tiles * planes * depth * k
        detail = f"F({m}, {r}): {tiles} tiles, {planes} products of {k} x {depth} x {tiles}"
    elif algorithm == "depthwise":
        detail = f"{taps} taps for each of {k} channels"
    else:
        groups, residues = options.groups, math.prod(options.stride) if direction == 1 else 1
        rows, depth, pixels = k // groups, w.shape[1] * taps, n * math.prod(written) // residues
        if direction == 1:
            rows, depth = w.shape[1], k // groups * taps // residues
        sizes = (rows, pixels, depth) if direction == 2 else (rows, depth, pixels)
        detail = f"product of {sizes[0]} x {sizes[1]} x {sizes[2]}"
        if residues > 1:
            detail += f", about, for each of {residues} residues modulo the stride"
        if groups > 1:
            detail += f", for each of {groups} groups"
        if algorithm == "direct":
            detail += ", from padded strips"
    return Way(_DIRECTIONS[direction], algorithm, detail, float(multiplications))


def _empty(shape: Any, dtype: Any) -> np.ndarray:
    """An array of this shape without memory of its own: only shape and dtype are asked for."""
    return np.broadcast_to(np.zeros((), dtype), tuple(shape))


def _array(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else to_ndarray(x, "explain")


def explain(function: Callable[..., Any], *args: Any, **options: Any) -> Explanation:
    """Which algorithm function(*args, **options) takes in each direction, and its cost; nothing is computed.

    function: conv1d, conv2d, conv3d, conv_transpose1d, ... or one of their gradients (conv2d_input_grad, ...). Returns
    an Explanation that prints itself; .ways holds direction, algorithm, detail and multiplications. Raises TypeError
    for other functions and what the function itself raises for wrong arguments.

    >>> nnkern.explain(nnkern.conv2d, np.ones((8, 64, 56, 56), "f"), np.ones((64, 64, 3, 3), "f"), padding=1)
    conv2d of float32 (8, 64, 56, 56) and (64, 64, 3, 3): 1.85 GFLOP by definition
      forward      winograd   0.462 GFLOP   F(4, 3): 1568 tiles, 36 products of 64 x 64 x 1568
      input_grad   winograd   0.462 GFLOP   F(4, 3): 1568 tiles, 36 products of 64 x 64 x 1568
      weight_grad  winograd   0.462 GFLOP   F(4, 3): 1568 tiles, 36 products of 64 x 64 x 1568
    """
    name = getattr(function, "__name__", str(function))
    match = re.fullmatch(r"conv(_transpose)?([123])d(_input_grad|_weight_grad)?", name)
    if not callable(function):
        raise TypeError(f"explain: a function such as nnkern.conv2d is needed, got {function!r}")
    if match is None:
        raise TypeError(f"explain: {name} has one algorithm only; convolutions have several")
    n = int(match[2])
    given = inspect.signature(function).bind(*args, **options)
    given.apply_defaults()
    a = given.arguments
    x, w, chosen = _problem(name, n, a)
    if a.get("activation") not in _ACTIVATIONS:
        raise ValueError(
            f"{name}: activation {a['activation']!r} is not one of {', '.join(map(str, _ACTIVATIONS))}"
        )
    asked = (1, 0, 2) if match[1] else {None: (0, 1, 2), "_input_grad": (1,), "_weight_grad": (2,)}[match[3]]
    numbers = [Function.kernels.conv_algorithm(x, w, *chosen, direction) for direction in asked]
    out = [
        (size + chosen.padding[2 * i] + chosen.padding[2 * i + 1] - d * (r - 1) - 1) // s + 1
        for i, (size, d, r, s) in enumerate(
            zip(x.shape[2:], chosen.dilation, w.shape[2:], chosen.stride, strict=True)
        )
    ]
    shape = tuple(a["input_size"] if "input_size" in a else a["input"].shape)
    if not match[1]:
        result = (*x.shape[: len(shape) - n - 1], w.shape[0], *out)
        _check_shapes(name, a, {"bias": (w.shape[0],), "residual": result, "grad_output": result})
    ways = []
    for direction, number in zip(asked, numbers, strict=True):
        algorithm = _NAMES.get(number, "reference")
        ways.append(_way(direction, algorithm, x, w, chosen, out))
    if match[1]:  # the input gradient of a convolution is what goes forward here
        names = dict(zip((1, 0, 2), _DIRECTIONS, strict=True))
        ways = [way._replace(direction=names[d]) for way, d in zip(ways, asked, strict=True)]
    call = f"{name} of {x.dtype} {shape} and {w.shape}"
    return Explanation(call, 2.0 * math.prod((*w.shape, x.shape[0], *out)), tuple(ways))


def _check_shapes(name: str, given: dict[str, Any], wanted: dict[str, tuple[int, ...]]) -> None:
    for argument, shape in wanted.items():
        v = given.get(argument)
        if v is not None and tuple(v.shape) != shape:
            raise ValueError(
                f"{name}: {argument} must have the shape {shape} ({argument}.shape={tuple(v.shape)})"
            )


def _problem(name: str, n: int, a: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, Any]:
    """Input, weight and options of the convolution behind the call."""
    dtype = _array(a["input"] if "input" in a else a["weight"]).dtype
    w = (
        _empty(integers(name, "weight_size", a["weight_size"]), dtype)
        if "weight_size" in a
        else _array(a["weight"])
    )
    x = (
        _empty(integers(name, "input_size", a["input_size"]), dtype)
        if "input_size" in a
        else _array(a["input"])
    )
    check_dims(name, x, w, n)
    b, gy = (None if a.get(k) is None else _array(a[k]) for k in ("bias", "grad_output"))
    for k, v in (("weight", w), ("bias", b), ("grad_output", gy)):
        if v is not None and v.dtype != dtype:
            raise TypeError(f"{name}: input is {dtype} but {k} is {v.dtype}; convert one of them with astype")
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: input is {dtype}; float32 or float64 is needed: input.astype('float32')")
    if "output_padding" in a:
        options, size, _ = transposed_options(
            name,
            x,
            w,
            b,
            a["stride"],
            a["padding"],
            a["output_padding"],
            a["groups"],
            a["dilation"],
            a["output_size"],
        )
        images = x.shape[0] if x.ndim == n + 2 else 1
        return _empty((images, w.shape[1] * options.groups, *size), dtype), w, options
    options = conv_options(
        name, x.shape[-n:], w.shape[2:], a["stride"], a["padding"], a["dilation"], a["groups"], a["padding_mode"],
        a["algorithm"],
    )  # fmt: skip
    return x if x.ndim == n + 2 else x[None], w, options
