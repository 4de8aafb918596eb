"""Pooling by places: putting winners back, taking what lies at them, and fractional max pooling."""

import numpy as np

from .pool import _flat, _taps, _windows

__all__ = ["fractional_max_pool_forward", "max_unpool_forward", "pool_take_forward"]


def max_unpool_forward(x, index, output_size):
    y = np.zeros((*x.shape[:2], *output_size), x.dtype)
    if ((index < 0) | (index >= np.prod(output_size))).any():
        raise IndexError(f"max_unpool: an index does not lie in an image of size {tuple(output_size)}")
    np.put_along_axis(_flat(y), _flat(index), _flat(x), axis=2)
    return y


def pool_take_forward(x, index, kernel_size, stride, padding, dilation):
    places = index
    if index.dtype != np.int64:
        axes = _windows(x.shape[2:], kernel_size, stride, padding, dilation, out=index.shape[2:])
        places = np.zeros(index.shape, np.int64)
        for number, place, _ in _taps(x.shape[2:], axes):
            places = np.where(index == number, place, places)
    return np.take_along_axis(_flat(x), _flat(places), axis=2).reshape(index.shape)


def _starts(sample, size, out, kernel):
    """First elements of one axis' windows, in the precision of the sample."""
    starts = [size - kernel] * out
    for i in range(out - 1):
        alpha = sample.dtype.type(size - kernel) / sample.dtype.type(out - 1)
        starts[i] = int((sample.dtype.type(i) + sample) * alpha) - int(sample * alpha)
    return starts


def fractional_max_pool_forward(x, kernel_size, output_size, samples, ignore_nan, index):
    size, axes = x.shape[2:], x.ndim - 2
    if any(o + k - 1 > n for n, k, o in zip(size, kernel_size, output_size, strict=True)):
        raise ValueError(f"fractional_max_pool: {size} can't be pooled to {tuple(output_size)}")
    y = np.zeros((*x.shape[:2], *output_size), x.dtype)
    places = np.zeros(y.shape, np.int64)
    numbers = np.arange(np.prod(size)).reshape(size)
    for n, c in np.ndindex(*x.shape[:2]):
        order = (
            samples[n, c] if axes == 3 else samples[n, c, ::-1]
        )  # two axes: the width's sample comes first
        starts = [_starts(*a) for a in zip(order, size, output_size, kernel_size, strict=True)]
        for o in np.ndindex(*output_size):
            window = tuple(slice(s[i], s[i] + k) for s, i, k in zip(starts, o, kernel_size, strict=True))
            v = x[n, c][window].reshape(-1)
            nan = np.flatnonzero(np.isnan(v))
            if ignore_nan:
                best = int(np.argmax(np.where(np.isnan(v), -np.inf, v)))
            else:
                best = int(nan[-1]) if len(nan) else int(np.argmax(v))
            y[(n, c, *o)] = v[best] if not ignore_nan or len(nan) == len(v) else np.nanmax(v)
            places[(n, c, *o)] = numbers[window].reshape(-1)[best]
    return y, places if index else np.zeros(0, np.int64)
