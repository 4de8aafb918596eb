"""Every algorithm of convolution, forced where it serves, against the reference; which one is chosen, and what is said of it."""

import functools
import itertools

import numpy as np
import pytest
from support import each_isa, randn
from test_conv import CASES, channels_last, result_size

import nnkern
from nnkern import Tensor, _cpu, backends
from nnkern.ops._conv_options import ALGORITHMS

# Each is served by at least one algorithm beside gemm: sizes no multiple of a tile, channels of no vector, both pads.
ALGORITHM_CASES = [
    ((2, 16, 12, 12), (32, 16, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((3, 19, 13, 17), (35, 19, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((1, 64, 9, 8), (70, 64, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((2, 40, 7, 6), (24, 40, 3, 3), (1, 1), (2, 0, 1, 2), (1, 1), 1),
    ((5, 3, 4, 5), (2, 3, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((1, 16, 1, 1), (16, 16, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((2, 3, 23, 52), (9, 3, 3, 5), (2, 2), (1, 1, 2, 1), (1, 1), 1),  # lines of pixels, across rows two apart
    ((1, 4, 25, 37), (16, 4, 2, 3), (3, 2), (0, 1, 2, 0), (2, 1), 1),
    ((1, 2, 3, 9, 40), (17, 2, 2, 3, 3), (1, 1, 1), (1, 0, 1, 1, 1, 1), (1, 1, 1), 1),
    ((9, 2, 12, 21), (5, 2, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),  # few filters: several images in a strip
    # many small images, which are the lanes of vectors: with padding and without, strides and dilations of rows
    ((31, 3, 11, 10), (16, 3, 5, 5), (1, 1), (2, 1, 0, 2), (1, 1), 1),
    ((47, 6, 14, 14), (20, 6, 5, 5), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((31, 8, 13, 7), (9, 8, 3, 3), (2, 1), (1, 1, 0, 1), (1, 2), 1),
    ((31, 9, 12), (18, 9, 5), (1,), (2, 2), (1,), 1),
    ((31, 4, 6, 9), (8, 4, 2, 3), (1, 1), (3, 2, 4, 3), (1, 1), 1),  # results that meet no image
    ((100, 5, 9, 7), (33, 5, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),  # vectors of images in shares
    ((0, 16, 9, 9), (16, 16, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    # channels whose transformed filters are made panel by panel
    ((1, 140, 9, 8), (70, 140, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((3, 19, 13, 17), (35, 19, 5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 1),
    ((1, 64, 9, 8), (70, 64, 5, 5), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((2, 40, 7, 6), (24, 40, 5, 5), (1, 1), (4, 0, 1, 3), (1, 1), 1),
    ((5, 3, 4, 5), (2, 3, 5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 1),
    ((1, 16, 1, 1), (16, 16, 5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 1),
    # a stride of two: odd sizes, every padding, rows that reach over one tile
    ((2, 32, 12, 12), (48, 32, 4, 4), (2, 2), (1, 1, 1, 1), (1, 1), 1),
    ((3, 64, 13, 17), (35, 64, 4, 4), (2, 2), (3, 0, 1, 2), (1, 1), 1),
    ((1, 96, 5, 40), (130, 96, 4, 4), (2, 2), (0, 0, 0, 3), (1, 1), 1),
    ((1, 32, 4, 4), (3, 32, 4, 4), (2, 2), (0, 0, 0, 0), (1, 1), 1),
    # input gradients whose residues have tiles of their own along both axes, or one
    ((2, 64, 16, 8), (35, 64, 4, 4), (2, 2), (1, 1, 1, 1), (1, 1), 1),
    ((3, 32, 16, 15), (48, 32, 4, 4), (2, 2), (1, 1, 0, 1), (1, 1), 1),
    ((1, 96, 9, 16), (130, 96, 4, 4), (2, 2), (2, 2, 3, 0), (1, 1), 1),
    # residues of 2 to 5 taps, some of them without the first or the last one, of few channels and of many
    ((2, 64, 17, 30), (70, 64, 3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 1),
    ((1, 40, 14, 12), (128, 40, 4, 4), (2, 2), (1, 1, 1, 1), (1, 1), 1),
    ((1, 3, 43, 67), (64, 3, 11, 11), (4, 4), (2, 2, 2, 2), (1, 1), 1),
    ((2, 19, 17, 15), (35, 19, 5, 5), (2, 2), (2, 2, 0, 3), (1, 1), 1),
    ((1, 40, 16, 15), (33, 40, 5, 5), (3, 3), (4, 3, 0, 0), (1, 1), 1),
    ((2, 16, 23, 2), (6, 16, 9, 9), (2, 2), (0, 3, 8, 0), (1, 1), 1),
    ((2, 32, 21, 14), (33, 32, 3, 3), (2, 2), (0, 1, 2, 0), (1, 1), 1),
    ((2, 3, 29, 31), (20, 3, 7, 7), (2, 2), (3, 3, 2, 4), (1, 1), 1),
    ((1, 64, 15, 18), (64, 64, 8, 8), (2, 2), (3, 4, 7, 0), (1, 1), 1),
    ((1, 70, 20, 19), (65, 70, 5, 5), (3, 3), (2, 2, 4, 1), (1, 1), 1),
    # volumes: frames outside, filters of more frames than there are, one frame
    ((3, 16, 6, 11, 13), (32, 16, 3, 3, 3), (1, 1, 1), (0, 2, 1, 0, 2, 1), (1, 1, 1), 1),
    ((1, 5, 1, 7, 9), (6, 5, 3, 3, 3), (1, 1, 1), (1, 1, 1, 1, 1, 1), (1, 1, 1), 1),
    ((2, 19, 4, 9, 10), (35, 19, 1, 3, 3), (1, 1, 1), (0, 0, 1, 1, 1, 1), (1, 1, 1), 1),
    ((2, 6, 3, 8, 7), (9, 6, 4, 5, 5), (1, 1, 1), (3, 2, 2, 2, 0, 4), (1, 1, 1), 1),
    # along one axis: pieces with all taps and without, tiles without a full vector
    ((2, 17, 331), (33, 17, 7), (1,), (0, 6), (1,), 1),
    ((5, 40, 20), (16, 40, 4), (1,), (3, 1), (1,), 1),
    ((2, 1, 2), (3, 1, 3), (1,), (2, 2), (1,), 1),
    ((2, 33, 14, 15), (33, 1, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 33),
    ((2, 16, 14, 15), (32, 1, 5, 3), (2, 1), (2, 1, 1, 1), (1, 1), 16),  # two filters for each channel
    ((2, 18, 30), (18, 1, 3), (1,), (2, 0), (1,), 18),
]
# Winograd's tiles in several blocks; the last two: gradients of few filters, tiles in shares.
BLOCK_CASES = [
    ((2, 90, 21, 23), (100, 90, 3, 3), (1, 1), (2, 1, 0, 1), (1, 1), 1),
    ((2, 90, 21, 23), (100, 90, 5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 1),
    ((9, 96, 25, 26), (70, 96, 4, 4), (2, 2), (2, 1, 1, 1), (1, 1), 1),
    ((1, 128, 33, 34), (96, 128, 3, 3), (2, 2), (1, 1, 0, 2), (1, 1), 1),
    ((1, 80, 19, 5, 21), (33, 80, 3, 3, 3), (1, 1, 1), (1, 1, 1, 1, 1, 1), (1, 1, 1), 1),
    ((3, 64, 500), (70, 64, 9), (1,), (4, 4), (1,), 1),
    ((7, 16, 25, 33), (40, 16, 5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 1),
    ((2, 16, 9, 30, 31), (32, 16, 3, 3, 3), (1, 1, 1), (1, 1, 1, 1, 1, 1), (1, 1, 1), 1),
]
# Rows that the direct algorithm makes in pieces, in lines and in tiles.
LONG_CASES = [
    ((2, 160, 1500), (20, 160, 3), (1,), (4, 1), (2,), 1),
    ((1, 160, 4000), (40, 160, 3), (3,), (1, 1), (1,), 1),
]
# Relative L2 error: the documented bounds of Winograd in float32; sums of 9 taps are far more exact.
FORWARD_ERROR, WEIGHT_ERROR = 2e-6, 1e-5


def relative_error(actual, expected):
    assert actual.shape == expected.shape and np.isfinite(actual).all()
    return np.linalg.norm(actual - expected) / max(np.linalg.norm(expected), 1e-30)


@functools.lru_cache(maxsize=1)
def calls_of(case):
    """Images, filters, and every direction and epilogue: kernel, arrays, options, result in float64, allowed error."""
    x_shape, w_shape, *options = case
    y_shape = (x_shape[0], w_shape[0], *result_size(case))
    shapes = (x_shape, w_shape, w_shape[:1], y_shape, y_shape, x_shape[1:2])
    x, w, b, gy, residual, c = (randn(*shape, seed=seed) for seed, shape in enumerate(shapes))
    calls = (
        ("conv_forward", (x, w, b, residual), (*options, 0, 1), FORWARD_ERROR),
        ("conv_forward", (x, w, b, None), (*options, 0, 4), FORWARD_ERROR),
        ("conv_forward", (x, w, None, None), (*options, 0, 0), FORWARD_ERROR),
        ("conv_input_grad", (gy, w, c), (x_shape[2:], *options, 0), FORWARD_ERROR),
        ("conv_weight_grad", (gy, x), (w_shape[2:], *options, 0), WEIGHT_ERROR),
    )

    def expected(name, arrays, rest):
        wide = (None if a is None else a.astype(np.float64) for a in arrays)
        return getattr(backends.load("reference"), name)(*wide, *rest, 0)

    return x, w, [(*call, expected(*call), bound) for *call, bound in calls]


@pytest.mark.parametrize("layout", [np.asarray, channels_last], ids=["first", "last"])
@pytest.mark.parametrize(
    ("case", "algorithm"),
    [
        *itertools.product(ALGORITHM_CASES, ("gemm", "direct", "winograd", "winograd2", "depthwise")),
        *itertools.product(BLOCK_CASES, ("winograd", "winograd2")),
        *itertools.product(LONG_CASES, ("direct",)),
    ],
    ids=str,
)
def test_every_algorithm_equals_the_reference(case, algorithm, layout):
    number, served = ALGORITHMS[algorithm], 0
    x, w, calls = calls_of(case)
    for name, arrays, rest, expected, bound in calls:
        arrays = [a if a is None or a is w or a.ndim == 1 else layout(a) for a in arrays]
        direction = ("conv_forward", "conv_input_grad", "conv_weight_grad").index(name)
        try:
            assert _cpu.conv_algorithm(layout(x), w, *case[2:], 0, number, direction) == number
        except ValueError:
            with pytest.raises(ValueError, match="can't serve"):
                getattr(_cpu, name)(*arrays, *rest, number)
            continue
        served += 1
        for isa in each_isa():
            _cpu.set_poison(True)
            try:
                actual = getattr(_cpu, name)(*arrays, *rest, number)
            finally:
                _cpu.set_poison(False)
            assert relative_error(actual, expected) <= bound, f"{name} {isa}"
    if not served:
        pytest.skip(f"{algorithm} does not serve this convolution")


@pytest.mark.parametrize(
    "algorithm, taps", [("winograd", 3), ("winograd2", 3), ("winograd", 5), ("winograd", 4)]
)
@pytest.mark.parametrize("c", [20, 100])
def test_winograd_takes_filters_of_any_layout(algorithm, taps, c):
    c, stride = (c // 32 * 32 + 32, 2) if taps == 4 else (c, 1)
    size = (9, 7) if stride == 1 else (18, 14)
    x, gy, w = randn(2, c, *size), randn(2, c, 9, 7, seed=1), randn(c, c, taps, taps, seed=2)
    options = ((stride,) * 2, ((taps - 1) // 2,) * 4, (1, 1), 1, 0)
    layouts = (
        channels_last(w), w[..., ::-1], w[::-1, ::-1], w.swapaxes(0, 1), w.swapaxes(2, 3), w.repeat(2, 1)[:, ::2],
        np.broadcast_to(w[:1], w.shape), np.broadcast_to(w[:, :1], w.shape),
    )  # fmt: skip
    for turned in layouts:
        plain, number = np.ascontiguousarray(turned), ALGORITHMS[algorithm]
        for f, arrays, extra in (
            (_cpu.conv_forward, (None, None), ()),
            (_cpu.conv_input_grad, (None,), (size,)),
        ):
            last = (0, number) if f is _cpu.conv_forward else (number,)
            a, b = (
                f(gy if f is _cpu.conv_input_grad else x, v, *arrays, *extra, *options, *last)
                for v in (turned, plain)
            )
            np.testing.assert_array_equal(a, b)


def test_automatic_choice_is_one_that_serves():
    for case in ALGORITHM_CASES + BLOCK_CASES + CASES:
        x, w = randn(*case[0]), randn(*case[1])
        for dtype in (np.float32, np.float64):
            for direction in range(3):
                args = (x.astype(dtype), w.astype(dtype), *case[2:], 0)
                chosen = _cpu.conv_algorithm(*args, 0, direction)
                assert _cpu.conv_algorithm(*args, chosen, direction) == chosen
                assert (
                    chosen not in (2, 3) or dtype == np.float32
                )  # float64 is asked for where accuracy matters
    x, w = randn(2, 64, 28, 28), randn(64, 64, 3, 3)
    assert _cpu.conv_algorithm(x, w, (1, 1), (1,) * 4, (1, 1), 1, 0, 0, 0) == ALGORITHMS["winograd"]
    assert _cpu.conv_algorithm(x, w, (2, 2), (1,) * 4, (1, 1), 1, 0, 0, 0) == ALGORITHMS["direct"]
    five = randn(64, 64, 5, 5)
    assert _cpu.conv_algorithm(x, five, (1, 1), (2,) * 4, (1, 1), 1, 0, 0, 0) == ALGORITHMS["winograd"]
    four = randn(128, 64, 4, 4)
    for direction in range(3):
        assert (
            _cpu.conv_algorithm(x, four, (2, 2), (1,) * 4, (1, 1), 1, 0, 0, direction)
            == ALGORITHMS["winograd"]
        )
    assert _cpu.conv_algorithm(x, w[..., :1, :1], (1, 1), (0,) * 4, (1, 1), 1, 0, 0, 0) == ALGORITHMS["gemm"]


def test_planes_beyond_32_bits_are_left_to_gemm():
    """Nothing is computed here: the arrays have no memory of their own."""

    def chosen(channels, groups, length, wanted=None):
        x = np.broadcast_to(np.float32(1), (1, channels, length))
        w = np.broadcast_to(np.float32(1), (1 if groups == 1 else channels, channels // groups, 9))
        return _cpu.conv_algorithm(x, w, (4,), (0, 0), (1,), groups, 0, ALGORITHMS[wanted], 0)

    assert chosen(64, 1, 1 << 20) == chosen(64, 1, 1 << 24) == ALGORITHMS["direct"]
    assert chosen(64, 1, 1 << 26) == ALGORITHMS["gemm"]
    assert chosen(2, 2, 1 << 28) == ALGORITHMS["depthwise"] and chosen(2, 2, 1 << 31) == ALGORITHMS["gemm"]
    with pytest.raises(ValueError, match="algorithm 'direct' can't serve"):
        chosen(64, 1, 1 << 26, "direct")


@pytest.mark.parametrize("algorithm", ["gemm", "direct"])
def test_a_stride_beyond_the_image_costs_nothing(algorithm):
    """Of a single result the stride doesn't matter: gradients made lists of its residues, 23 s for 10,000."""
    x, w, gy = randn(2, 3, 5, 6), randn(4, 3, 3, 2), randn(2, 4, 1, 1)
    options = {"padding": 1, "algorithm": algorithm}
    huge, known = {"stride": 2**31 - 1, **options}, {"stride": 8, **options}
    np.testing.assert_array_equal(nnkern.conv2d(x, w, **huge), nnkern.conv2d(x, w, **known))
    for f, args in (
        (nnkern.conv2d_input_grad, (x.shape, w, gy)),
        (nnkern.conv2d_weight_grad, (x, w.shape, gy)),
    ):
        np.testing.assert_array_equal(f(*args, **huge), f(*args, **known))


X, W = randn(2, 3, 8, 8), randn(4, 3, 3, 3)
WRONG_CALLS = (
    (TypeError, nnkern.conv2d, (X, W.astype(np.float64)), {}),
    (TypeError, nnkern.conv2d, (X.astype(int), W.astype(int)), {}),
    (TypeError, nnkern.conv2d, (X, W, np.zeros(4)), {}),
    (ValueError, nnkern.conv2d, (X, W, randn(5)), {}),
    (ValueError, nnkern.conv2d, (X, W), {"stride": 0}),
    (ValueError, nnkern.conv2d, (X, W), {"activation": "elu"}),
    (ValueError, nnkern.conv2d, (X[0], W), {"residual": randn(1, 4, 6, 6)}),
    (ValueError, nnkern.conv_transpose2d, (X, W[:3], randn(5)), {}),
    (ValueError, nnkern.conv2d_input_grad, (X.shape, W, randn(2, 4, 6, 5)), {}),
    (TypeError, nnkern.conv2d_input_grad, (8, W, randn(2, 4, 6, 6)), {}),
    (TypeError, nnkern.conv2d_weight_grad, (X, W.shape, np.zeros((2, 4, 6, 6))), {}),
)  # fmt: skip


@pytest.mark.parametrize("call", WRONG_CALLS, ids=range(len(WRONG_CALLS)))
def test_explain_refuses_what_the_function_refuses(call):
    error, function, args, options = call
    for refuses in (function, lambda *a, **o: nnkern.explain(function, *a, **o)):
        with pytest.raises(error, match=r"^conv"):
            refuses(*args, **options)


def test_explain_shows_the_arrays_of_the_call():
    x, w = X[0], randn(3, 5, 4, 4)
    assert repr(nnkern.explain(nnkern.conv_transpose2d, x, w, randn(5), 2, 1)).startswith(
        "conv_transpose2d of float32 (3, 8, 8) and (3, 5, 4, 4): "
    )
    y = nnkern.conv2d(x, W)
    said = nnkern.explain(nnkern.conv2d, x, W, randn(4), residual=y, activation="relu")
    assert said.call == "conv2d of float32 (3, 8, 8) and (4, 3, 3, 3)"
    with pytest.raises(TypeError, match="explain: a function such as nnkern.conv2d is needed, got 'conv2d'"):
        nnkern.explain("conv2d", x, W)


def test_explain_names_what_runs():
    x, w = randn(2, 8, 9, 9), randn(6, 4, 3, 3)
    said = nnkern.explain(nnkern.conv2d, x, w, None, 2, 1, groups=2, algorithm="gemm")
    assert [way.direction for way in said.ways] == ["forward", "input_grad", "weight_grad"]
    assert said.flops == 2.0 * 2 * 6 * 25 * 4 * 9
    for way in said.ways:
        assert way.algorithm == "gemm" and 2 * way.multiplications == said.flops
    assert "product of 3 x 36 x 50, for each of 2 groups" in repr(said)
    assert "product of 4 x 6 x 40, about, for each of 4 residues" in repr(said)
    forced = nnkern.explain(nnkern.conv2d, x[0], w, groups=2, algorithm="gemm")
    assert forced.flops == 2.0 * 6 * 49 * 4 * 9
    (way,) = nnkern.explain(nnkern.conv2d_weight_grad, x, w.shape, randn(2, 6, 7, 7), groups=2).ways
    assert way.direction == "weight_grad" and "3 x 98 x 36" in way.detail
    wide = nnkern.explain(
        nnkern.conv2d, randn(2, 32, 9, 9), randn(48, 32, 3, 3), padding=1, algorithm="winograd"
    )
    assert wide.ways[0].algorithm == "winograd" and wide.ways[0].multiplications == 18 * 36 * 32 * 48
    deep = nnkern.explain(
        nnkern.conv3d, randn(1, 32, 6, 9, 9), randn(32, 32, 3, 3, 3), padding=1, algorithm="winograd"
    )
    assert all(way.multiplications == 6 * 9 * 36 * 96 * 32 for way in deep.ways)
    five = nnkern.explain(nnkern.conv2d, randn(2, 64, 9, 9), randn(96, 64, 5, 5), padding=2)
    assert all(way.multiplications == 50 * 36 * 64 * 96 and "F(2, 5)" in way.detail for way in five.ways)
    four = nnkern.explain(nnkern.conv2d, randn(2, 64, 32, 32), randn(128, 64, 4, 4), stride=2, padding=1)
    assert all(way.multiplications == 32 * 25 * 256 * 128 and "F(4, 2)" in way.detail for way in four.ways)
    line = nnkern.explain(nnkern.conv1d, randn(2, 64, 500), randn(96, 64, 8), padding=4, algorithm="winograd")
    assert [way.multiplications for way in line.ways] == [2 * t * 5 * 192 * 96 for t in (167, 167, 167)]
    t = nnkern.explain(nnkern.conv_transpose2d, Tensor(x), randn(8, 3, 4, 4), stride=2, padding=1)
    assert t.ways[0].direction == "forward" and t.flops == 2.0 * 2 * 8 * 3 * 16 * 81
    three = nnkern.explain(nnkern.conv2d, randn(8, 64, 56, 56), randn(128, 64, 3, 3), stride=2, padding=1)
    assert three.ways[0].multiplications == 392 * 25 * 256 * 128 and "F(4, 2)" in three.ways[0].detail
    with pytest.raises(TypeError, match="explain: relu has one algorithm only"):
        nnkern.explain(nnkern.relu, x)
    with pytest.raises(ValueError, match="conv2d: input has 8 channels but weight takes 4"):
        nnkern.explain(nnkern.conv2d, x, w)


@pytest.mark.parametrize("c, taps", [(3, 6), (64, 3), (40, 4), (20, 7)])
def test_strided_winograd_gives_the_same_bits_for_any_number_of_threads(c, taps):
    x, w = randn(4, c, 42, 38), randn(96, c, taps, taps, seed=1)
    gy = randn(4, 96, (44 - taps) // 2 + 1, (40 - taps) // 2 + 1, seed=2)
    options = {"stride": 2, "padding": 1, "algorithm": "winograd"}
    before = nnkern.get_num_threads()
    try:
        for _ in each_isa():
            found = []
            for threads in (1, 2, 3):
                nnkern.set_num_threads(threads)
                found.append(
                    [
                        nnkern.conv2d(x, w, **options),
                        nnkern.conv2d_input_grad(x.shape, w, gy, **options),
                        nnkern.conv2d_weight_grad(x, w.shape, gy, **options),
                    ]
                )
            for a, b, c in zip(*found):
                np.testing.assert_array_equal(a, b)
                np.testing.assert_array_equal(a, c)
            turned = w.swapaxes(2, 3).copy().swapaxes(2, 3)
            np.testing.assert_array_equal(found[0][0], nnkern.conv2d(x, turned, **options))
            np.testing.assert_array_equal(
                found[0][1], nnkern.conv2d_input_grad(x.shape, turned, gy, **options)
            )
    finally:
        nnkern.set_num_threads(before)


@pytest.mark.parametrize("c, taps, stride", [(64, 3, 2), (3, 11, 4)])
def test_strided_winograd_has_second_derivatives(c, taps, stride):
    arrays = randn(2, c, 29, 30), randn(32, c, taps, taps, seed=1)
    found = []
    for algorithm in ("winograd", "gemm"):
        x, w = (Tensor(a, requires_grad=True) for a in arrays)
        y = nnkern.conv2d(x, w, stride=stride, padding=1, algorithm=algorithm)
        gx, gw = nnkern.grad((y * y).sum(), (x, w), create_graph=True)
        found.append([gx, gw, *nnkern.grad((gx * gx).sum() + (gw * gw).sum(), (x, w))])
    for ours, exact in zip(*found):
        assert relative_error(ours.detach().numpy(), exact.detach().numpy()) <= WEIGHT_ERROR


def test_winograd_refuses_double():
    with pytest.raises(ValueError, match="can't serve"):
        nnkern.conv2d(np.ones((1, 16, 8, 8)), np.ones((16, 16, 3, 3)), padding=1, algorithm="winograd")


@pytest.mark.parametrize(
    "c, size, taps",
    [
        (48, (20, 20), 3),
        (100, (20, 20), 3),
        (48, (20, 20), 5),
        (100, (12, 13), 5),
        (24, (5, 19, 17), 3),
        (24, (3, 38, 34), 3),
        (40, (700,), 5),
        (40, (37, 38), 5),
        (96, (38, 30), 4),
        (64, (32, 16), 4),
    ],
)
def test_same_bits_for_any_number_of_threads(c, size, taps):
    n, stride = len(size), 2 if taps == 4 else 1
    kernel = (taps,) * n
    x, w = randn(4, c, *size), randn(c, c, *kernel, seed=1)
    gy = randn(4, c, *(s // stride for s in size), seed=2)
    algorithms = range(1, 6) if (c, taps) == (48, 3) else (ALGORITHMS["winograd"], ALGORITHMS["winograd2"])
    before = nnkern.get_num_threads()
    try:
        for _ in each_isa():
            for turn, forced in itertools.product((np.asarray, channels_last), algorithms):
                if forced == ALGORITHMS["winograd2"] and taps != 3:
                    continue
                groups = c if forced == ALGORITHMS["depthwise"] else 1
                options = ((stride,) * n, ((taps - 1) // 2,) * 2 * n, (1,) * n, groups, 0)
                filters, found = w[:, : c // groups], []
                for threads in (1, 2, 3):
                    nnkern.set_num_threads(threads)
                    found.append(
                        [
                            _cpu.conv_forward(turn(x), filters, None, None, *options, 0, forced),
                            _cpu.conv_input_grad(turn(gy), filters, None, size, *options, forced),
                            _cpu.conv_weight_grad(turn(gy), turn(x), kernel, *options, forced),
                        ]
                    )
                for other in found[1:]:
                    for a, b in zip(found[0], other):
                        np.testing.assert_array_equal(a, b)
    finally:
        nnkern.set_num_threads(before)
