"""Dropout with Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers") in NumPy."""

import numpy as np


def _philox(key, counters):
    """The four 32-bit words of each 64-bit counter, as a (4, N) array."""
    low = np.uint64(0xFFFFFFFF)
    c = [counters & low, counters >> np.uint64(32), np.zeros_like(counters), np.zeros_like(counters)]
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p, q = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        high_p, high_q = p >> np.uint64(32), q >> np.uint64(32)
        c = [high_q ^ c[1] ^ np.uint64(k0), q & low, high_p ^ c[3] ^ np.uint64(k1), p & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c).astype(np.uint32)


def _kept(x, p, seed):
    """True where word i of the generator is at least p * 2^32.

    Words come in groups of 64: word w of counter 16 * group + l stands at 64 * group + 16 * w + l.
    """
    groups = -(-x.size // 64)
    words = _philox(seed, np.arange(16 * groups, dtype=np.uint64)).reshape(4, groups, 16).transpose(1, 0, 2)
    return words.reshape(-1)[: x.size].reshape(x.shape) >= p * 2.0**32


def dropout_forward(x, p, seed):
    scale = x.dtype.type(1 / (1 - p)) if p < 1 else x.dtype.type(0)
    return np.where(_kept(x, p, seed), x * scale, x.dtype.type(0))


_SATURATED = -1.7580993408473766  # -scale * alpha of selu


def _alpha_scale(p):
    return 1 / np.sqrt((1 - p) * (1 + p * _SATURATED**2))


def alpha_dropout_forward(x, p, seed):
    if p == 1:
        return np.zeros_like(x)
    a, number = _alpha_scale(p), x.dtype.type
    shift = -a * _SATURATED * p
    return np.where(_kept(x, p, seed), x * number(a) + number(shift), number(a * _SATURATED + shift))


def alpha_dropout_backward(gy, p, seed):
    if p == 1:
        return np.zeros_like(gy)
    return np.where(_kept(gy, p, seed), gy * gy.dtype.type(_alpha_scale(p)), gy.dtype.type(0))
