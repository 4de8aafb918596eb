"""grid_sample and affine_grid against PyTorch over the cross of options; gradients of both orders."""

import itertools
from functools import partial

import numpy as np
import pytest
from support import check_gradient, check_kernels, check_torch, randn

import nnkern as F
from nnkern import Tensor, _cpu, gradgradcheck

MODES, PADDINGS = ["bilinear", "nearest", "bicubic"], ["zeros", "border", "reflection"]
OPTIONS = list(itertools.product(MODES, PADDINGS, [False, True]))


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def check_all(shape, places, mode, padding, align, **how):
    torch = pytest.importorskip("torch")
    grid = 1.4 * np.tanh(randn(shape[0], *places, len(shape) - 2, seed=3))
    options = {"mode": mode, "padding_mode": padding, "align_corners": align}
    check_torch(
        lambda a, g: F.grid_sample(a, g, **options),
        lambda a, g: torch.nn.functional.grid_sample(a, g, **options),
        randn(*shape), grid, **{"kind": "chain", "n": 2000, **how},
    )  # fmt: skip


@pytest.mark.parametrize("mode, padding, align", OPTIONS)
def test_equals_torch(mode, padding, align):
    check_all((2, 3, 5, 7), (4, 6), mode, padding, align, dtypes=[np.float64])
    check_all((1, 2, 1, 7), (3, 3), mode, padding, align, dtypes=[np.float64])
    check_all((2, 3, 5, 7), (4, 6), mode, padding, align, dtypes=[np.float32], n=20000)
    if mode != "bicubic":
        check_all((2, 3, 3, 5, 4), (2, 4, 3), mode, padding, align, dtypes=[np.float64])


@pytest.mark.parametrize("mode, padding, align", OPTIONS)
def test_kernels(mode, padding, align):
    options = (MODES.index(mode), PADDINGS.index(padding), align)
    for shape, places in [
        ((2, 3, 5, 7), (4, 6)),
        ((1, 9, 4, 4), (20, 15)),
        ((1, 2, 2, 3, 4), (3, 2, 5)),
        ((1, 8, 2, 3, 4), (3, 2, 5)),
        ((1, 70, 3, 4), (2, 3)),
        ((2, 3, 4, 4), (0, 2)),
    ]:
        if mode == "bicubic" and len(shape) == 5:
            continue
        grid = 1.5 * np.tanh(randn(shape[0], *places, len(shape) - 2, seed=3))
        gy = randn(*shape[:2], *places, seed=4)
        for x in (randn(*shape), np.asfortranarray(randn(*shape)), channels_last(randn(*shape))):
            check_kernels("grid_sample_forward", x, grid, *options, kind="chain", n=400, dtypes=[np.float64])
            for need in ((True, True), (True, False), (False, True)):
                check_kernels(
                    "grid_sample_backward",
                    gy,
                    x,
                    grid,
                    *options,
                    *need,
                    kind="chain",
                    n=4000,
                    dtypes=[np.float64],
                )
            check_kernels(
                "grid_sample_forward", x, grid, *options, kind="chain", n=20000, dtypes=[np.float32]
            )


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("size, places", [((9, 7), (13, 23)), ((100, 90), (40, 60)), ((20, 13), (3, 5))])
def test_few_channels(channels, size, places):
    """Images become quads where they are small or much is read of them: more than a tile, more than a block."""
    for axes in (0, 2):
        shape, grid = (2, channels, *(2,) * (axes > 0), *size), (2, *(1,) * (axes > 0), *places)
        grid = 1.2 * np.tanh(randn(*grid, len(shape) - 2, seed=3))
        gy = randn(2, channels, *grid.shape[1:-1], seed=4)
        for lay in (np.asarray, channels_last):
            x = lay(randn(*shape))
            check_kernels("grid_sample_forward", x, grid, 0, 0, False, kind="chain", n=20000)
            args = (lay(gy), x, grid, 0, 0, False, True, True)
            check_kernels("grid_sample_backward", *args, kind="chain", n=100000)


@pytest.mark.parametrize("mode, padding, align", OPTIONS)
def test_gradients(mode, padding, align):
    x, grid = randn(2, 2, 4, 5), 0.9 * np.tanh(randn(2, 3, 3, 2, seed=1))
    check_gradient(lambda a, g: F.grid_sample(a, g, mode, padding, align), x, grid, rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", PADDINGS)
def test_second_derivatives(mode, padding):
    x = Tensor(randn(1, 1, 3, 4).astype(np.float64), requires_grad=True)
    grid = Tensor(
        0.9 * np.tanh(randn(1, 2, 2, 2, seed=1)).astype(np.float64), requires_grad=mode != "nearest"
    )
    assert gradgradcheck(lambda a, g: F.grid_sample(a, g, mode, padding, False), (x, grid))


def test_volumes_twice():
    x = Tensor(randn(1, 1, 2, 3, 2).astype(np.float64), requires_grad=True)
    grid = Tensor(0.9 * np.tanh(randn(1, 1, 2, 2, 3, seed=1)).astype(np.float64), requires_grad=True)
    assert gradgradcheck(
        lambda a, g: F.grid_sample(a, g, padding_mode="border", align_corners=True), (x, grid)
    )


def test_what_lies_outside_never_leaks():
    x = np.full((1, 1, 3, 3), np.nan, np.float32)
    grid = np.array([[[[3.0, 0.0], [np.inf, 0.0], [-np.inf, 0.0], [np.nan, 0.0]]]], np.float32)
    for v in (x, channels_last(np.repeat(x, 9, 1))):
        assert (F.grid_sample(v, grid) == 0).all()
    y = F.grid_sample(randn(1, 1, 3, 3), grid, padding_mode="border", align_corners=True)
    assert np.isfinite(y).all()


def test_same_bits_for_any_number_of_threads():
    x, grid, gy = randn(2, 20, 30, 40), randn(2, 50, 60, 2), randn(2, 20, 50, 60)
    for v in (x, channels_last(x)):
        found, before = set(), F.get_num_threads()
        try:
            for threads in (1, 2, 3):
                F.set_num_threads(threads)
                y = _cpu.grid_sample_forward(v, grid, 0, 0, False)
                gx, gg = _cpu.grid_sample_backward(gy, v, grid, 0, 0, False, True, True)
                found.add(y.tobytes() + gx.tobytes() + gg.tobytes())
        finally:
            F.set_num_threads(before)
        assert len(found) == 1


@pytest.mark.parametrize("align", [False, True])
def test_affine_grid(align):
    torch = pytest.importorskip("torch")
    for shape in [(2, 3, 4, 5), (1, 1, 1, 3), (2, 1, 3, 2, 4)]:
        n = len(shape) - 2
        check_torch(
            partial(F.affine_grid, size=shape, align_corners=align), partial(torch.nn.functional.affine_grid, size=list(shape), align_corners=align),
            randn(shape[0], n, n + 1), kind="chain", n=24,
        )  # fmt: skip


X, G = randn(2, 3, 4, 5), randn(2, 3, 3, 2)


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda: F.grid_sample(X, G, "cubic"), ValueError, "mode must be one of 'bilinear', 'nearest', 'bicubic'"),
        (lambda: F.grid_sample(X, G, padding_mode="edge"), ValueError, "padding_mode must be one of 'zeros'"),
        (lambda: F.grid_sample(X, G[:1]), ValueError, r"needs grid \(N, h, w, 2\).*\(2, 3, 4, 5\).*\(1, 3, 3, 2\)"),
        (lambda: F.grid_sample(X, G[..., :1]), ValueError, "needs grid"),
        (lambda: F.grid_sample(X[:, :, 0], G), ValueError, "needs grid"),
        (lambda: F.grid_sample(X[:, :, :0], G), ValueError, "must have a pixel"),
        (lambda: F.grid_sample(X, G.astype(np.float64)), TypeError, "grid_sample"),
        (lambda: F.grid_sample(randn(2, 3, 4, 5, 6), randn(2, 1, 1, 1, 3), "bicubic"), ValueError, "two spatial axes"),
        (lambda: _cpu.grid_sample_backward(X, X, G, 0, 0, False, True, True), ValueError, "shape of the result"),
        (lambda: F.affine_grid(randn(2, 2, 2), (2, 3, 4, 5)), ValueError, r"theta \(N, 2, 3\).*\(2, 2, 2\)"),
        (lambda: F.affine_grid(randn(2, 2, 3), (2, 3, 0, 5)), ValueError, "all positive"),
        (lambda: F.affine_grid(np.ones((2, 2, 3), int), (2, 3, 4, 5)), TypeError, "affine_grid: theta must be .* got int64"),
    ],
)  # fmt: skip
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call()
