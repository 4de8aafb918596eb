"""Resampling in all modes against PyTorch, in both layouts; kernels against the reference; gradients of both orders."""

import itertools
from functools import partial

import numpy as np
import pytest
from support import SIZES, assert_close, check_gradient, check_kernels, check_torch, each_isa, randn, rng

import nnkern as F
from nnkern import Tensor, _cpu, backends, gradgradcheck, nn
from nnkern.ops._tables import fixed_table, table

SIZES_OF = {1: (9,), 2: (5, 9), 3: (3, 4, 7)}
MODES = {
    1: ["nearest", "nearest-exact", "linear", "area"],
    2: ["nearest", "nearest-exact", "bilinear", "bicubic", "area"],
    3: ["nearest", "nearest-exact", "trilinear", "area"],
}
CROSSES = [(n, mode, align) for n in MODES for mode in MODES[n]
           for align in ((None, False, True) if "linear" in mode or "cubic" in mode else (None,))]  # fmt: skip
HOW = [
    {"scale_factor": 2}, {"scale_factor": 1.7}, {"scale_factor": 0.6}, {"scale_factor": 1.7, "recompute_scale_factor": True},
    {"size": 1}, {"size": 6}, {"size": 4}, {"size": 23},
]  # fmt: skip


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


@pytest.mark.parametrize("axes, mode, align", CROSSES)
def test_equals_torch(axes, mode, align):
    torch = pytest.importorskip("torch")
    x = randn(2, 3, *SIZES_OF[axes])
    for how in HOW:
        if mode == "area" and how.get("recompute_scale_factor"):
            continue
        options = {"mode": mode, "align_corners": align, **how}
        check_torch(
            partial(F.interpolate, **options),
            partial(torch.nn.functional.interpolate, **options),
            x,
            kind="chain",
            n=23,
        )
        if axes > 1:
            y = F.interpolate(channels_last(x), **options)
            assert_close(
                y, torch.nn.functional.interpolate(torch.from_numpy(x), **options).numpy(), "chain", 23
            )
            assert y.strides[1] == 4


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("align", [None, True])
def test_antialias_equals_torch(mode, align):
    torch = pytest.importorskip("torch")
    for size in [(7, 9), (3, 30), (17, 23), (1, 2), (40, 5)]:
        options = {"size": size, "mode": mode, "align_corners": align, "antialias": True}
        check_torch(
            partial(F.interpolate, **options), partial(torch.nn.functional.interpolate, **options), randn(2, 3, 17, 23),
            kind="chain", n=100,
        )  # fmt: skip


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_a_scale_that_leaves_the_size(mode, antialias):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for x in (randn(2, 3, 3, 7, dtype=np.float64), np.arange(21, dtype=np.uint8).reshape(1, 1, 3, 7)):
        for scale in ((1.3, 1.0), (1.2, 1.9), (1.0, 0.5)):
            options = {"scale_factor": scale, "mode": mode, "antialias": antialias}
            expected = torch.nn.functional.interpolate(torch.tensor(x), **options)
            np.testing.assert_allclose(F.interpolate(x, **options), expected, rtol=1e-12, atol=1e-12)


def test_sizes_per_axis_and_other_names():
    np.testing.assert_array_equal(F.interpolate(X, np.array([3, 7])), F.interpolate(X, (3, 7)))
    np.testing.assert_array_equal(F.interpolate(X, np.int64(3)), F.interpolate(X, 3))
    torch = pytest.importorskip("torch")
    x = randn(2, 3, 5, 7)
    tx, theirs = torch.from_numpy(x), torch.nn.functional
    for options in ({"size": (3, 11)}, {"scale_factor": (2.0, 0.5)}, {"size": [4, 4]}):
        np.testing.assert_allclose(
            F.interpolate(x, mode="bilinear", **options),
            theirs.interpolate(tx, mode="bilinear", **options),
            1e-5,
            1e-6,
        )
    np.testing.assert_array_equal(
        F.upsample_nearest(x, scale_factor=3), theirs.interpolate(tx, scale_factor=3)
    )
    np.testing.assert_allclose(
        F.upsample_bilinear(x, (8, 9)),
        theirs.interpolate(tx, (8, 9), mode="bilinear", align_corners=True),
        1e-5,
        1e-6,
    )
    np.testing.assert_array_equal(F.upsample(x, scale_factor=2), theirs.interpolate(tx, scale_factor=2))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_nearest_takes_any_dtype(dtype):
    x = (10 * randn(2, 3, 4, 5)).astype(dtype)
    y = F.interpolate(x, scale_factor=2)
    np.testing.assert_array_equal(y, x.repeat(2, 2).repeat(2, 3))
    assert y.dtype == dtype


BYTE_SIZES = [((7, 9), (14, 18)), ((7, 9), (5, 30)), ((40, 33), (9, 8)), ((5, 6), (5, 17)), ((5, 6), (13, 6)), ((5, 6), (5, 6)),
              ((1, 1), (3, 4)), ((2, 2), (1, 3)), ((3, 70), (2, 9)), ((65, 3), (130, 600)), ((129, 64), (64, 63)),
              ((16, 15), (33, 17)), ((600, 20), (91, 31)), ((300, 16), (700, 5))]  # fmt: skip


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 9, 16])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_bytes_equal_torch(mode, antialias, channels):
    torch = pytest.importorskip("torch")
    for (shape, out), align in itertools.product(BYTE_SIZES, (None, True)):
        x = rng(channels, *shape, *out).integers(0, 256, (2, channels, *shape), np.uint8)
        x[1] = x[1] // 128 * 255  # sums beyond 0 and 255
        for how in ({"size": out}, {"scale_factor": (out[0] / shape[0] + 1e-3, out[1] / shape[1] + 1e-3)}):
            options = {"mode": mode, "align_corners": align, "antialias": antialias, **how}
            want = torch.nn.functional.interpolate(torch.from_numpy(x), **options).numpy()
            for v in (x, channels_last(x), x[..., ::-1].copy()[..., ::-1]):
                y = F.interpolate(v, **options)
                np.testing.assert_array_equal(y, want, err_msg=f"{shape} {options}")
                assert y.dtype == np.uint8


@pytest.mark.parametrize("kind", ["linear", "cubic", "linear+", "cubic+"])
def test_bytes_equal_the_reference(kind):
    reference = backends.load("reference")
    for (shape, out), channels in itertools.product(BYTE_SIZES, (1, 3, 17)):
        t = [fixed_table(kind.rstrip("+"), n, o, False, None, kind.endswith("+")) for n, o in zip(shape, out)]
        args = [a for one in t for a in one[:3]], [one.bits for one in t]
        x = rng(channels, *shape).integers(0, 256, (2, channels, *shape), np.uint8)
        want = reference.interpolate_u8_forward(x, *args)
        for v in (x, np.asfortranarray(x), x[:, :, ::-1].copy()[:, :, ::-1], channels_last(x)):
            np.testing.assert_array_equal(_cpu.interpolate_u8_forward(v, *args), want)
    empty = np.zeros((0, 3, *shape), np.uint8)
    assert _cpu.interpolate_u8_forward(empty, *args).shape == (0, 3, *out)


def tables(shape, out, kind, align=False, antialias=False):
    return [
        a
        for n, o in zip(shape[2:], out)
        for a in table(kind, n, o, align, None, antialias, np.dtype("f4"))[0]
    ]


@pytest.mark.parametrize("kind", ["nearest", "linear", "cubic", "area", "linear+", "cubic+"])
def test_kernels(kind):
    from support import DTYPES

    shapes = [((2, 3, 9), (4,)), ((2, 3, 5, 9), (7, 33)), ((1, 5, 40, 33), (9, 8)), ((2, 9, 6, 7), (6, 20)),
              ((2, 8, 6, 7), (20, 7)), ((1, 2, 3, 300), (3, 41)),
              ((1, 2, 2, 900), (2, 9)), ((1, 3, 2, 40), (2, 80)), ((2, 17, 3, 4, 5), (6, 3, 9)), ((0, 3, 4, 5), (2, 2)), ((2, 40, 5, 6), (5, 6))]  # fmt: skip
    for (shape, out), dtype in itertools.product(shapes, DTYPES):
        t = [a for n, o in zip(shape[2:], out)
             for a in table(kind.rstrip("+"), n, o, False, None, kind.endswith("+"), np.dtype(dtype))[0]]  # fmt: skip
        x = randn(*shape)
        for v in (x, np.asfortranarray(x), x[..., ::-1], x[:, ::-1], channels_last(x)):
            check_kernels("interpolate_forward", v, t, kind="sum", n=64, dtypes=[dtype])
        back = [a for n, o in zip(shape[2:], out)
                for a in table(kind.rstrip("+"), n, o, False, None, kind.endswith("+"), np.dtype(dtype))[1]]  # fmt: skip
        g = randn(*shape[:2], *out)
        for v in (g, channels_last(g)):
            check_kernels("interpolate_forward", v, back, kind="sum", n=64, dtypes=[dtype])


@pytest.mark.parametrize("n", SIZES)
def test_sizes_around_register_widths(n):
    for x in (randn(1, 2, 3, n), channels_last(randn(1, n, 2, 3))):
        for out in ((5, 2 * n), (2, max(1, n - 1))):
            check_kernels("interpolate_forward", x, tables(x.shape, out, "linear"), dtypes=[np.float32], n=8)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("high, wide", [(2, 2), (4, 4), (3, 2), (1, 4), (3, 3)])
def test_whole_factors(n, high, wide):
    """Repeated numbers and, as their gradients and as means of areas, sums of blocks."""
    small, large = (2, 5, 3, n), (2, 5, 3 * high, n * wide)
    for kind, shape, out in [("nearest", small, large), ("area", large, small)]:
        both = [table(kind, i, o, False, None, False, np.dtype("f4")) for i, o in zip(shape[2:], out[2:])]
        for way, size in ((0, shape), (1, out)):
            t, x = [a for pair in both for a in pair[way]], randn(*size)
            for v in (x, x[..., ::-1], x[:, :, ::-1], channels_last(x)):
                check_kernels("interpolate_forward", v, t, kind="sum", n=16, dtypes=[np.float32])


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_special_numbers_stay_where_torch_has_them(mode):
    torch = pytest.importorskip("torch")
    x = randn(1, 2, 8, 40)
    x[0, 0, 2, 3], x[0, 1, 5, 6], x[0, 1, 7, 39] = np.nan, np.inf, np.nan
    for how in ({"scale_factor": 2}, {"size": (20, 33)}):
        want = torch.nn.functional.interpolate(torch.from_numpy(x), mode=mode, **how).numpy()
        for v in (x, channels_last(x)):
            np.testing.assert_allclose(F.interpolate(v, mode=mode, **how), want, 1e-4, 1e-5)


def test_gradient_leaves_nan_where_it_belongs():
    """Numbers that nothing reads get 0, whatever the gradient holds."""
    x = Tensor(randn(1, 1, 8, 8), requires_grad=True)
    F.interpolate(x, size=(3, 3)).backward(np.full((1, 1, 3, 3), np.nan, np.float32))
    assert np.isnan(x.grad.numpy()).sum() == 9 and (x.grad.numpy()[~np.isnan(x.grad.numpy())] == 0).all()


@pytest.mark.parametrize("axes, mode, align", CROSSES)
def test_gradients(axes, mode, align):
    x = randn(2, 2, *SIZES_OF[axes])
    for how in ({"scale_factor": 2}, {"size": 4}):
        check_gradient(partial(F.interpolate, mode=mode, align_corners=align, **how), x)
    small = Tensor(randn(1, 1, *(2,) * axes).astype(np.float64), requires_grad=True)
    assert gradgradcheck(
        lambda a: F.interpolate(F.mul(a, a), size=3, mode=mode, align_corners=align), (small,)
    )


def test_same_bits_for_any_number_of_threads():
    x, small = randn(2, 20, 90, 70), rng().integers(0, 256, (2, 20, 90, 70), np.uint8)
    for isa in each_isa():
        for v in (x, channels_last(x), small, channels_last(small)):
            found, before = set(), F.get_num_threads()
            try:
                for threads in (1, 2, 3):
                    F.set_num_threads(threads)
                    found.add(np.asarray(F.interpolate(v, size=(131, 99), mode="bicubic")).tobytes())
            finally:
                F.set_num_threads(before)
            assert len(found) == 1, isa


X = randn(2, 3, 4, 5)
X8 = np.zeros(X.shape, np.uint8)


def scaled(factor, dtype=np.float32):
    return [a if a.dtype == np.int64 else (a * factor).astype(dtype) for a in BYTES]


BYTES = [a for n in X.shape[2:] for a in fixed_table("linear", n, 2, False, None, False)[:3]]


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda: F.interpolate(X), ValueError, "either size or scale_factor, got neither"),
        (lambda: F.interpolate(X, 2, 2), ValueError, "got both"),
        (lambda: F.interpolate(X, (1, 2, 3)), ValueError, r"size must be a number or 2 of them, got \(1, 2, 3\)"),
        (lambda: F.interpolate(X, 2, mode="cubic"), ValueError, "mode must be one of 'nearest'"),
        (lambda: F.interpolate(X, 2, mode="linear"), ValueError, r"'linear' needs 1 axes behind \(N, C\) .*\(2, 3, 4, 5\)"),
        (lambda: F.interpolate(X, 2, align_corners=True), ValueError, "align_corners is for linear and cubic"),
        (lambda: F.interpolate(X, 2, antialias=True), ValueError, "antialias is for 'bilinear'"),
        (lambda: F.interpolate(X, 2, recompute_scale_factor=True), ValueError, "needs scale_factor"),
        (lambda: F.interpolate(X, 0), ValueError, "must have a pixel"),
        (lambda: F.interpolate(X, 4.7), TypeError, r"interpolate: size must be whole numbers, got \(4.7, 4.7\)"),
        (lambda: F.interpolate(X, scale_factor=np.inf), ValueError, "scale_factor must be finite"),
        (lambda: F.interpolate(X, scale_factor=0.1), ValueError, "must have a pixel"),
        (lambda: F.interpolate(X[:, :, :0], 2), ValueError, "must have a pixel"),
        (lambda: F.interpolate(X.astype(np.int64), 2, mode="bilinear"), TypeError, "interpolate: x is int64"),
        (lambda: F.interpolate(X.astype(np.uint8), 2, mode="area"), TypeError, "interpolate: x is uint8"),
        (lambda: _cpu.interpolate_u8_forward(X, BYTES, (14, 14)), TypeError, "x must be uint8, not float32"),
        (lambda: _cpu.interpolate_u8_forward(X8[:, :, :2], BYTES, (14, 14)), ValueError, "outside x"),
        (lambda: _cpu.interpolate_u8_forward(X8, BYTES, (14, 99)), ValueError, "0 to 22 bits"),
        (lambda: _cpu.interpolate_u8_forward(X8, scaled(1, np.float64), (14, 14)), TypeError, "must be float32"),
        (lambda: _cpu.interpolate_u8_forward(X8, scaled(4), (14, 14)), ValueError, "whole numbers of 16 bits"),
        (lambda: _cpu.interpolate_u8_forward(X8, scaled(1e-5), (14, 14)), ValueError, "whole numbers of 16 bits"),
        (lambda: F.interpolate(None, 2), TypeError, "interpolate: input must not be None"),
        (lambda: _cpu.interpolate_forward(X, tables(X.shape, (2, 2), "linear")[:3]), ValueError, "a table of three arrays"),
        (lambda: _cpu.interpolate_forward(X[:, :, :2, :2], tables(X.shape, (2, 2), "linear")), ValueError, "outside x"),
    ],
)  # fmt: skip
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_layers():
    torch = pytest.importorskip("torch")
    x = randn(2, 4, 6, 8)
    for ours, theirs in [
        (nn.Upsample(scale_factor=2, mode="bilinear"), torch.nn.Upsample(scale_factor=2, mode="bilinear")),
        (nn.Upsample((3, 5)), torch.nn.Upsample((3, 5))),
        (nn.UpsamplingNearest2d(scale_factor=2), torch.nn.UpsamplingNearest2d(scale_factor=2)),
        (nn.UpsamplingBilinear2d((9, 9)), torch.nn.UpsamplingBilinear2d((9, 9))),
        (nn.PixelShuffle(2), torch.nn.PixelShuffle(2)),
        (nn.PixelUnshuffle(2), torch.nn.PixelUnshuffle(2)),
        (nn.ChannelShuffle(2), torch.nn.ChannelShuffle(2)),
    ]:
        np.testing.assert_allclose(ours(x), theirs(torch.from_numpy(x)).numpy(), 1e-5, 1e-6)
        assert repr(ours).split("(")[0] == repr(theirs).split("(")[0]
