"""Generation with a cache of keys and values, and what tells positions: rotation, slopes, sinusoids."""

import numpy as np
import pytest
from support import assert_close, check_gradient, randn
from test_attention import qkv

import nnkern
import nnkern as F
from nnkern import Tensor

try:
    import torch
except ImportError:
    torch = None
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed: nothing to compare with")
sdpa = F.scaled_dot_product_attention


@pytest.mark.parametrize("window", [None, 1, 3, 8])
@pytest.mark.parametrize("steps", [(1,) * 11, (4, 1, 1, 5), (9, 2)], ids=str)
def test_a_cache_gives_what_the_whole_sequence_gives(window, steps):
    q, k, v = qkv(2, 4, 2, 11, 11, 4, 6, np.float64)
    cache = F.KVCache(2, 2, 4, capacity=2, window=window, value_width=6, dtype=np.float64)
    parts, i = [], 0
    for n in steps:
        parts.append(cache.attend(*(x[:, :, i : i + n] for x in (q, k, v))))
        i += n
    near = None if window is None else (window - 1, -1)
    whole = sdpa(q, k, v, is_causal=True, enable_gqa=True, window=near)
    assert_close(np.concatenate(parts, 2), whole, "chain", 8)
    assert cache.length == 11 and len(cache) == min(11, window or 11)
    np.testing.assert_array_equal(cache.keys, k[:, :, -len(cache) :])
    other = F.KVCache(2, 2, 4, window=window, value_width=6, dtype=np.float64)
    other.append(k, v)
    np.testing.assert_array_equal(other.values, cache.values)
    assert type(cache.attend(Tensor(q[:, :, :1]), k[:, :, :1], v[:, :, :1])) is Tensor
    with pytest.raises(ValueError, match="KVCache: value must be float64"):
        other.append(k, v[..., :2])


@pytest.mark.parametrize("window", [None, 2])
def test_what_a_cache_refuses_leaves_it_as_it_was(window):
    x = randn(1, 2, 3, 4)
    cache = F.KVCache(1, 2, 4, window=window)
    for bad in (x[0], x[:, :1], x[:, :, :2], x[..., :2], x.astype(np.float64), np.concatenate([x, x])):
        with pytest.raises(ValueError, match="KVCache: query must be float32"):
            cache.attend(bad, x, x)
        with pytest.raises(ValueError, match="KVCache: (key|value) must be float32"):
            cache.append(x, bad)
    learnable = Tensor(x, requires_grad=True)
    with pytest.raises(RuntimeError, match="KVCache: it keeps no gradients"):
        cache.attend(learnable, x, x)
    with pytest.raises(TypeError, match="KVCache: dtype must be"):
        F.KVCache(1, 2, 4, dtype=np.float16)
    assert len(cache) == cache.length == 0
    assert cache.attend(x[:, :, :0], x[:, :, :0], x[:, :, :0]).shape == (1, 2, 0, 4)
    with nnkern.no_grad():
        y = cache.attend(learnable, learnable, x)
        assert type(y) is Tensor and not y.requires_grad


@needs_torch
@pytest.mark.parametrize("window", [None, 1, 3, 8])
def test_torch_tensors(window):
    cache, x = F.KVCache(1, 2, 4, window=window), randn(1, 2, 3, 4)
    theirs = torch.from_numpy(x)
    assert type(cache.attend(theirs, x, x)) is torch.Tensor
    assert isinstance(F.rope(theirs), torch.Tensor)
    theirs = theirs.clone().requires_grad_()
    with pytest.raises(TypeError, match="KVCache: a torch tensor that requires grad"):
        cache.attend(theirs, x, x)
    with nnkern.no_grad(), torch.no_grad():
        assert type(cache.attend(theirs, Tensor(x, requires_grad=True), x)) is torch.Tensor


@pytest.mark.parametrize("interleaved", [False, True])
def test_rope_turns_pairs(interleaved):
    x = randn(2, 5, 8, dtype=np.float64)
    pairs = x.reshape(2, 5, 4, 2) if interleaved else x.reshape(2, 5, 2, 4).swapaxes(-1, -2)
    turn = np.exp(1j * np.arange(3, 8)[:, None] * 10000.0 ** (-np.arange(4) / 4))
    z = (pairs[..., 0] + 1j * pairs[..., 1]) * turn
    pairs = np.stack([z.real, z.imag], -1)
    wanted = pairs.reshape(2, 5, 8) if interleaved else pairs.swapaxes(-1, -2).reshape(2, 5, 8)
    assert_close(F.rope(x, 3, interleaved=interleaved), wanted, "chain", 4)
    assert_close(F.rope(x, np.arange(3, 8), interleaved=interleaved), wanted, "chain", 4)
    check_gradient(lambda a: F.rope(a, 3, interleaved=interleaved), x)
    with pytest.raises(ValueError, match="even width"):
        F.rope(x[..., :7])


def test_rope_scores_depend_on_distance():
    q, k = randn(1, 8, dtype=np.float64), randn(1, 8, dtype=np.float64, seed=1)
    near, far = [F.rope(q, i)[0] @ F.rope(k, i - 4)[0] for i in (5, 105)]
    assert abs(near - far) < 1e-12


def test_alibi_and_sinusoids():
    np.testing.assert_allclose(F.alibi_slopes(8), 2.0 ** -np.arange(1, 9))
    np.testing.assert_allclose(F.alibi_slopes(6), [0.25, 0.0625, 1 / 64, 1 / 256, 0.5, 0.125])
    with pytest.raises(ValueError, match="heads must be at least 1, got 0"):
        F.alibi_slopes(0)
    for bad in ((F.alibi_slopes(2), -1), (F.alibi_slopes(2), 3, -1), (np.ones((2, 2)), 3)):
        with pytest.raises(ValueError, match="alibi_bias: slopes must be 1-d and lengths not negative"):
            F.alibi_bias(*bad)
    bias = F.alibi_bias(F.alibi_slopes(2), 3, 5, offset=2)
    assert bias.shape == (2, 3, 5) and bias[0, 1].tolist() == [-3 / 16, -2 / 16, -1 / 16, 0, -1 / 16]
    table = F.sinusoidal_positions(7, 5)
    angle = 4 / 10000 ** (2 / 5)
    np.testing.assert_allclose(table[4, 2:4], [np.sin(angle), np.cos(angle)], rtol=1e-6)
