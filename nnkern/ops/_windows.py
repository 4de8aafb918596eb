"""Options of windows that slide over spatial axes, as convolution and pooling take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def numbers(op: str, name: str, value: Any, n: int) -> tuple[int, ...]:
    """An int, or one per spatial axis."""
    if isinstance(value, int):
        return (value,) * n
    try:
        numbers = tuple(int(v) for v in value)
    except TypeError:
        raise TypeError(f"{op}: {name} must be an int or {n} of them, not {value!r}") from None
    if len(numbers) == 1:
        return numbers * n
    if len(numbers) != n:
        raise ValueError(f"{op}: {name} must be an int or {n} of them, not {value!r}")
    return numbers


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


def padding_pairs(
    op: str, padding: Any, size: Sequence[int], kernel: Sequence[int], stride: Any, dilation: Any
) -> tuple[int, ...]:
    """(low, high) of each axis in one tuple: padding is a name, an int, or per axis an int or a pair."""
    n = len(kernel)
    if isinstance(padding, str):
        names = ("valid", "same", "same_lower", "full") + (("causal",) if n == 1 else ())
        if padding not in names:
            raise ValueError(f"{op}: padding '{padding}' is not one of {', '.join(names)}")
        axes = zip(size, stride, kernel, dilation, strict=True)
        return tuple(p for m, s, k, d in axes for p in _named_padding(padding, m, s, d * (k - 1) + 1))
    if isinstance(padding, int):
        return (padding,) * (2 * n)
    pairs: list[Any]
    try:
        pairs = [(p, p) if isinstance(p, int) else tuple(map(int, p)) for p in padding]
    except TypeError:
        pairs = []
    if len(pairs) == 1:
        pairs = pairs * n
    if len(pairs) != n or any(len(p) != 2 for p in pairs):
        raise ValueError(
            f"{op}: padding must be a name, an int, or {n} ints or (low, high) pairs, not {padding!r}"
        )
    return tuple(p for pair in pairs for p in pair)
