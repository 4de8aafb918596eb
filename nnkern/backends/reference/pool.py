"""Pooling: the largest, smallest or mean element of every window, and the gradients, tap by tap."""

import numpy as np

__all__ = ["avg_pool_backward", "avg_pool_forward", "max_pool_backward", "max_pool_forward"]


def _windows(size, kernel_size, stride, padding, dilation, ceil_mode=False, out=None):
    """Per axis (first element, taps, elements per padded window) of each window; an empty stride is adaptive."""
    axes = []
    for i, (n, k) in enumerate(zip(size, kernel_size, strict=True)):
        if not stride:
            starts = [o * n // k for o in range(k)]
            counts = [-(-(o + 1) * n // k) - s for o, s in enumerate(starts)]
            axes.append((starts, counts, counts, 1))
            continue
        s, d, low, high = stride[i], dilation[i], padding[2 * i], padding[2 * i + 1]
        reach = d * (k - 1) + 1
        if max(low, high) > reach // 2:
            raise ValueError(f"pool: padding must be at most half of the kernel's reach of {reach}")
        spare = n + low + high - reach
        m = (out[i] - 1) if out is not None else (spare + (s - 1 if ceil_mode else 0)) // s
        if ceil_mode and out is None and m * s >= n + low:
            m -= 1
        if m < 0:
            raise ValueError(
                f"pool: the kernel reaches over {reach} elements, the padded axis has {n + low + high}"
            )
        starts = [o * s - low for o in range(m + 1)]
        full = [min(k, -(-(n + high - start) // d)) for start in starts]
        axes.append((starts, [k] * len(starts), full, d))
    return axes


def _taps(size, axes):
    """(tap number, element numbers of the flattened image, which of them exist) for each tap, in order."""
    kernel = [max(counts) for _, counts, _, _ in axes]
    for number, tap in enumerate(np.ndindex(*kernel)):
        place, inside = np.zeros((), int), np.ones((), bool)
        for n, t, (starts, counts, _, d) in zip(size, tap, axes, strict=True):
            at = np.array(starts) + t * d
            place = np.multiply.outer(place, np.full(len(at), n)) + np.clip(at, 0, n - 1)
            inside = np.logical_and.outer(inside, (at >= 0) & (at < n) & (t < np.array(counts)))
        yield number, place, inside


def _flat(x):
    return x.reshape(*x.shape[:2], int(np.prod(x.shape[2:])))


def max_pool_forward(x, kernel_size, stride, padding, dilation, ceil_mode, smallest, ignore_nan, index):
    size = x.shape[2:]
    axes = _windows(size, kernel_size, stride, padding, dilation, ceil_mode)
    image = -_flat(x) if smallest else _flat(x)
    out = (*x.shape[:2], *[len(a[0]) for a in axes])
    best, tap, at = np.full(out, -np.inf, x.dtype), np.full(out, -1), np.zeros(out, np.int64)
    only_nan = np.ones(out, bool)
    for number, place, inside in _taps(size, axes):
        v = image[:, :, place]
        better = inside & ((v > best) | (np.isnan(v) & (not ignore_nan)))
        best = np.where(better, v, best)
        better |= inside & (tap < 0)  # the first tap wins where nothing beats -inf
        tap, at = np.where(better, number, tap), np.where(better, place, at)
        only_nan &= ~inside | np.isnan(v)
    best = np.where(only_nan, np.nan, best).astype(x.dtype)
    taps = np.prod([max(a[1]) for a in axes])
    kinds = np.zeros(0, np.uint8), tap.astype(np.uint8 if taps <= 256 else np.int32), at
    return -best if smallest else best, kinds[index]


def _collect(gy, input_size, axes, weight):
    """gx: what every window sends to its taps; weight(tap number) says how much of it."""
    gx = np.zeros((np.prod(input_size), *gy.shape[:2]), gy.dtype)
    for number, place, inside in _taps(input_size, axes):
        sent = np.where(inside, weight(number), 0)
        np.add.at(gx, place, np.moveaxis(sent, (0, 1), (-2, -1)))
    return np.ascontiguousarray(np.moveaxis(gx, 0, -1)).reshape(*gy.shape[:2], *input_size)


def max_pool_backward(gy, index, input_size, kernel_size, stride, padding, dilation):
    if index.dtype == np.int64:  # places, not taps
        gx = np.zeros((*gy.shape[:2], np.prod(input_size)), gy.dtype)
        n, c = np.ogrid[: gy.shape[0], : gy.shape[1]]
        np.add.at(gx, (n[..., None], c[..., None], _flat(index)), _flat(gy))
        return gx.reshape(*gy.shape[:2], *input_size)
    axes = _windows(input_size, kernel_size, stride, padding, dilation, out=gy.shape[2:])
    return _collect(gy, input_size, axes, lambda number: np.where(index == number, gy, 0))


def _divisor(axes, size, count_include_pad, divisor):
    if divisor:
        return divisor
    count = np.ones((), int)
    for n, (starts, counts, full, d) in zip(size, axes, strict=True):
        inside = [sum(0 <= s + t * d < n for t in range(c)) for s, c in zip(starts, counts, strict=True)]
        count = np.multiply.outer(count, np.array(full if count_include_pad else inside))
    return count


def avg_pool_forward(x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, divisor):
    size = x.shape[2:]
    axes = _windows(size, kernel_size, stride, padding, dilation, ceil_mode)
    image, total = _flat(x), np.zeros((), x.dtype)
    for _, place, inside in _taps(size, axes):
        total = total + np.where(inside, image[:, :, place], 0)
    return (total / _divisor(axes, size, count_include_pad, divisor)).astype(x.dtype)


def avg_pool_backward(gy, input_size, kernel_size, stride, padding, dilation, count_include_pad, divisor):
    axes = _windows(input_size, kernel_size, stride, padding, dilation, out=gy.shape[2:])
    each = (gy / _divisor(axes, input_size, count_include_pad, divisor)).astype(gy.dtype)
    return _collect(gy, input_size, axes, lambda number: each)
