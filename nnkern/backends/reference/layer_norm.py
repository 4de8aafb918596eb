"""Layer norm and RMS norm in NumPy."""

import numpy as np


def _rows(x, shape, op="layer_norm"):
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(f"{op}: the last dims of input must be normalized_shape={shape}")
    rows = int(np.prod(x.shape[: x.ndim - len(shape)]))
    return x.reshape(rows, int(np.prod(shape))), shape


def layer_norm_forward(x, residual, w, b, normalized_shape, eps, rms):
    h = x if residual is None else x + residual
    z, _ = _rows(h, normalized_shape)
    if z.size == 0:
        return h.copy(), h if residual is not None else np.zeros(0, x.dtype), np.zeros((2, len(z)), x.dtype)
    mean = np.zeros(len(z), x.dtype) if rms else z.mean(1)
    with np.errstate(invalid="ignore"):  # Inf - Inf and Inf * 0 are NaN
        deviation = z - mean[:, None]
        rstd = 1 / np.sqrt((deviation * deviation).mean(1) + x.dtype.type(eps))
        y = (deviation * rstd[:, None]).reshape(x.shape)
    y = y if w is None else y * w
    y = y if b is None or rms else y + b
    return y, h if residual is not None else np.zeros(0, x.dtype), np.stack([mean, rstd])


def layer_norm_backward(gy, x, w, statistics, gh, normalized_shape, rms):
    z, shape = _rows(x, normalized_shape)
    if z.size == 0:
        return x.copy(), np.zeros(shape, x.dtype), np.zeros(0 if rms else shape, x.dtype)
    mean, rstd = statistics[0][:, None], statistics[1][:, None]
    hat = (z - mean) * rstd
    g = (gy if w is None else gy * w).reshape(z.shape)
    gx = g - hat * (g * hat).mean(1, keepdims=True)
    gx = (gx if rms else gx - g.mean(1, keepdims=True)) * rstd
    gx = gx.reshape(x.shape) if gh is None else gx.reshape(x.shape) + gh
    gz = gy.reshape(z.shape)
    gb = np.zeros(0, x.dtype) if rms else gz.sum(0).reshape(shape)
    return gx, (gz * hat).sum(0).reshape(shape), gb
