"""Sums, differences, products, quotients: kernels on every ISA, layouts, integers, out=, gradients, errors."""

import numpy as np
import pytest
from support import SIZES, check_gradient, check_kernels, randn, rng

import nnkern
from nnkern import Tensor

NUMPY = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide}
SHAPES = [
    ((130,), (130,)), ((5, 1, 7), (3, 1)), ((), (4,)), ((4, 5), (5,)), ((4, 1), (4, 6)), ((0, 3), (1, 3)),
]  # fmt: skip


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize(("s", "t"), SHAPES)
def test_kernels(name, s, t):
    check_kernels(f"{name}_forward", np.asarray(randn(*s)), np.asarray(randn(*t, seed=1)), kind="chain")


@pytest.mark.parametrize("n", SIZES)
def test_sizes(n):
    x, y = randn(n), randn(n, seed=1)
    for name in NUMPY:
        check_kernels(f"{name}_forward", x, y, kind="math")
    check_kernels("neg_forward", x, kind="exact")


LAYOUTS = {
    "transposed": lambda x: x.T,
    "every second": lambda x: x[::2, ::3],
    "backwards": lambda x: x[::-1, ::-1],
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "one column": lambda x: x[:, 1:2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    x = LAYOUTS[layout](randn(33, 18))
    x.flags.writeable = False
    check_kernels("add_forward", x, np.ascontiguousarray(x), kind="exact")
    check_kernels("sub_forward", x, LAYOUTS[layout](randn(33, 18, seed=3)), kind="exact")
    check_kernels("neg_forward", x, kind="exact")


def test_large_arrays_in_parallel():
    check_kernels("mul_forward", randn(301, 1009), randn(1009, seed=1), kind="exact")


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize(("s", "t"), [((4, 5), (4, 5)), ((4, 1, 3), (5, 1)), ((), (3,))])
def test_gradients(name, s, t):
    x, y = (np.asarray(randn(*shape, seed=i), np.float64) for i, shape in enumerate((s, t)))
    check_gradient(getattr(nnkern, name), x, y)
    tensors = [Tensor(a, requires_grad=True) for a in (x, y + 3)]
    nnkern.gradgradcheck(getattr(nnkern, name), tensors)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_integers(dtype):
    x, y = rng(1).integers(0, 9, (5, 7)).astype(dtype), rng(2).integers(1, 9, (5, 7)).astype(dtype)
    for name in ("add", "sub", "mul"):
        np.testing.assert_array_equal(getattr(nnkern, name)(x, y), NUMPY[name](x, y), err_msg=name)
        np.testing.assert_array_equal(getattr(nnkern, name)(x.T, 3), NUMPY[name](x.T, dtype(3)), err_msg=name)


def test_out():
    x, y = randn(40, 30), randn(40, 30, seed=1)
    out = np.empty((40, 60), np.float32)[:, ::2]
    assert nnkern.add(x, y, out=out) is out
    np.testing.assert_array_equal(out, x + y)
    z = x.copy()
    nnkern.mul(z, y, out=z)
    np.testing.assert_array_equal(z, x * y)
    z = randn(100)
    expected = z[:-1] + z[1:]
    nnkern.add(z[:-1], z[1:], out=z[1:])  # overlapping: as if the inputs had been copied
    np.testing.assert_array_equal(z[1:], expected)
    z = randn(6, 6)
    expected = z + z.T
    nnkern.add(z, z.T, out=z)
    np.testing.assert_array_equal(z, expected)


READ_ONLY = np.zeros(3, np.float32)
READ_ONLY.flags.writeable = False

ERRORS = [
    (lambda: nnkern.add(randn(2, 3), randn(4)), ValueError, r"add: shapes do not broadcast: axis -1 is 3 and 4.*\(2, 3\).*\(4,\)"),
    (lambda: nnkern.add(randn(3), randn(3).astype(float)), TypeError, "add: x is float32 but y is float64"),
    (lambda: nnkern.add(randn(3), randn(3), out=READ_ONLY), ValueError, "add: out is read-only"),
    (lambda: nnkern.add(randn(3), randn(3), out=np.zeros(4, np.float32)), ValueError, r"add: out has the wrong shape.*\(4,\)"),
    (lambda: nnkern.add(randn(3), randn(3), out=np.zeros(3)), TypeError, "add: out is float64 but the result is float32"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[t[:30] for _, _, t in ERRORS])
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_numbers_beside_integers_are_exact_or_refused():
    x = np.array([1, 2])
    assert nnkern.add(x, 2**53 + 1).tolist() == [2**53 + 2, 2**53 + 3]
    assert nnkern.add(x.astype(np.int32), 3).dtype == np.int32
    assert nnkern.add(x.astype(np.int32), 3.0).dtype == np.float32
    assert nnkern.where(np.array([True, False]), x, 2**60 + 1).tolist() == [1, 2**60 + 1]
    for dtype, number in (
        (np.int64, 2**63),
        (np.int32, 2**40),
        (np.uint8, -1),
    ):
        with pytest.raises(TypeError, match=f"add: the number .* does not fit an array of {np.dtype(dtype)}"):
            nnkern.add(x.astype(dtype), number)


def test_what_is_no_array_is_named():
    for f, text in (
        (lambda: nnkern.add(randn(2), np.zeros(2, complex)), "add: y must be a float32, .* got complex128"),
        (lambda: nnkern.exp(None), "exp: x must be .* got NoneType"),
        (lambda: nnkern.exp(np.zeros(2, np.float16)), "exp: x must be .* got float16"),
        (lambda: nnkern.cat([randn(2), np.zeros(2, np.float16)]), r"cat: .*\[1\] must be .* got float16"),
        (lambda: nnkern.exp(np.zeros((1,) * 40)), "exp: x has more than 32 dimensions"),
    ):
        with pytest.raises(TypeError, match=text):
            f()


def test_results_that_no_memory_holds():
    huge = np.broadcast_to(np.float32(0), (1 << 40,))
    with pytest.raises(MemoryError, match=r"exp: no memory for a result of shape \(1099511627776,\)"):
        nnkern.exp(huge)
    with pytest.raises(ValueError, match="add: the result is too large to allocate"):
        nnkern.add(np.broadcast_to(np.float32(0), (1 << 29, 1 << 31)), 1.0)


@pytest.mark.parametrize("shape", [(3, 5), (700, 16), (300, 256), (5, 257), (4000, 33)])
def test_a_row_beside_every_row(shape):
    x, row = randn(*shape), randn(shape[-1], seed=1)
    for name in ("add", "sub", "maximum", "gt"):
        check_kernels(f"{name}_forward", x, row, kind="exact" if name in ("maximum", "gt") else "sum")
        check_kernels(f"{name}_forward", row, x, kind="exact" if name in ("maximum", "gt") else "sum")
    image = randn(3, 7, 5, shape[-1]).transpose(0, 3, 1, 2)
    check_kernels("mul_forward", image, row[:, None, None])


@pytest.mark.parametrize(("mode", "expected"), [("floor", [2.0, -4.0]), ("trunc", [2.0, -3.0])])
def test_rounded_division_writes_into_out(mode, expected):
    x, y, out = np.array([5.0, -7.0]), np.array([2.0, 2.0]), np.zeros(2)
    assert nnkern.div(x, y, out=out, rounding_mode=mode) is out and out.tolist() == expected
    with pytest.raises(ValueError, match=r"div: out is float64 \(3,\) but the result float64 \(2,\)"):
        nnkern.div(x, y, out=np.zeros(3), rounding_mode=mode)
