"""Reading and writing by index: values, order of sums, gradients, errors that name the offending index."""

import numpy as np
import pytest
from support import DTYPES, check_kernels, randn, rng

from nnkern import _cpu


def indices(shape, size, dtype=np.int64, seed=0):
    return np.asarray(rng(seed, 3).integers(-size, size, shape), dtype)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("index_shape", [(), (4,), (2, 3), (0,), (700,)])
def test_take_and_index_add_kernels(axis, index_shape):
    for x in (randn(5, 6, 7), randn(7, 6, 5).T, randn(5, 12, 14)[:, ::-2, ::2]):
        index = indices(index_shape, x.shape[axis])
        check_kernels("take_forward", x, index, axis, kind="exact")
        source = np.take(x, index, axis) * 2
        check_kernels("index_add_forward", x, index, source, axis, n=700)
        check_kernels(
            "index_add_forward",
            x,
            indices(index_shape, x.shape[axis], np.int32),
            source.T.copy().T,
            axis,
            n=700,
        )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather_and_scatter_kernels(axis):
    for x in (randn(5, 6, 7), randn(7, 6, 5).T, np.broadcast_to(randn(5, 1, 7), (5, 6, 7))):
        shape = [3, 4, 5]
        shape[axis] = 11  # longer than x along the axis
        index = indices(shape, x.shape[axis], seed=axis)
        check_kernels("gather_forward", x, index, axis, kind="exact")
        check_kernels("gather_forward", x, index[::-1, :, ::2].astype(np.int32), axis, kind="exact")
        source = randn(12, 12, 12)
        check_kernels("scatter_add_forward", x, index, source, axis, n=11)
        unique = np.argsort(randn(*x.shape), axis=axis)
        check_kernels("scatter_forward", x, unique, source, axis, kind="exact")


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_other_dtypes(dtype):
    x = (randn(6, 4) * 9).astype(dtype)
    index = indices((3,), 6)
    np.testing.assert_array_equal(_cpu.take_forward(x, index, 0), x[index])
    wide = indices((3, 4), 6)
    np.testing.assert_array_equal(_cpu.gather_forward(x, wide, 0), np.take_along_axis(x, wide, 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_thread_count(dtype):
    x, index = randn(300, 130, dtype=dtype), indices((5000,), 300)
    source, wide = randn(5000, 130, dtype=dtype), indices((300, 2000), 130)
    wide_source = randn(300, 2000, dtype=dtype)
    results = []
    before = _cpu.num_threads()
    try:
        for threads in (1, 2, 3):
            _cpu.set_num_threads(threads)
            results.append(
                (
                    _cpu.take_forward(x, index, 0),
                    _cpu.index_add_forward(x, index, source, 0),
                    _cpu.gather_forward(x, wide, 1),
                    _cpu.scatter_add_forward(x, wide, wide_source, 1),
                )
            )
    finally:
        _cpu.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)


def test_in_place_and_overlap():
    x = randn(5, 3)
    index, source = np.array([1, 1]), randn(2, 3, seed=1)
    expected = x.copy()
    np.add.at(expected, index, source)
    assert _cpu.index_add_forward(x, index, source, 0, out=x) is x
    np.testing.assert_allclose(x, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="index_add: out overlaps"):
        _cpu.index_add_forward(x, index, x[:2], 0, out=x)


@pytest.mark.parametrize(
    "name", ["take_forward", "gather_forward", "scatter_forward", "scatter_add_forward", "index_add_forward"]
)
@pytest.mark.parametrize("bad", [4, -5, 2**62])
def test_index_out_of_range(name, bad):
    x = randn(4, 3)
    index = np.array([[0, 1, 2], [1, bad, 0]])
    arguments = [x, index] if name in ("take_forward", "gather_forward") else [x, index, randn(2, 3)]
    if name == "index_add_forward":
        arguments[2] = randn(2, 3, 3)
    with pytest.raises(IndexError, match=rf"index\[1, 1\] is {bad}, out of range for dim 0 of size 4"):
        getattr(_cpu, name)(*arguments, 0)


def test_wrong_arguments():
    x = randn(4, 3)
    with pytest.raises(TypeError, match="gather: index is float32; int64 or int32 is needed"):
        _cpu.gather_forward(x, randn(4, 3), 0)
    with pytest.raises(
        ValueError, match=r"gather: index must have x's number of dimensions.*\(4, 3\).*\(4, 4\)"
    ):
        _cpu.gather_forward(x, np.zeros((4, 4), np.int64), 0)
    with pytest.raises(ValueError, match="scatter: .*no longer than source"):
        _cpu.scatter_forward(x, np.zeros((4, 3), np.int64), randn(3, 3), 0)
    with pytest.raises(ValueError, match="index_add: source must have x's shape with dim 0 replaced"):
        _cpu.index_add_forward(x, np.zeros(2, np.int64), randn(3, 3), 0)
    with pytest.raises(ValueError, match="dim 2 does not exist"):
        _cpu.take_forward(x, np.zeros(2, np.int64), 2)
    with pytest.raises(TypeError, match="x is float32 but source is float64"):
        _cpu.scatter_add_forward(x, np.zeros((1, 1), np.int64), randn(2, 2, dtype=np.float64), 0)
