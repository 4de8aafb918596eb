"""Windows of an image as columns, and back."""

import numpy as np

__all__ = ["fold_forward", "unfold_forward"]


def _places(size, kernel_size, stride, padding, dilation):
    """The number of windows along each axis."""
    ends = zip(padding[::2], padding[1::2], strict=True)
    out = tuple(
        (n + lo + hi - d * (k - 1) - 1) // s + 1
        for n, k, s, (lo, hi), d in zip(size, kernel_size, stride, ends, dilation, strict=True)
    )
    if min(out) < 1:
        raise ValueError(f"fold: the window {tuple(kernel_size)} reaches over the padded image {tuple(size)}")
    return out


def _taps(places, kernel_size, stride, dilation):
    """Each tap's number and the slices of the padded image that it meets."""
    for i, tap in enumerate(np.ndindex(*kernel_size)):
        axes = zip(tap, dilation, places, stride, strict=True)
        yield i, (..., *(slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in axes))


def unfold_forward(x, kernel_size, stride, padding, dilation):
    places = _places(x.shape[2:], kernel_size, stride, padding, dilation)
    padded = np.pad(x, [(0, 0), (0, 0), *zip(padding[::2], padding[1::2], strict=True)])
    y = np.empty((*x.shape[:2], np.prod(kernel_size), *places), x.dtype)
    for i, where in _taps(places, kernel_size, stride, dilation):
        y[:, :, i] = padded[where]
    return y.reshape(x.shape[0], x.shape[1] * y.shape[2], np.prod(places))


def fold_forward(y, output_size, kernel_size, stride, padding, dilation):
    places = _places(output_size, kernel_size, stride, padding, dilation)
    taps = int(np.prod(kernel_size))
    if y.ndim != 3 or y.shape[1] % taps or y.shape[2] != np.prod(places):
        raise ValueError(f"fold: y must be (N, C * {taps}, {np.prod(places)}) (y.shape={y.shape})")
    columns = y.reshape(y.shape[0], y.shape[1] // taps, taps, *places)
    ends = list(zip(padding[::2], padding[1::2], strict=True))
    padded = np.zeros((*columns.shape[:2], *(n + lo + hi for n, (lo, hi) in zip(output_size, ends))), y.dtype)
    for i, where in _taps(places, kernel_size, stride, dilation):
        padded[where] += columns[:, :, i]
    for axis, (n, (lo, _)) in enumerate(zip(output_size, ends), 2):
        padded = np.take(padded, range(lo, lo + n), axis)
    return padded
