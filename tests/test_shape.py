"""Shape ops: views cost nothing, copies are exact for every layout and dtype, gradients flow back into place."""

import itertools

import numpy as np
import pytest
from support import SIZES, check_kernels, randn

from nnkern import _cpu

ALL_DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")


def values(shape, dtype, seed=0):
    return (randn(*shape, seed=seed) * 50).astype(dtype)


def layouts(x):
    """x's values in memory layouts that a kernel may meet; each item is (name, array equal to x)."""
    yield "contiguous", x
    for order in itertools.islice(itertools.permutations(range(x.ndim)), 1, 8):
        yield f"permuted {order}", np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    yield "reversed", np.ascontiguousarray(x[::-1])[::-1]
    padded = np.zeros((*x.shape[:-1], 2 * x.shape[-1] + 1), x.dtype)
    padded[..., 1::2] = x
    yield "every second", padded[..., 1::2]
    frozen = x.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen


@pytest.mark.parametrize("dtype", ALL_DTYPES)
@pytest.mark.parametrize("shape", [(7,), (5, 9), (3, 4, 5), (2, 3, 17, 19), (3, 1, 4, 2, 5), (130, 67)])
def test_copy_of_every_layout_and_dtype(shape, dtype):
    x = values(shape, dtype)
    for name, layout in layouts(x):
        y = _cpu.copy_forward(layout)
        assert y.flags.c_contiguous, name
        np.testing.assert_array_equal(y, x, err_msg=name)


@pytest.mark.parametrize("n", SIZES)
def test_transposes_around_register_widths(n):
    for m in (1, 2, 3, 4, 5, 8, 16, 17, 33):
        check_kernels("copy_forward", randn(m, n).T, kind="exact")
        check_kernels("copy_forward", randn(2, n, m).transpose(0, 2, 1), kind="exact")


@pytest.mark.parametrize("shape", [(1000, 700), (3, 64, 56, 57), (70001,), (300000,), (5, 3, 200, 200)])
def test_large_copies_and_thread_counts(shape):
    x = randn(*shape)
    before = _cpu.num_threads()
    try:
        for threads in (1, 2, 3):
            _cpu.set_num_threads(threads)
            np.testing.assert_array_equal(_cpu.copy_forward(x.T), x.T)
            np.testing.assert_array_equal(_cpu.copy_forward(x[::-1]), x[::-1])
            np.testing.assert_array_equal(_cpu.copy_forward(x), x)
    finally:
        _cpu.set_num_threads(before)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1, 1)])
def test_copy_of_degenerate_shapes(shape):
    check_kernels("copy_forward", randn(*shape), kind="exact")


def test_copy_keeps_signalling_bits():
    bits = np.arange(0x7F800001, 0x7F800001 + 64 * 64, dtype=np.uint32).reshape(64, 64)  # signalling NaNs
    np.testing.assert_array_equal(_cpu.copy_forward(bits.view(np.float32).T).view(np.uint32), bits.T)


def test_copy_of_broadcast_and_into_strided_out():
    x = randn(5, 1, 7)
    check_kernels("copy_forward", np.broadcast_to(x, (5, 9, 7)), kind="exact")
    check_kernels("copy_forward", np.broadcast_to(np.float32(3), (4, 33)), kind="exact")
    check_kernels("copy_forward", np.broadcast_to(randn(33, 1), (33, 70)), kind="exact")
    base = np.zeros((7, 20, 5), np.float32)
    out = base[:, ::-2, :].transpose(2, 1, 0)
    assert _cpu.copy_forward(np.broadcast_to(x, (5, 10, 7)), out=out) is out
    np.testing.assert_array_equal(base[:, 1::2], np.broadcast_to(x, (5, 10, 7)).transpose(2, 1, 0))
    assert (base[:, ::2] == 0).all()


def test_copy_refuses_a_bad_out():
    x = randn(4, 6)
    with pytest.raises(ValueError, match=r"copy: out has the wrong shape .*\(6, 4\).*\(4, 6\)"):
        _cpu.copy_forward(x, out=np.zeros((6, 4), np.float32))
    with pytest.raises(ValueError, match="copy: out overlaps x"):
        _cpu.copy_forward(x, out=x[::-1])
    with pytest.raises(ValueError, match="read-only"):
        _cpu.copy_forward(x, out=np.broadcast_to(np.float32(0), (4, 6)))
    assert _cpu.copy_forward(x, out=x) is x


@pytest.mark.parametrize("dtype", ALL_DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_cat_kernel(axis, dtype):
    parts = [values([2 + (axis % 3 == d) * i for d in range(3)], dtype, seed=i) for i in range(3)]
    parts[1] = np.asfortranarray(parts[1])
    check_kernels("cat_forward", parts, axis, kind="exact", dtypes=[np.float32])


def test_cat_with_empty_parts_and_errors():
    check_kernels("cat_forward", [randn(2, 0), randn(2, 3), randn(2, 0)], 1, kind="exact")
    for bad, message in [
        ([], "at least one array"),
        ([randn(2, 3), randn(3, 3)], r"tensors\[1\] must have .* except along dim 1"),
        ([randn(2, 3), randn(2)], r"tensors\[1\] must have"),
    ]:
        with pytest.raises(ValueError, match=f"cat: .*{message}"):
            _cpu.cat_forward(bad, 1)
    with pytest.raises(TypeError, match=r"tensors\[1\] is float64"):
        _cpu.cat_forward([randn(2, 3), randn(2, 3, dtype=np.float64)], 1)
    with pytest.raises(ValueError, match="dim 2 does not exist"):
        _cpu.cat_forward([randn(2, 3)], 2)


@pytest.mark.parametrize(
    "pads", [(), (1, 2), (0, 3, 2, 0), (1, 1, 2, 2, 3, 3), (-1, 2), (-2, -1, 1, -2), (4, -7), (-9, 12)]
)
def test_pad_kernel(pads):
    check_kernels("pad_forward", randn(3, 5, 7), list(pads), 0.5, kind="exact")
    check_kernels("pad_forward", randn(7, 5, 3).T, list(pads), -1.0, kind="exact")


def test_pad_errors():
    with pytest.raises(ValueError, match=r"pad: .*\(-3, -3\) leaves no valid length along dim 1"):
        _cpu.pad_forward(randn(2, 5), (-3, -3), 0.0)
    with pytest.raises(ValueError, match="at most each dimension, got 3 numbers"):
        _cpu.pad_forward(randn(2, 5), (1, 1, 1), 0.0)


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("diagonal", [-9, -2, 0, 1, 3, 9, 2**62])
def test_triangle_kernel(diagonal, upper):
    for shape in ((5, 7), (7, 5), (2, 3, 4, 4), (0, 3), (3, 0)):
        check_kernels("triangle_forward", randn(*shape), diagonal, upper, kind="exact")
