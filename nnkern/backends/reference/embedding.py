"""Embedding, its gradient, and bags of rows in NumPy."""

import numpy as np


def _check(op, name, index, size):
    if index.size and (index.min() < 0 or index.max() >= size):
        raise IndexError(f"{op}: {name} has a number that is not in [0, {size})")


def embedding_forward(w, index):
    _check("embedding", "input", index, len(w))
    return w[index]


def embedding_backward(gy, index, source, scale, rows, padding_idx):
    _check("embedding_backward", "index", index, rows)
    gy = gy if source is None else gy[source]
    gy = gy if scale is None else gy * scale[:, None]
    gw = np.zeros((rows, gy.shape[1]), gy.dtype)
    real = index != padding_idx
    np.add.at(gw, index[real], gy[real])
    return gw


def embedding_bag_forward(w, index, offsets, scale, mode):
    _check("embedding_bag", "input", index, len(w))
    y, ends = np.zeros((len(offsets), w.shape[1]), w.dtype), [*offsets[1:], len(index)]
    winner = np.full(y.shape if mode == 2 else (0, 0), -1, np.int64)
    for bag, (begin, end) in enumerate(zip(offsets, ends)):
        rows = w[index[begin:end]]
        if end == begin:
            continue
        if mode == 2:
            best = rows.argmax(0)
            y[bag], winner[bag] = np.take_along_axis(rows, best[None], 0)[0], index[begin:end][best]
        else:
            rows = rows if scale is None else rows * scale[begin:end, None]
            y[bag] = rows.sum(0) if mode == 0 else rows.mean(0)
    return y, winner
