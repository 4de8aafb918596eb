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
        check_kernels("alpha_dropout_forward", np.asarray(x), p, 7, kind="math")
        check_kernels("alpha_dropout_backward", np.asarray(x), p, 7, kind="exact")


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


# --- channels, alpha dropout, in place


CHANNELS = [
    ("dropout1d", (40, 30, 5), 2), ("dropout1d", (300, 5), 1), ("dropout2d", (40, 30, 3, 4), 2),
    ("dropout2d", (40, 30, 3), 2), ("dropout3d", (40, 30, 2, 3, 2), 2), ("dropout3d", (300, 2, 3, 2), 1),
    ("feature_alpha_dropout", (40, 30, 6), 2), ("feature_alpha_dropout", (40, 30), 2),
]  # fmt: skip


@pytest.mark.parametrize("name, shape, axes", CHANNELS)
def test_every_channel_has_one_choice(name, shape, axes):
    nnkern.manual_seed(2)
    x = Tensor(np.ones(shape, np.float32), requires_grad=True)
    y = getattr(nnkern, name)(x, 0.25, True)
    flat = y.data.reshape(*shape[:axes], -1)
    np.testing.assert_array_equal(flat, np.broadcast_to(flat[..., :1], flat.shape))
    low = flat.min()
    assert 0.15 < (flat == low).mean() < 0.35 and len(np.unique(flat)) == 2
    (gx,) = nnkern.grad(y, x, np.ones(shape, np.float32))
    assert ((gx.data == 0) == (y.data == low)).all() and len(np.unique(gx.data)) == 2
    assert getattr(nnkern, name)(x, 0.25, False) is x


@pytest.mark.parametrize("p", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_keeps_mean_and_variance(name, p):
    nnkern.manual_seed(5)
    x = Tensor(randn(1000, 500), requires_grad=True)
    y = getattr(nnkern, name)(x, p, True)
    assert abs(y.data.mean()) < 0.01 and abs(y.data.std() - 1) < 0.01
    (gx,) = nnkern.grad(y, x, np.ones_like(x.data))
    slope = 1 / np.sqrt((1 - p) * (1 + p * 1.7580993408473766**2))
    assert set(np.round(np.unique(gx.data), 5)) == {np.float32(0), np.round(np.float32(slope), 5)}
    assert abs((gx.data == 0).mean() - p) < 0.01


def test_alpha_dropout_has_the_values_of_torch():
    torch = pytest.importorskip("torch")
    x = np.ones(1000, np.float32)
    for p in (0.2, 0.5, 1.0):
        ours, theirs = (
            nnkern.alpha_dropout(x, p, True),
            torch.nn.functional.alpha_dropout(torch.ones(1000), p, True),
        )
        np.testing.assert_allclose(np.unique(ours), np.unique(theirs.numpy()), rtol=1e-5)


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "dropout1d", "feature_alpha_dropout"])
def test_in_place(name):
    f, x = getattr(nnkern, name), np.abs(randn(30, 20)) + 1
    nnkern.manual_seed(3)
    expected = f(x, 0.5, True)
    a, t = x.copy(), Tensor(x.copy())
    for inside in (a, t):
        nnkern.manual_seed(3)
        assert f(inside, 0.5, True, True) is inside
        np.testing.assert_array_equal(
            np.asarray(inside.data if isinstance(inside, Tensor) else inside), expected
        )
    x = Tensor(x, requires_grad=True)
    nnkern.manual_seed(3)
    y = x * 1
    f(y, 0.5, True, inplace=True)
    (g,) = nnkern.grad(y, x, np.ones_like(x.data))
    assert ((g.data == 0) == (expected == expected.min())).all()


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout"])
def test_second_derivatives_keep_the_choice(name):
    x = Tensor(randn(20, dtype=np.float64), requires_grad=True)
    nnkern.manual_seed(1)
    y = getattr(nnkern, name)(x, 0.4, True)
    (g,) = nnkern.grad(y * y, x, np.ones(20), create_graph=True)
    (gg,) = nnkern.grad(g, x, np.ones(20))
    (slope,) = nnkern.grad(y, x, np.ones(20))
    np.testing.assert_allclose(gg.data, 2 * slope.data**2)


LAYERS = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"]


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    layer, x = (
        getattr(nn, name)(0.4, inplace=True),
        randn(*(5, 6, 4, 4, 4)[: 3 if name == "Dropout1d" else 5]),
    )
    assert repr(layer) == f"{name}(p=0.4, inplace=True)"
    before = x.copy()
    assert layer.eval()(x) is x and (x == before).all()
    assert layer.train()(x) is x and (x != before).any()
    with pytest.raises(ValueError, match=rf"{name}: p must lie in \[0, 1\], got 1.5"):
        getattr(nn, name)(1.5)


def test_same_bits_of_alpha_dropout_for_any_thread_count():
    x, before = randn(200_001), _cpu.num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            _cpu.set_num_threads(threads)
            results.append(_cpu.alpha_dropout_forward(x, 0.4, 5))
    finally:
        _cpu.set_num_threads(before)
    for r in results[1:]:
        np.testing.assert_array_equal(r, results[0])


@pytest.mark.parametrize(
    "name, ndim", [("dropout1d", 1), ("dropout1d", 4), ("dropout3d", 3), ("dropout3d", 6)]
)
def test_numbers_of_axes(name, ndim):
    with pytest.raises(ValueError, match=rf"{name}: input must be \(N, C, ...\) with"):
        getattr(nnkern, name)(randn(*(2,) * ndim))


@pytest.mark.parametrize("name", ["alpha_dropout", "dropout1d", "feature_alpha_dropout"])
def test_errors_of_all(name):
    with pytest.raises(ValueError, match=r"p must lie in \[0, 1\], got 2"):
        getattr(nnkern, name)(randn(3, 3), 2, True)
    with pytest.raises(ValueError, match=r"p must lie in \[0, 1\], got -1"):
        getattr(nnkern, name)(randn(3, 3), -1, False)
    with pytest.raises(TypeError, match="float32 or float64"):
        getattr(nnkern, name)(np.ones((3, 3), int), 0.5, True)
