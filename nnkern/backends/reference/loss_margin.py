"""Losses of class scores with a margin in NumPy, label by label."""

import numpy as np


def _terms(x, target, weight, p, margin, several):
    """(row, label, which classes it is held against, margin - x_label + x, weight) of each label."""
    rows = x.reshape(-1, x.shape[-1])
    labels = np.reshape(target, (len(rows), -1))
    if ((labels < (-1 if several else 0)) | (labels >= x.shape[-1])).any():
        raise IndexError("margin_loss: a target is no class")
    for r, row in enumerate(rows):
        found = labels[r]
        if several and (found == -1).any():
            found = found[: np.argmax(found == -1)]
        for y in found:
            others = ~np.isin(np.arange(x.shape[-1]), found)
            yield r, y, others, x.dtype.type(margin) - row[y] + row, 1 if weight is None else weight[y]


def margin_loss_forward(x, target, weight, p, margin, several, reduction):
    loss = np.zeros(x.size // x.shape[-1], x.dtype)
    for r, _, others, over, w in _terms(x, target, weight, p, margin, several):
        loss[r] += w * np.sum(np.where(others & (over > 0), over, 0) ** p) / x.shape[-1]
    if reduction:
        return np.asarray(np.sum(loss) / (len(loss) if reduction == 1 else 1)).astype(x.dtype)
    return loss.reshape(x.shape[:-1] if several else target.shape)


def margin_loss_backward(gy, x, target, weight, p, margin, several, reduction):
    gx = np.zeros((x.size // x.shape[-1], x.shape[-1]), x.dtype)
    g = np.reshape(gy, -1) if reduction == 0 else np.full(len(gx), gy / (len(gx) if reduction == 1 else 1))
    for r, y, others, over, w in _terms(x, target, weight, p, margin, several):
        slope = np.where(others & (over > 0), g[r] * w / x.shape[-1] * (1 if p == 1 else 2 * over), 0)
        gx[r] += slope
        gx[r, y] -= np.sum(slope)
    return gx.reshape(x.shape)
