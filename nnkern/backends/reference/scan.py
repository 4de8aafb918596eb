"""Running sums and products in NumPy."""

import numpy as np


def _result_dtype(x):
    return x.dtype if x.dtype.kind == "f" else np.int64


def cumsum_forward(x, axis, reverse):
    """From the first element on, or with reverse from the last."""
    x = np.flip(x, axis) if reverse and x.ndim else x
    y = (
        np.cumsum(x, axis, np.float64 if x.dtype.kind == "f" else np.int64)
        .astype(_result_dtype(x))
        .reshape(x.shape)
    )
    return np.ascontiguousarray(np.flip(y, axis)) if reverse and x.ndim else y


def cumprod_forward(x, axis):
    y = np.cumprod(x, axis, np.float64 if x.dtype.kind == "f" else np.int64)
    return y.astype(_result_dtype(x)).reshape(x.shape)


def cumprod_backward(gy, x, y, axis):
    """gx[k] = y[k-1] s[k], s[k] = gy[k] + x[k+1] s[k+1]: right where x is 0, too."""
    if not x.ndim:
        return gy.copy()
    gy, x, y = (np.moveaxis(a, axis, 0) for a in (gy, x, y))
    s, gx = np.zeros(x.shape[1:]), np.empty_like(x)
    for k in reversed(range(len(x))):
        s = gy[k] + (x[k + 1] * s if k + 1 < len(x) else 0)
        gx[k] = (y[k - 1] if k else 1) * s
    return np.ascontiguousarray(np.moveaxis(gx, 0, axis))
