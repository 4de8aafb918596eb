"""Convolution: every patch of the padded image times every filter."""

import numpy as np

from .matmul import activate

__all__ = ["conv_algorithm", "conv_forward", "conv_input_grad", "conv_weight_grad"]

_MODES = ("constant", "reflect", "edge", "wrap")


def _pads(padding):
    return [(0, 0), (0, 0), *zip(padding[::2], padding[1::2], strict=True)]


def _pad(x, padding, mode):
    return np.pad(x, _pads(padding), mode=_MODES[mode])  # type: ignore[call-overload]


def _shifted(size, kernel, stride, dilation):
    """For each tap: its position in the filter and the slices of the padded image that it meets."""
    out = [(n - d * (r - 1) - 1) // s + 1 for n, r, s, d in zip(size, kernel, stride, dilation, strict=True)]
    if min(out) < 1:
        raise ValueError(f"conv: the filter {tuple(kernel)} reaches over the padded image {tuple(size)}")
    for tap in np.ndindex(*kernel):
        yield (
            tap,
            (
                ...,
                *(
                    slice(t * d, t * d + (o - 1) * s + 1, s)
                    for t, d, o, s in zip(tap, dilation, out, stride, strict=True)
                ),
            ),
        )


def _split(x, groups, axis):
    """(..., C, ...) as (..., groups, C / groups, ...)."""
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def conv_forward(x, w, b, residual, stride, padding, dilation, groups, padding_mode, activation, algorithm=0):
    if x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ValueError(f"conv: x {x.shape} does not fit w {w.shape} with groups={groups}")
    padded = _pad(x, padding, padding_mode)
    xs, ws = _split(padded, groups, 1), _split(w, groups, 0)
    y = np.zeros((), x.dtype)
    for tap, where in _shifted(padded.shape[2:], w.shape[2:], stride, dilation):
        y = y + np.einsum("ngc...,gkc->ngk...", xs[where], ws[(..., *tap)])
    y = y.reshape(x.shape[0], w.shape[0], *y.shape[3:])
    if b is not None:
        y = y + b.reshape(-1, *[1] * (x.ndim - 2))
    return activate(y if residual is None else y + residual, activation).astype(x.dtype, copy=False)


def conv_input_grad(gy, w, b, input_size, stride, padding, dilation, groups, padding_mode, algorithm=0):
    n, c = gy.shape[0], w.shape[1] * groups
    size = tuple(input_size)
    # the padding of the numbers of the elements says where each padded element comes from
    numbers = np.arange(np.prod(size)).reshape(1, 1, *size) + 1
    source = _pad(numbers, padding, padding_mode).reshape(-1)
    padded_size = [m + lo + hi for m, (lo, hi) in zip(size, _pads(padding)[2:], strict=True)]
    padded = np.zeros((n, groups, c // groups, *padded_size), gy.dtype)
    gs, ws = _split(gy, groups, 1), _split(w, groups, 0)
    for tap, where in _shifted(padded_size, w.shape[2:], stride, dilation):
        padded[where] += np.einsum("ngk...,gkc->ngc...", gs, ws[(..., *tap)])
    gx = np.zeros((1 + numbers.size, n, c), gy.dtype)
    np.add.at(gx, source, np.moveaxis(padded.reshape(n, c, source.size), -1, 0))
    gx = np.ascontiguousarray(np.moveaxis(gx[1:], 0, -1)).reshape(n, c, *size)
    return gx if b is None else gx + b.reshape(-1, *[1] * len(size))


def conv_weight_grad(gy, x, kernel_size, stride, padding, dilation, groups, padding_mode, algorithm=0):
    padded = _pad(x, padding, padding_mode)
    gs, xs = _split(gy, groups, 1), _split(padded, groups, 1)
    gw = np.zeros((gy.shape[1], x.shape[1] // groups, *kernel_size), gy.dtype)
    for tap, where in _shifted(padded.shape[2:], kernel_size, stride, dilation):
        patch = np.moveaxis(xs[where], 0, 2)  # (groups, c, n, ...)
        pixels = patch[0, 0].size
        gw[(..., *tap)] = np.einsum(
            "gkp,gcp->gkc",
            np.moveaxis(gs, 0, 2).reshape(*gs.shape[1:3], pixels),
            patch.reshape(*patch.shape[:2], pixels),
        ).reshape(gw.shape[:2])
    return gw


def conv_algorithm(x, w, stride, padding, dilation, groups, padding_mode, algorithm, direction):
    return 0
