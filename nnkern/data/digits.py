"""Handwritten digits: 1,797 real 8 x 8 images (Alpaydin and Kaynak 1998), as scikit-learn ships them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Digits(NamedTuple):
    """Images (N, 64) float32 in [0, 1] and labels (N,) int64."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load_digits(test_share: float = 0.2) -> Digits:
    """The digits split the same way every time: test_share of them, drawn with a fixed seed, for testing."""
    try:
        from sklearn.datasets import load_digits as load
    except ImportError:
        raise ImportError("load_digits: scikit-learn ships the images: pip install 'nnkern[cli]'") from None
    if not 0 < test_share < 1:
        raise ValueError(f"load_digits: test_share must lie in (0, 1), got {test_share}")
    raw = load()
    x, y = (raw.data / 16).astype(np.float32), raw.target.astype(np.int64)
    order = np.random.Generator(np.random.Philox(0)).permutation(len(x))
    cut = round(len(x) * test_share)
    test, train = order[:cut], order[cut:]
    return Digits(x[train], y[train], x[test], y[test])
