"""Dropout: the share of zeros, the same choice forward and backward, repeatable by seed."""

import numpy as np
import pytest
from support import SIZES, check_kernels, randn

import nnkern
from nnkern import Tensor, _cpu, nn
from nnkern.backends.reference.dropout import _philox


def test_philox_gives_the_published_words():
    """Known answers of Random123 (kat_vectors: philox4x32 10)."""
    assert [hex(w) for w in _philox(0, np.zeros(1, np.uint64))[:, 0]] == [
        "0x6627e8d5",
        "0xe169c58d",
        "0xbc57ac4c",
        "0x9b00dbd8",
    ]


@pytest.mark.parametrize("n", SIZES)
def test_kernel_around_register_widths(n):
    check_kernels("dropout_forward", randn(n), 0.3, 2**62 + 12345, kind="exact")


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.999, 1.0])
def test_kernel_of_every_layout(p):
    for x in (
        randn(33, 65),
        randn(65, 33).T,
        randn(33, 130)[::-1, ::2],
        np.broadcast_to(randn(7, 1), (7, 9)),
        randn(),
        randn(0, 3),
    ):
        check_kernels("dropout_forward", np.asarray(x), p, 7, kind="exact")


def test_share_and_independence():
    y = _cpu.dropout_forward(np.ones(1_000_000, np.float32), 0.3, 1)
    kept = y != 0
    assert abs(kept.mean() - 0.7) < 0.002
    assert abs((kept[1:] & kept[:-1]).mean() - 0.49) < 0.003
    other = _cpu.dropout_forward(np.ones(1_000_000, np.float32), 0.3, 2) != 0
    assert abs((kept & other).mean() - 0.49) < 0.003


def test_same_bits_for_any_thread_count():
    x, before = randn(200_001), _cpu.num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            _cpu.set_num_threads(threads)
            results.append(_cpu.dropout_forward(x, 0.4, 5))
    finally:
        _cpu.set_num_threads(before)
    for r in results[1:]:
        np.testing.assert_array_equal(r, results[0])


def test_gradient_goes_where_the_values_went():
    nnkern.manual_seed(4)
    x = Tensor(np.ones((50, 40)), requires_grad=True)
    y = nnkern.dropout(x, 0.25)
    gy = randn(50, 40, dtype=np.float64)
    (gx,) = nnkern.grad(y, x, gy)
    np.testing.assert_array_equal(gx.data, gy * y.data)
    nnkern.manual_seed(4)
    np.testing.assert_array_equal(nnkern.dropout(x, 0.25).data, y.data)
    assert (nnkern.dropout(x, 0.25).data != y.data).any()


def test_layer():
    layer, x = nn.Dropout(0.5), randn(100)
    assert layer.eval()(x) is x and nn.Dropout(0)(x) is x
    assert 20 < (layer.train()(x) == 0).sum() < 80
    with pytest.raises(ValueError, match=r"Dropout: p must lie in \[0, 1\], got 2"):
        nn.Dropout(2)


def test_errors():
    with pytest.raises(ValueError, match=r"dropout: p must lie in \[0, 1\], got -0.5"):
        nnkern.dropout(randn(3), -0.5)
    with pytest.raises(TypeError, match="dropout: x is int64; float32 or float64"):
        nnkern.dropout(np.arange(3), 0.5)


def test_channels_drop_as_a_whole():
    nnkern.manual_seed(1)
    x = Tensor(randn(40, 30, 3, 4), requires_grad=True)
    y = nnkern.dropout2d(x, 0.25)
    scale = y.data / x.data
    np.testing.assert_array_equal(scale == 0, np.broadcast_to(scale[:, :, :1, :1] == 0, scale.shape))
    assert 0.2 < (scale == 0).mean() < 0.3
    np.testing.assert_allclose(scale[scale != 0], 1 / 0.75, rtol=1e-6)
    (gx,) = nnkern.grad(y, x, np.ones_like(x.data))
    np.testing.assert_allclose(gx.data, scale, rtol=1e-6)
    assert nn.Dropout2d(0.5).eval()(x) is x
    with pytest.raises(ValueError, match=r"dropout2d: input must be \(N, C, ...\)"):
        nnkern.dropout2d(randn(3, 4))
