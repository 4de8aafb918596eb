"""Sampling images at the places of a grid, in NumPy: all taps of all pixels, one after the other."""

import numpy as np


def _inside(at, size, padding, align_corners):
    """The coordinate that padding makes of one beside the image, and its derivative."""
    slope = np.ones_like(at)
    if padding == 2:
        low, span = (0, size - 1) if align_corners else (-0.5, size)
        if span == 0:
            return np.zeros_like(at), np.zeros_like(at)
        at = at - at.dtype.type(low)
        slope = np.where(at < 0, -slope, slope)
        at = np.abs(at)
        rest, flips = np.fmod(at, span), np.floor(at / span)
        odd = flips % 2 != 0
        slope = np.where(odd, -slope, slope)
        at = np.where(odd, span - rest, rest) + at.dtype.type(low)
    if padding:
        slope = np.where((at > 0) & (at < size - 1), slope, 0)
        at = np.where(at > 0, np.minimum(at, size - 1), 0)
    return at, slope


def _cubic(t):
    """Weights of the four places around t in [0, 1], and their derivatives."""
    a = -0.75
    u = np.stack([t + 1, t, 1 - t, 2 - t])
    near, far = ((a + 2) * u - (a + 3)) * u * u + 1, ((a * u - 5 * a) * u + 8 * a) * u - 4 * a
    near_slope, far_slope = (3 * (a + 2) * u - 2 * (a + 3)) * u, (3 * a * u - 10 * a) * u + 8 * a
    sign = np.array([1, 1, -1, -1]).reshape(-1, *[1] * t.ndim)
    outer = np.array([True, False, False, True]).reshape(sign.shape)
    return np.where(outer, far, near), sign * np.where(outer, far_slope, near_slope)


def _taps(g, size, mode, padding, align_corners):
    """[(place, -1 outside; weight; derivative of the weight)] of one axis."""
    real = g.dtype.type
    with np.errstate(invalid="ignore"):
        at = (g + 1) / 2 * real(size - 1) if align_corners else ((g + 1) * real(size) - 1) / 2
        scale = real(size - 1) / 2 if align_corners else real(size) / 2
        if mode == 2:
            low = np.floor(at)
            weights, slopes = _cubic(at - low)
            places = [_inside(low - 1 + i, size, padding, align_corners)[0] for i in range(4)]
            slopes = slopes * scale
        else:
            at, slope = _inside(at, size, padding, align_corners)
            if mode == 1:
                places, weights, slopes = [np.rint(at)], [np.ones_like(at)], [np.zeros_like(at)]
            else:
                low = np.floor(at)
                places, weights = [low, low + 1], [1 - (at - low), at - low]
                slopes = [-slope * scale, slope * scale]
        fits = [(p >= 0) & (p <= size - 1) for p in places]
        return [
            (np.where(f, p, -1).astype(np.int64), w.astype(real), s.astype(real))
            for p, f, w, s in zip(places, fits, weights, slopes)
        ]


def _each(x, grid, mode, padding_mode, align_corners):
    """For every tap: places in the flattened image (N, P), whether they lie in it, weight, its derivatives."""
    n, size = x.shape[0], x.shape[2:]
    flat = grid.reshape(n, -1, grid.shape[-1])
    axes = [_taps(flat[..., i], s, mode, padding_mode, align_corners) for i, s in enumerate(size[::-1])]
    for tap in np.ndindex(*[len(a) for a in axes]):
        chosen = [a[i] for a, i in zip(axes, tap)][::-1]  # the first spatial axis leads
        place, inside = 0, True
        for (p, _, _), s in zip(chosen, size):
            place, inside = place * s + p, inside & (p >= 0)
        weights = [w for _, w, _ in chosen]
        slopes = [
            np.where(inside, np.prod([s if i == j else w for j, w in enumerate(weights)], 0), 0)
            for i, (_, _, s) in enumerate(chosen)
        ][::-1]
        yield np.where(inside, place, 0), inside, np.where(inside, np.prod(weights, 0), 0), slopes


def grid_sample_forward(x, grid, mode, padding_mode, align_corners):
    n, c = x.shape[:2]
    flat = x.reshape(n, c, -1)
    y = np.zeros((n, c, int(np.prod(grid.shape[1:-1]))), x.dtype)
    for place, inside, weight, _ in _each(x, grid, mode, padding_mode, align_corners):
        taken = np.take_along_axis(flat, np.broadcast_to(place[:, None], (n, c, place.shape[1])), 2)
        y += np.where(inside[:, None], taken, 0) * weight[:, None]
    return y.reshape(n, c, *grid.shape[1:-1])


def grid_sample_backward(gy, x, grid, mode, padding_mode, align_corners, need_x, need_grid):
    n, c = x.shape[:2]
    flat, g = x.reshape(n, c, -1), gy.reshape(n, c, -1)
    gx, ggrid = np.zeros_like(flat), np.zeros((n, g.shape[2], grid.shape[-1]), x.dtype)
    for place, inside, weight, slopes in _each(x, grid, mode, padding_mode, align_corners):
        index = np.broadcast_to(place[:, None], g.shape)
        pixels = np.indices(g.shape, sparse=True)
        np.add.at(gx, (pixels[0], pixels[1], index), g * weight[:, None])
        dot = np.sum(np.where(inside[:, None], np.take_along_axis(flat, index, 2), 0) * g, 1)
        ggrid += np.stack(slopes, -1) * dot[..., None]
    none = np.zeros(0, x.dtype)
    return gx.reshape(x.shape) if need_x else none, ggrid.reshape(grid.shape) if need_grid else none
