"""Sorting and the k first against NumPy and PyTorch: every dtype and axis, equal elements, NaN; gradients."""

import numpy as np
import pytest
from support import check_gradient, check_kernels, check_torch, randn

import nnkern as F
from nnkern import Tensor, gradgradcheck

SHAPES = [(10,), (3, 17), (5, 300), (2, 3000), (3, 4, 5), (), (0, 4), (4, 0), (1, 1)]
TYPES = [np.float32, np.float64, np.int32, np.int64, np.uint8, bool]


def few(shape, dtype):
    """Numbers that often repeat."""
    x = 40 * np.asarray(randn(*shape))
    return np.asarray(x > 0 if dtype is bool else np.trunc(np.abs(x) if dtype is np.uint8 else x), dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_axis_and_layout(shape, dtype):
    for x in (
        few(shape, dtype),
        few(shape[::-1], dtype).T,
        few(shape, dtype)[::-1] if shape else few(shape, dtype),
    ):
        for axis in range(-x.ndim, x.ndim) if shape else (0, -1):
            n = x.shape[axis] if shape else 1
            for descending in (False, True):
                check_kernels("sort_forward", x, axis, descending, kind="exact", dtypes=[dtype])
                for k in {0, 1, n // 3, max(0, n - 1), n}:
                    if k <= n and (shape or k):
                        check_kernels("topk_forward", x, k, axis, descending, kind="exact", dtypes=[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_numbers(dtype):
    for n in (40, 2000):
        x = randn(n).astype(dtype)
        x[[3, 5, 7, 11, 13]] = np.nan, np.inf, -np.inf, 0.0, -0.0
        x[[17, 19]] = -np.nan, 0.0
        for descending in (False, True):
            check_kernels("sort_forward", x, 0, descending, kind="exact", dtypes=[dtype])
            check_kernels("topk_forward", x, 8, 0, descending, kind="exact", dtypes=[dtype])
        y = F.sort(x)
        assert np.isnan(y.values[-2:]).all() and y.indices[-2:].tolist() == [3, 17]


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65, 255, 257])
def test_lengths_around_the_networks(n):
    for dtype in (np.float32, np.float64, np.int64):
        x = few((20, n), dtype)
        for descending in (False, True):
            check_kernels("sort_forward", x, 1, descending, kind="exact", dtypes=[dtype])


@pytest.mark.parametrize("k", [1, 5, 8, 9, 32, 33, 128, 129, 500])
@pytest.mark.parametrize("n", [300, 1023, 1024, 1025, 4001])
def test_the_first_of_long_rows(n, k):
    x = randn(3, n)
    x[1, ::3] = np.nan  # more of them than k
    x[2] = np.round(x[2])
    for dtype in (np.float32, np.float64):
        for descending in (False, True):
            if k <= n:
                check_kernels("topk_forward", x.astype(dtype), k, 1, descending, kind="exact", dtypes=[dtype])


def test_rows_that_are_sorted_or_equal():
    for x in (np.zeros(5000, np.float32), np.arange(5000.0), -np.arange(5000.0)):
        check_kernels("sort_forward", x, 0, False, kind="exact")
        check_kernels("topk_forward", x, 10, 0, True, kind="exact")
        check_kernels("topk_forward", x, 10, 0, False, kind="exact")


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("largest", [False, True])
def test_equals_torch(dim, largest):
    torch = pytest.importorskip("torch")
    x = randn(6, 7, 5)
    check_torch(
        lambda a: F.sort(a, dim, largest).values,
        lambda a: torch.sort(a, dim, largest).values,
        x,
        kind="exact",
    )
    check_torch(
        lambda a: F.topk(a, 3, dim, largest).values,
        lambda a: torch.topk(a, 3, dim, largest).values,
        x,
        kind="exact",
    )
    check_torch(
        lambda a: F.kthvalue(a, 3, dim).values, lambda a: torch.kthvalue(a, 3, dim).values, x, kind="exact"
    )
    check_torch(
        lambda a: F.median(a, dim, True).values, lambda a: torch.median(a, dim, True).values, x, kind="exact"
    )
    check_torch(F.median, torch.median, x, kind="exact")
    np.testing.assert_array_equal(
        F.argsort(x, dim, largest), torch.argsort(torch.from_numpy(x), dim, largest).numpy()
    )
    assert F.median(np.array([1.0, np.nan, 3.0]), 0).indices == 1


def test_the_median_of_all_shares_its_gradient():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for x in (np.ones(3), np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([np.nan, 1.0, np.nan]), np.array(2.0)):
        ours, theirs = Tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
        F.median(ours).backward()
        torch.median(theirs).backward()
        np.testing.assert_array_equal(ours.grad.data, theirs.grad)
    t = Tensor(randn(5).astype(np.float64), requires_grad=True)
    assert gradgradcheck(lambda a: F.median(F.mul(a, a)), (t,))


def test_gradients():
    x = randn(4, 6)
    check_gradient(lambda a: F.sort(a, 0).values, x)
    check_gradient(lambda a: F.topk(a, 2, 1).values, x)
    check_gradient(lambda a: F.kthvalue(a, 2, 1).values, x)
    t = Tensor(x.astype(np.float64), requires_grad=True)
    assert gradgradcheck(lambda a: F.topk(F.mul(a, a), 2, 1).values, (t,))
    assert isinstance(F.argsort(t), Tensor) and not F.argsort(t).requires_grad


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda: F.sort(randn(2, 3), 2), IndexError, r"sort: dim 2 does not exist .*\(2, 3\)"),
        (
            lambda: F.topk(randn(2, 3), 4),
            ValueError,
            r"topk: k must lie in \[0, 3\], the length of dim 1, got 4",
        ),
        (lambda: F.topk(randn(2, 3), -1), ValueError, "k must lie in"),
        (lambda: F.kthvalue(randn(2, 3), 0), ValueError, r"k must lie in \[1, 3\], got 0"),
        (lambda: F.median(randn(2, 0), 1), ValueError, "dim 1 has no elements"),
        (lambda: F.median(randn(2, 0)), ValueError, r"median: x has no elements \(x.shape=\(2, 0\)\)"),
        (lambda: F.sort(None), TypeError, "sort"),
    ],
)
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call()
