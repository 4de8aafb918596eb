"""Running sums and products: every axis, layout and dtype; gradients, also at zeros; PyTorch; threads; errors."""

import numpy as np
import pytest
from support import SIZES, check_gradient, check_kernels, check_torch, randn

import nnkern
from nnkern import Tensor, _cpu

SHAPES = [
    ((7,), 0),
    ((3, 5), 0),
    ((3, 5), 1),
    ((2, 3, 4), -2),
    ((17, 9), -1),
    ((4, 300), 0),
    ((2, 0, 3), 1),
    ((2, 0, 3), 2),
    ((), 0),
]


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_kernels(shape, axis):
    x = np.asarray(randn(*shape))
    for reverse in (False, True):
        check_kernels("cumsum_forward", x, axis, reverse, n=50)
    check_kernels("cumprod_forward", x, axis, kind="chain")
    y = nnkern.cumprod(x, axis)
    check_kernels("cumprod_backward", np.asarray(randn(*shape, seed=1)), x, y, axis, kind="chain")


@pytest.mark.parametrize("n", SIZES)
def test_sizes_and_layouts(n):
    check_kernels("cumsum_forward", randn(n, 3).T, 1, False, n=n)
    check_kernels("cumsum_forward", randn(5, n)[::-1, ::-1], 0, True, n=5)
    check_kernels("cumsum_forward", np.broadcast_to(randn(1, n), (9, n)), 1, False, n=n)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, bool])
def test_whole_numbers(dtype):
    x = (np.abs(randn(6, 9)) * 3).astype(dtype)
    for axis in (0, 1):
        np.testing.assert_array_equal(nnkern.cumsum(x, axis), np.cumsum(x, axis, np.int64))
        np.testing.assert_array_equal(nnkern.cumprod(x, axis), np.cumprod(x, axis, np.int64))


def test_long_sums_stay_accurate():
    x = np.full(1_000_000, 0.1, np.float32)
    assert abs(float(nnkern.cumsum(x, 0)[-1]) - float(np.sum(x, dtype=np.float64))) < 0.01


def test_thread_counts_and_nan():
    x = randn(300, 400)
    x[5, 7] = np.nan
    before, found = _cpu.num_threads(), []
    try:
        for threads in (1, 2, 3):
            _cpu.set_num_threads(threads)
            found.append([nnkern.cumsum(x, axis) for axis in (0, 1)])
    finally:
        _cpu.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other):
            np.testing.assert_array_equal(a, b)
    assert np.isnan(found[0][1][5, 7:]).all() and not np.isnan(found[0][1][5, :7]).any()


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("dim", [0, -1])
def test_gradients_and_torch(name, dim):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    f = getattr(nnkern, name)
    x = randn(4, 5)
    check_gradient(lambda t: f(t, dim), x)
    nnkern.gradgradcheck(lambda t: f(t, dim), [Tensor(x.astype(np.float64), requires_grad=True)])
    x[1, 2] = x[3, 2] = 0  # two zeros in a row
    check_torch(lambda t: f(t, dim), lambda t: getattr(torch, name)(t, dim), x, kind="chain")
    assert Tensor(x).cumsum(0).shape == (4, 5)


def test_errors():
    with pytest.raises(IndexError, match=r"cumsum: dim 2 does not exist \(x.shape=\(3, 4\)\)"):
        nnkern.cumsum(randn(3, 4), 2)
    with pytest.raises(ValueError, match="cumprod: gy, x and y must have one shape"):
        _cpu.cumprod_backward(randn(3), randn(4), randn(4), 0)
    with pytest.raises(TypeError, match="cumsum: expected an array or Tensor, got list"):
        nnkern.cumsum([1.0], 0)
