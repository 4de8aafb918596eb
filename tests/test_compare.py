"""Comparisons, logic and choice: kernels on every ISA, layouts, integers, bools, NaN, gradients, PyTorch, errors."""

import itertools
import operator

import numpy as np
import pytest
from support import SIZES, check_gradient, check_kernels, check_torch, each_isa, randn, rng
from test_arithmetic import LAYOUTS, SHAPES

import nnkern
from nnkern import Tensor, _cpu
from nnkern.backends.reference.compare import BINARY


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(("s", "t"), SHAPES)
def test_kernels(name, s, t):
    x, y = np.asarray(randn(*s)).round(1), np.asarray(randn(*t, seed=1)).round(1)  # some are equal
    check_kernels(f"{name}_forward", x, y, kind="exact")


@pytest.mark.parametrize("n", SIZES)
def test_sizes(n):
    x, y = randn(n).round(1), randn(n, seed=1).round(1)
    for name in BINARY:
        check_kernels(f"{name}_forward", x, y, kind="exact")
    check_kernels("where_forward", x > y, x, y, kind="exact")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    x = LAYOUTS[layout](randn(33, 18))
    x.flags.writeable = False
    check_kernels("where_forward", x > 0, x, -x, kind="exact")
    for isa in each_isa():
        np.testing.assert_array_equal(_cpu.lt_forward(x, 0.3), x < np.float32(0.3), err_msg=isa)
        np.testing.assert_array_equal(_cpu.isnan_forward(x), np.isnan(x), err_msg=isa)
        np.testing.assert_array_equal(_cpu.clamp_forward(x, -0.5, 0.5), np.clip(x, -0.5, 0.5), err_msg=isa)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize(("s", "t"), [((4, 5), (4, 5)), ((4, 1, 3), (5, 1)), ((), (3,))])
def test_gradients(name, s, t):
    check_gradient(getattr(nnkern, name), np.asarray(randn(*s)), np.asarray(randn(*t, seed=1)))


def test_conventions_equal_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    ties = np.array([0.0, -0.0, 1.0, -2.0, 2.0], np.float32)
    other = np.array([0.0, 1.0, 1.0, -2.0, 3.0], np.float32)
    check_torch(nnkern.maximum, torch.maximum, ties, other)
    check_torch(nnkern.minimum, torch.minimum, ties, other)
    check_torch(lambda x: nnkern.clamp(x, -2.0, 1.0), lambda x: torch.clamp(x, -2.0, 1.0), ties)
    check_torch(lambda x: nnkern.clamp(x, min=0.5), lambda x: torch.clamp(x, min=0.5), ties)
    check_torch(lambda c, x, y: nnkern.where(c, x, y), torch.where, ties > 0, ties, other)


def test_nan_and_inf():
    x = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    for isa in each_isa():
        np.testing.assert_array_equal(_cpu.maximum_forward(x, 1.0), [np.nan, np.inf, 1, 1], err_msg=isa)
        np.testing.assert_array_equal(_cpu.minimum_forward(1.0, x), [np.nan, 1, -np.inf, 0], err_msg=isa)
        np.testing.assert_array_equal(_cpu.isfinite_forward(x), [False, False, False, True], err_msg=isa)
        np.testing.assert_array_equal(_cpu.isinf_forward(x), [False, True, True, False], err_msg=isa)
        assert np.isnan(_cpu.clamp_forward(x, 0.0, 1.0)[0])


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_integers(dtype):
    x, y = rng(1).integers(0, 9, (5, 7)).astype(dtype), rng(2).integers(1, 9, (5, 7)).astype(dtype)
    for name, numpy_function in BINARY.items():
        ours = getattr(nnkern, name)
        np.testing.assert_array_equal(ours(x, y), numpy_function(x, y), err_msg=name)
        np.testing.assert_array_equal(ours(x.T, 3), numpy_function(x.T, dtype(3)), err_msg=name)
    np.testing.assert_array_equal(nnkern.lt(x, 2.5), x < 2.5)
    np.testing.assert_array_equal(nnkern.where(x > y, x, y), np.where(x > y, x, y))


def test_bools():
    a, b = rng(1).random((4, 5)) > 0.5, rng(2).random(5) > 0.5
    np.testing.assert_array_equal(nnkern.logical_and(a, b), a & b)
    np.testing.assert_array_equal(nnkern.logical_or(a, b), a | b)
    np.testing.assert_array_equal(nnkern.logical_xor(a, b), a ^ b)
    np.testing.assert_array_equal((~Tensor(a) & Tensor(b)).numpy(), ~a & b)
    np.testing.assert_array_equal(nnkern.eq(a, b), a == b)
    for n, m in itertools.product((np.array([0.0, -2.0, np.nan]), np.array([0, 1, 7], np.uint8)), repeat=2):
        np.testing.assert_array_equal(nnkern.logical_and(n, m), np.logical_and(n, m))
        np.testing.assert_array_equal(nnkern.logical_or(n, Tensor(m)).data, np.logical_or(n, m))
        np.testing.assert_array_equal(nnkern.logical_xor(n, m), np.logical_xor(n, m))
        np.testing.assert_array_equal(nnkern.logical_not(n), np.logical_not(n))
    for bits in (lambda x: x & x, lambda x: 1 | x, lambda x: x ^ 1):
        with pytest.raises(TypeError, match="logical_.*bool"):
            bits(Tensor(np.array([1, 2])))


def test_errors():
    with pytest.raises(TypeError, match="where: the condition must be bool"):
        nnkern.where(randn(3), randn(3), randn(3))
    with pytest.raises(ValueError, match="clamp: min or max"):
        nnkern.clamp(randn(3))
    with pytest.raises(
        ValueError, match=r"lt: shapes do not broadcast: axis -1 is 3 and 4.*\(2, 3\).*\(4,\)"
    ):
        nnkern.lt(randn(2, 3), randn(4))


def test_numbers_beside_integers_are_exact():
    big = 2**53 + 1  # no double
    x = np.array([big, np.iinfo(np.int64).max, np.iinfo(np.int64).min])
    for number in (big, big - 1, float(big - 1), 2**63 - 1, 2**63, -(2**63), 1e300, -np.inf, 0.5):
        for name in ("eq", "ne", "lt", "le", "gt", "ge"):
            # Python compares whole numbers with floats exactly
            expected = [bool(getattr(operator, name)(int(v), number)) for v in x]
            assert getattr(nnkern, name)(x, number).tolist() == expected, (name, number)


@pytest.mark.parametrize("name", ("maximum", "minimum"))
def test_gradients_at_ties_and_nan_as_in_torch(name):
    torch = pytest.importorskip("torch")
    x, y = np.array([1.0, 2, 3, np.nan, 0, np.nan]), np.array([2.0, 2, 1, 0, np.nan, np.nan])
    found = []
    for library, make in ((nnkern, nnkern.Tensor), (torch, torch.tensor)):
        a, b = (make(v.copy()).requires_grad_() for v in (x, y))
        getattr(library, name)(a, b).backward(make(np.arange(1.0, 7)))
        found.append([t.grad.tolist() for t in (a, b)])
    assert found[0] == found[1]


def test_masked_fill_keeps_the_dtype():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    mask = np.array([True, False])
    for dtype in ("int64", "uint8", "bool", "float32", "float64"):
        x = np.array([0, 1]).astype(dtype)
        for value in (2.0, 2, True, np.array(2.0), np.float32(2), torch.tensor(2), Tensor(np.array(2.0))):
            expected = [value, 1] if dtype != "bool" else [True, True]
            for given in (x, torch.tensor(x), Tensor(x)):
                y = nnkern.masked_fill(given, mask, value)
                assert str(y.dtype).removeprefix("torch.") == dtype
                assert y.tolist() == expected
    for value in (2.5, np.array(2.5), np.nan, np.inf):
        with pytest.raises(TypeError, match="masked_fill: .* does not fit an array of int64"):
            nnkern.masked_fill(torch.tensor([1, 2]), mask, value)


def test_a_bound_of_nan_gives_nan():
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    for options in ({"min": np.nan}, {"max": np.nan}, {"min": 0.0, "max": np.nan}):
        assert np.isnan(nnkern.clamp(x.data, **options)).all()
        y = nnkern.clamp(x, **options)
        y.sum().backward()
        assert np.isnan(y.data).all() and x.grad.tolist() == [0, 0]


def test_masked_fill_equals_torch():
    torch = pytest.importorskip("torch")
    x, mask = randn(3, 4), randn(4, seed=1) > 0
    tm = torch.from_numpy(mask)
    check_torch(
        lambda a: nnkern.masked_fill(a, mask, -np.inf), lambda a: a.masked_fill(tm, -np.inf), x, kind="exact"
    )
    check_torch(
        lambda a, v: nnkern.masked_fill(a, mask, v), lambda a, v: a.masked_fill(tm, v), x, randn(), n=12
    )
    wide = randn(2, 3, 4, seed=2) > 0
    check_torch(
        lambda a: nnkern.masked_fill(a, wide, 2.0),
        lambda a: a.masked_fill(torch.from_numpy(wide), 2.0),
        x,
        kind="exact",
    )
    with pytest.raises(ValueError, match=r"masked_fill: .*\(3, 4\).*\(2,\)|masked_fill: .*\(2,\).*\(3, 4\)"):
        nnkern.masked_fill(x, np.ones(2, bool), 0.0)
    with pytest.raises(ValueError, match=r"one number .*\(4,\)"):
        nnkern.masked_fill(x, mask, randn(4))


def test_clamp_at_its_bounds_gives_x_the_gradient():
    x, low = (Tensor(np.array(v), requires_grad=True) for v in ([1.0, 5.0, 3.0], [1.0, 6.0, 2.0]))
    high = Tensor(np.array(4.0), requires_grad=True)
    x.clamp(low, high).sum().backward()
    assert x.grad.tolist() == [1, 0, 1] and low.grad.tolist() == [0, 0, 0] and high.grad.item() == 1
    x = Tensor(np.array([4.0, 2.0]), requires_grad=True)
    x.clamp(2.0, high).sum().backward()
    assert x.grad.tolist() == [1, 1]
