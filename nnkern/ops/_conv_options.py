"""What users say of a convolution, checked and as the kernels take it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ._windows import LONGEST, numbers, output_sizes, padding_pairs

# Numbers as in csrc/cpu/conv.h.
MODES = {"zeros": 0, "reflect": 1, "replicate": 2, "circular": 3}
ALGORITHMS = {None: 0, "auto": 0, "gemm": 1, "winograd": 2, "winograd2": 3, "depthwise": 4, "direct": 5}


class Options(NamedTuple):
    """What all three directions of one convolution share; the order is the kernels'."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]  # low and high end of each axis
    dilation: tuple[int, ...]
    groups: int
    mode: int
    algorithm: int


def choice(op: str, what: str, table: dict[Any, int], value: Any) -> int:
    try:
        return table[value]
    except (KeyError, TypeError):  # TypeError: of a list, say
        names = ", ".join(repr(v) for v in table)
        raise ValueError(f"{op}: {what} {value!r} is not one of {names}") from None


def check_dims(op: str, x: Any, w: Any, n: int, first: str = "input") -> None:
    if x.ndim not in (n + 1, n + 2) or w.ndim != n + 2:
        raise ValueError(
            f"{op}: {first} must have {n + 2} axes (or {n + 1}, without the batch) and weight {n + 2} "
            f"({first}.shape={tuple(x.shape)}, weight.shape={tuple(w.shape)})"
        )


def conv_options(
    op: str, size: Sequence[int], kernel: Sequence[int],
    stride: Any, padding: Any, dilation: Any, groups: int, padding_mode: str, algorithm: str | None,
) -> Options:  # fmt: skip
    n = len(kernel)
    stride, dilation = numbers(op, "stride", stride, n), numbers(op, "dilation", dilation, n)
    return Options(
        stride,
        padding_pairs(op, padding, size, kernel, stride, dilation),
        dilation,
        groups,
        choice(op, "padding_mode", MODES, padding_mode),
        choice(op, "algorithm", ALGORITHMS, algorithm),
    )


# --- public functions


def _transposed_padding(op: str, padding: Any, stride: Any, dilation: Any, kernel: Any, extra: Any) -> Any:
    """'same' gives size * stride results."""
    if padding not in ("same", "same_lower"):
        return padding_pairs(op, padding, kernel, kernel, stride, dilation), extra
    pairs: list[int] = []
    extra = list(extra)
    for i, (s, d, k) in enumerate(zip(stride, dilation, kernel, strict=True)):
        spare = d * (k - 1) + 1 - s
        low = max(spare, 0) // 2
        pair = (low, max(spare, 0) - low)
        pairs += pair if padding == "same" else pair[::-1]
        extra[i] += max(-spare, 0)
    return tuple(pairs), tuple(extra)


def dtype_name(x: Any) -> str:
    """Its name, the same for the arrays of all libraries: torch's is torch.float32."""
    return str(x.dtype).rpartition(".")[2]


def transposed_options(
    op: str, x: Any, w: Any, b: Any, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any,
    output_size: Any,
) -> tuple[Options, tuple[int, ...], list[int]]:  # fmt: skip
    """Options and size of the result, and the zeros to append to each axis of x."""
    n = w.ndim - 2
    if x.shape[-n - 1] != w.shape[0]:
        raise ValueError(
            f"{op}: input has {x.shape[-n - 1]} channels but weight takes {w.shape[0]} "
            f"(input.shape={tuple(x.shape)}, weight.shape={tuple(w.shape)})"
        )
    for name, v in (("weight", w), ("bias", b)):
        if v is not None and dtype_name(v) != dtype_name(x):
            raise TypeError(
                f"{op}: input is {dtype_name(x)} but {name} is {dtype_name(v)}; convert one of them with astype"
            )
    if groups < 1 or w.shape[0] % groups:
        raise ValueError(
            f"{op}: groups={groups} must be positive and divide the {w.shape[0]} channels of input "
            f"(input.shape={tuple(x.shape)}, weight.shape={tuple(w.shape)})"
        )
    if b is not None and tuple(b.shape) != (w.shape[1] * groups,):
        raise ValueError(
            f"{op}: bias must have one number per channel of the result, shape ({w.shape[1] * groups},) "
            f"(weight.shape={tuple(w.shape)}, groups={groups}, bias.shape={tuple(b.shape)})"
        )
    if 0 in (*x.shape[-n - 1 :], *w.shape):
        raise ValueError(
            f"{op}: no axis but the batch may be empty (input.shape={tuple(x.shape)}, weight.shape={tuple(w.shape)})"
        )
    kernel = tuple(w.shape[2:])
    stride, dilation = numbers(op, "stride", stride, n), numbers(op, "dilation", dilation, n)
    for name, steps in (("stride", stride), ("dilation", dilation)):
        if min(steps) < 1:
            raise ValueError(f"{op}: {name} must be positive, got {steps}")
    extra = numbers(op, "output_padding", output_padding, n)
    pads, extra = _transposed_padding(op, padding, stride, dilation, kernel, extra)
    if min(pads) < 0:
        raise ValueError(f"{op}: padding can't be negative, got {padding}")
    least = [
        (m - 1) * s - pads[2 * i] - pads[2 * i + 1] + d * (k - 1) + 1
        for i, (m, s, d, k) in enumerate(zip(x.shape[-n:], stride, dilation, kernel, strict=True))
    ]
    if output_size is not None:
        size = output_sizes(op, output_size, n)
        extra = tuple(o - m for o, m in zip(size, least, strict=True))
        if any(e < 0 or e >= s for e, s in zip(extra, stride, strict=True)):
            most = [m + s - 1 for m, s in zip(least, stride, strict=True)]
            raise ValueError(f"{op}: output_size {size} must lie between {tuple(least)} and {tuple(most)}")
    elif any(e < 0 or e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(
            f"{op}: output_padding {extra} must be smaller than stride {stride} or dilation {dilation}"
        )
    size = tuple(m + e for m, e in zip(least, extra, strict=True))
    if not 1 <= min(size) <= max(size) <= LONGEST:
        raise ValueError(f"{op}: the result would have the size {size} (input.shape={tuple(x.shape)})")
    # results beyond the reach of the last input: as if more inputs followed, all zero
    missing = [e // s for e, s in zip(extra, stride, strict=True)]
    return Options(stride, pads, dilation, groups, 0, 0), size, missing
