"""Options of windows that slide over spatial axes, as convolution and pooling take them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

_PADDING = "{}: padding must be a name, an int, or {} ints or (low, high) pairs, not {!r}"
LONGEST = 2**31  # the kernels take no longer axis, and no larger step


def whole(value: Any) -> Any:
    """value as an int if it is a whole number, also one of NumPy's; anything else as it is."""
    if isinstance(value, (int, tuple)):  # the shortest way: a small convolution takes microseconds
        return value
    try:
        return index(value)
    except TypeError:
        return value


def per_axis(layer: Any, name: str, value: Any, n: int) -> Any:
    """As a layer keeps it: one number per axis."""
    return numbers(type(layer).__name__, name, value, n)


def padding_per_axis(layer: Any, value: Any, n: int) -> Any:
    """As a layer keeps it: one number or pair per axis, or a name."""
    kind = type(layer).__name__
    if isinstance(value, str):
        check_padding_name(kind, value, n)
        return value
    pairs = padding_pairs(kind, value, (), (0,) * n, (), ())
    value = whole(value)
    sides = (value,) if isinstance(value, int) else map(whole, value)
    found = tuple(p if isinstance(p, int) else _pair(p) for p in sides)
    return found if len(pairs) == 2 * len(found) else found * n


def numbers(op: str, name: str, value: Any, n: int) -> tuple[int, ...]:
    """An int, or one per spatial axis."""
    if isinstance(value, int) and -LONGEST <= value <= LONGEST:
        return (value,) * n
    value = whole(value)
    try:
        found = (value,) if isinstance(value, int) else tuple(map(index, value))
    except TypeError:
        raise TypeError(f"{op}: {name} must be an int or {n} of them, not {value!r}") from None
    if len(found) == 1:
        found = found * n
    if len(found) != n:
        raise ValueError(f"{op}: {name} must be an int or {n} of them, not {value!r}")
    return sized(op, name, found)


def output_sizes(op: str, value: Any, n: int) -> tuple[int, ...]:
    """An output_size: an int, one per spatial axis, or a whole shape, whose batch and channels don't matter."""
    if hasattr(value, "__len__") and len(value) in (n + 1, n + 2):
        value = tuple(value)[-n:]
    return numbers(op, "output_size", value, n)


def integers(op: str, name: str, value: Any) -> tuple[int, ...]:
    """A shape."""
    try:
        return tuple(map(index, value))
    except TypeError:
        got = repr(value) if isinstance(value, (tuple, list)) else type(value).__name__
        raise TypeError(f"{op}: {name} must be a tuple of ints, not {got}") from None


def sized(op: str, name: str, values: tuple[int, ...]) -> tuple[int, ...]:
    for v in values:
        if v > LONGEST or v < -LONGEST:
            raise ValueError(f"{op}: {name} must not be beyond 2^31, got {v}")
    return values


def strides(op: str, value: Any, kernel_size: tuple[int, ...]) -> tuple[int, ...]:
    """Of pooling: the kernel's size where None or nothing is given."""
    if value is None or (isinstance(value, (tuple, list)) and not value):
        return kernel_size
    return numbers(op, "stride", value, len(kernel_size))


def check_padding_name(op: str, padding: str, n: int) -> None:
    names = ("valid", "same", "same_lower", "full") + (("causal",) if n == 1 else ())
    if padding not in names:
        raise ValueError(f"{op}: padding '{padding}' is not one of {', '.join(names)}")


def _named_padding(name: str, size: int, stride: int, reach: int) -> tuple[int, int]:
    """Low and high padding of one axis; reach: elements between a filter's first and last one, both included."""
    if name == "valid":
        return 0, 0
    if name == "full":
        return reach - 1, reach - 1
    if name == "causal":
        return reach - 1, 0
    # TensorFlow's rule: ceil(size / stride) results, the odd element at the high (same_lower: low) end
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return (total // 2, total - total // 2) if name == "same" else (total - total // 2, total // 2)


def _pair(value: Any) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(map(index, value))


def padding_pairs(
    op: str, padding: Any, size: Sequence[int], kernel: Sequence[int], stride: Any, dilation: Any
) -> tuple[int, ...]:
    """(low, high) of each axis in one tuple: padding is a name, an int, or per axis an int or a pair."""
    n = len(kernel)
    if isinstance(padding, str):
        check_padding_name(op, padding, n)
        if min(stride) < 1:
            raise ValueError(f"{op}: stride must be positive, got {stride}")
        axes = zip(size, stride, kernel, dilation, strict=True)
        return tuple(p for m, s, k, d in axes for p in _named_padding(padding, m, s, d * (k - 1) + 1))
    if isinstance(padding, int) and -LONGEST <= padding <= LONGEST:
        return (padding,) * (2 * n)
    given, padding = padding, whole(padding)
    padding = (padding,) if isinstance(padding, int) else padding
    pairs: list[Any]
    try:
        pairs = [(p, p) if isinstance(p, int) else _pair(whole(p)) for p in padding]
    except TypeError:
        raise TypeError(_PADDING.format(op, n, given)) from None
    if len(pairs) == 1:
        pairs = pairs * n
    if len(pairs) != n or any(len(p) != 2 for p in pairs):
        raise ValueError(_PADDING.format(op, n, given))
    return sized(op, "padding", tuple(p for pair in pairs for p in pair))
