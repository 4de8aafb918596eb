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
    with pytest.raises(TypeError, match="add: the number 0.5"):
        nnkern.add(x, 0.5)


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
