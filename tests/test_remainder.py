"""remainder, fmod and floor_divide: exact, with Python's and C's signs, for every dtype as PyTorch has them."""

import itertools

import numpy as np
import pytest
from support import DTYPES, SIZES, check_gradient, check_kernels, each_isa, randn, rng

import nnkern
from nnkern import Tensor, _cpu

NAMES = ("remainder", "fmod", "floor_divide")
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 1e-30, 1e30, -1e30, 3e38, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("name", NAMES)
def test_every_isa_equals_the_reference(name):
    kernel = f"{name}_forward"
    for n in SIZES:
        x, y = randn(n) * np.float32(100), randn(n, seed=1)
        check_kernels(kernel, x, y, kind="exact")
        check_kernels(kernel, x, 0.7 if name == "fmod" else -2.5, kind="exact")
    x = randn(5, 6, 7)
    for view, other in ((x[::-1, ::2], x[:, :3]), (x.T, x.T[:, ::-1]), (x, x[0]), (x[:, :1], x)):
        check_kernels(kernel, view, other, kind="exact")
    check_kernels(kernel, randn(0, 3), randn(3), kind="exact")
    check_kernels(kernel, randn(3)[0:1].reshape(()), randn(3), kind="exact")
    check_kernels(kernel, np.repeat(SPECIAL, 13), np.tile(SPECIAL, 13), kind="exact")


@pytest.mark.parametrize("name", NAMES)
def test_whole_numbers_and_mixtures_as_in_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    g = rng(3)
    kinds = ("int64", "int32", "uint8", "float32", "float64", 3, -3, 2.5)
    for a, b in itertools.product(kinds, kinds):
        if not isinstance(a, str) and not isinstance(b, str) or {a, b} == {"float32", "float64"}:
            continue
        if -3 in (a, b) and "uint8" in (a, b):
            continue  # a number that does not fit: refused here, wrapped there
        low = 0 if "uint8" in (a, b) else -9
        x = g.integers(low, 9, 40).astype(a) if isinstance(a, str) else a
        y = (g.integers(low, 9, 40) | 1).astype(b) if isinstance(b, str) else b
        ours = getattr(nnkern, name)(x, y)
        theirs = [torch.from_numpy(v) if isinstance(v, np.ndarray) else torch.tensor(v) for v in (x, y)]
        if isinstance(b, str) and b != "int64" and not isinstance(a, str):
            theirs[0] = torch.tensor(a, dtype=torch.float32 if isinstance(a, float) and "int" in b else None)
        expected = getattr(torch, name)(*theirs).numpy()
        assert ours.dtype == expected.dtype, (a, b)
        np.testing.assert_array_equal(ours, expected, err_msg=f"{a} {b}")


def test_extreme_whole_numbers():
    for dtype in (np.int32, np.int64):
        low = np.iinfo(dtype).min
        x = np.array([low, low, low, low + 1], dtype)
        y = np.array([-1, 3, low, -2], dtype)
        assert nnkern.floor_divide(x, y).tolist() == [low, low // 3, 1, (low + 1) // -2]
        assert nnkern.remainder(x, y).tolist() == [0, low % 3, 0, (low + 1) % -2]
        assert nnkern.fmod(x, y).tolist() == [0, low % 3 - 3, 0, -1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_quotients_are_exact(dtype):
    g = rng(7)
    x = (g.standard_normal(500) * 10.0 ** g.integers(-20, 30, 500)).astype(dtype)
    y = (g.standard_normal(500) * 10.0 ** g.integers(-20, 3, 500)).astype(dtype)
    np.testing.assert_array_equal(_cpu.fmod_forward(x, y), np.fmod(x, y))
    np.testing.assert_array_equal(_cpu.floor_divide_forward(x, y), np.floor_divide(x, y))


@pytest.mark.parametrize("name", ("remainder", "fmod"))
def test_quotients_beside_whole_numbers(name):
    """Where x / y rounded is a whole number that the exact quotient does not reach, and where y is half of x and less."""
    g = rng(8)
    y = g.standard_normal(4000).astype(np.float32)
    x = y * np.round(g.standard_normal(4000) * 10.0 ** g.integers(0, 6, 4000)).astype(np.float32)
    check_kernels(f"{name}_forward", np.nextafter(x, np.float32(0)), y, kind="exact")
    check_kernels(f"{name}_forward", x, y, kind="exact")


def test_gradients():
    x, y = randn(4, 5) * 10, np.abs(randn(5, seed=1)) + 0.5
    check_gradient(nnkern.remainder, x, y)
    check_gradient(nnkern.fmod, x, y)
    check_gradient(lambda x: 7.3 % x, y)
    check_gradient(lambda x: x % 1.25, x)
    for f in (nnkern.remainder, nnkern.fmod):  # whole numbers beside floats
        check_gradient(lambda y, f=f: f(np.array([True, False, True, True, False]), y), y)
    t = Tensor(x, requires_grad=True)
    (t // 0.5).sum().backward()
    assert not t.grad.data.any()
    assert nnkern.gradgradcheck(lambda x, y: (x % y) ** 2, [Tensor(v.astype(float), True) for v in (x[0], y)])


def test_operators():
    x = Tensor([5.0, -7.0])
    assert (x % 3).tolist() == [2, 2] and (x // 3).tolist() == [1, -3]
    assert (7 % x).tolist() == [2, 0] and (7 // x).tolist() == [1, -1]
    x //= 2
    assert x.tolist() == [2, -4]
    x %= 3
    assert x.tolist() == [2, 2] and nnkern.fmod(Tensor([-5.0]), 3).tolist() == [-2]


def test_div_with_a_rounding_mode_as_in_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    for x, y in (([-7, 7, 5], [2, -2, 5]), ([-7.5, 7.5, 1.0], [2.0, -2.0, 0.3])):
        for mode in ("floor", "trunc"):
            expected = torch.div(torch.tensor(x), torch.tensor(y), rounding_mode=mode)
            ours = nnkern.div(Tensor(x), Tensor(y), rounding_mode=mode)
            assert ours.tolist() == expected.tolist() and str(expected.dtype).endswith(ours.dtype.name)
    with pytest.raises(ValueError, match="div: rounding_mode must be None, 'floor' or 'trunc', got 'up'"):
        nnkern.div(Tensor([1.0]), 2, rounding_mode="up")


@pytest.mark.parametrize("n", (1, 100, 100_000))
def test_same_bits_for_any_number_of_threads(n):
    x, y, before = randn(n) * 50, randn(n, seed=1), nnkern.get_num_threads()
    results = []
    for _ in each_isa():
        for threads in (1, 2, 3):
            nnkern.set_num_threads(threads)
            results.append(nnkern.remainder(x, y))
    nnkern.set_num_threads(before)
    for r in results[1:]:
        np.testing.assert_array_equal(r, results[0])


ERRORS = (
    (lambda: nnkern.remainder(np.ones(3, int), 0), ValueError, r"remainder: y holds 0, by which.*x.shape=\(3,\)"),
    (lambda: nnkern.floor_divide(np.ones((2, 3), int), np.eye(2, 3, dtype=int).T[::-1].T), ValueError, "floor_divide: y holds 0"),
    (lambda: nnkern.fmod(np.ones(3, bool), np.ones(3, bool)), TypeError, "fmod: x and y are bool"),
    (lambda: nnkern.remainder(np.ones(3), np.ones(2)), ValueError, "remainder: shapes do not broadcast"),
    (lambda: nnkern.remainder(np.ones(3), np.ones(3, np.float32)), TypeError, "remainder: x is float64 but y is float32"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
    assert nnkern.remainder(np.ones(0, int), 0).shape == (0,)
