"""Functions of one array, and powers: kernels on every ISA, gradients, PyTorch, accuracy in ulp, edges and errors."""

import numpy as np
import pytest
from support import DTYPES, SIZES, check_gradient, check_kernels, check_torch, each_isa, randn
from test_arithmetic import LAYOUTS, SHAPES
from ulp import EXACT, POSITIVE, worst_pow_ulp, worst_ulp

import nnkern
from nnkern import Tensor, _cpu
from nnkern.backends.reference.elementwise import UNARY

STEPS = ("sign", "floor", "ceil", "round", "trunc")


def argument(name, *shape, seed=0):
    x = np.asarray(randn(*shape, seed=seed))
    return np.asarray(np.abs(x) + np.float32(0.1)) if name in POSITIVE else x


@pytest.mark.parametrize("name", UNARY)
def test_kernels(name):
    for n in SIZES:
        check_kernels(f"{name}_forward", argument(name, n), kind="math")
    for shape in ((), (3, 0, 2)):
        check_kernels(f"{name}_forward", argument(name, *shape), kind="math")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    check_kernels("exp_forward", LAYOUTS[layout](randn(33, 18)), kind="math")


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_beyond_the_caches(dtype):
    """Results of 16 MB may be stored past the caches: the same bits as piece by piece (one thread each), wherever rows start."""
    n = (16 << 20) // np.dtype(dtype).itemsize
    for shape in ((n + 5,), (3, n // 3 + 7)):
        x = randn(*shape).astype(dtype)
        room = np.full((x.size + 1,), 7, dtype)
        out = room[1:].reshape(shape)  # starts at no multiple of a register
        pieces = [np.array(p) for p in np.array_split(x.reshape(-1), 9)]
        for isa in each_isa():
            expected = np.concatenate([_cpu.sigmoid_forward(p) for p in pieces])
            np.testing.assert_array_equal(_cpu.sigmoid_forward(x).reshape(-1), expected, err_msg=isa)
            expected = np.concatenate([_cpu.silu_forward(p) for p in pieces])
            _cpu.silu_forward(x, out)
            np.testing.assert_array_equal(out.reshape(-1), expected, err_msg=isa)
            assert room[0] == 7
            _cpu.neg_forward(out, out)
            np.testing.assert_array_equal(out.reshape(-1), -expected, err_msg=isa)


@pytest.mark.parametrize("dtype", DTYPES)
def test_loops_beyond_the_caches(dtype):
    """The same for the other loops: of two arrays, of one and a number, with a row repeated, and of activations."""
    n = (16 << 20) // np.dtype(dtype).itemsize
    x, y = randn(3, n // 3 + 7).astype(dtype), randn(3, n // 3 + 7).astype(dtype)
    room = np.full((x.size + 1,), 7, dtype)
    out = room[1:].reshape(x.shape)
    loops = {
        "add": lambda x, y: _cpu.add_forward(x, y), "mul": lambda x, y: _cpu.mul_forward(x, 3.0),
        "sub": lambda x, y: _cpu.sub_forward(2.0, y), "clamp": lambda x, y: _cpu.clamp_forward(x, -0.5, 0.25),
        "mish": lambda x, y: _cpu.mish_forward(x), "relu_grad": lambda x, y: _cpu.relu_grad_forward(x, y),
        "leaky_relu_backward": lambda x, y: _cpu.leaky_relu_backward(x, y, 0.1),
        "row": lambda x, y: _cpu.maximum_forward(x, y[:1, : x.shape[1]]),
    }  # fmt: skip
    for isa in each_isa():
        for name, f in loops.items():
            parts = range(0, x.shape[1], 1 << 18)
            row = y[:1] if name == "row" else y
            expected = np.concatenate(
                [f(x[:, i : i + (1 << 18)], row[:, i : i + (1 << 18)]) for i in parts], 1
            )
            np.testing.assert_array_equal(f(x, y), expected, err_msg=f"{isa} {name}")
        _cpu.add_forward(x, y, out)
        np.testing.assert_array_equal(out, x + y, err_msg=isa)
        assert room[0] == 7


@pytest.mark.parametrize("name", [n for n in UNARY if n not in STEPS])
def test_gradients(name):
    x = argument(name, 4, 5).astype(np.float64)
    check_gradient(getattr(nnkern, name), x)
    nnkern.gradgradcheck(getattr(nnkern, name), [Tensor(x[0] + 0.01, requires_grad=True)])


@pytest.mark.parametrize("name", UNARY)
def test_equals_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    x = argument(name, 7, 9)
    x[0, :2] = (0, -0.0) if name in (*STEPS, "abs") else x[0, :2]
    check_torch(getattr(nnkern, name), getattr(torch, name), x, kind="chain")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in UNARY if n in EXACT])
def test_ulp(name, dtype):
    for isa in each_isa():
        assert worst_ulp(name, dtype) <= 2.5, isa


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in UNARY if n not in ("erf", "sign")])
def test_special_values(name, dtype):
    """0, infinities, NaN and what overflows come out as in NumPy."""
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1000.0, -1000.0, 88.5, -104.0], dtype)
    with np.errstate(all="ignore"):
        expected = UNARY[name](x)
    if dtype == np.float32:
        expected = np.where(np.abs(expected) < np.finfo(dtype).tiny, dtype(0), expected)  # denormals are zero
    for isa in each_isa():
        actual = getattr(_cpu, f"{name}_forward")(x)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-37, err_msg=f"{isa} {name}")


def test_infinities_of_erf_and_sign():
    x = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    for isa in each_isa():
        np.testing.assert_array_equal(_cpu.erf_forward(x), [np.nan, 1, -1, 0], err_msg=isa)
        np.testing.assert_array_equal(_cpu.sign_forward(x), [0, 1, -1, 0], err_msg=isa)


# --- powers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("s", "t"), [*SHAPES, *(((n,), (n,)) for n in SIZES)])
def test_pow_kernel(s, t):
    check_kernels(
        "pow_forward", np.abs(randn(*s)) + np.float32(0.1), np.asarray(randn(*t, seed=1)), kind="chain"
    )


@pytest.mark.parametrize(("s", "t"), [((4, 5), (4, 5)), ((4, 1, 3), (5, 1)), ((), (3,))])
def test_pow_gradients(s, t):
    x, y = np.abs(randn(*s)).astype(np.float64) + 0.1, np.asarray(randn(*t, seed=1), np.float64)
    check_gradient(nnkern.pow, x, y)
    nnkern.gradgradcheck(nnkern.pow, [Tensor(a, requires_grad=True) for a in (x, y + 3)])


def test_pow_equals_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    x = np.abs(randn(9)) + np.float32(0.1)
    for y in (0, 0.5, 1, 2, 3, -1, 2.5):
        check_torch(lambda x, y=y: nnkern.pow(x, y), lambda x, y=y: torch.pow(x, y), x)
    check_torch(lambda x: nnkern.pow(2.0, x), lambda x: torch.pow(2.0, x), randn(9), kind="math")


@pytest.mark.parametrize("dtype", DTYPES)
def test_pow_ulp(dtype):
    for isa in each_isa():
        assert worst_pow_ulp(dtype) <= 2.5, isa


@pytest.mark.parametrize("dtype", DTYPES)
def test_pow_at_the_edges(dtype):
    """Zeros with sign, infinities, NaN, negative bases, whole exponents even and odd, overflow: as in NumPy (and C)."""
    values = [
        0.0,
        1.0,
        2.0,
        3.0,
        0.5,
        1.5,
        np.inf,
        33.0,
        1e7 + 1,
        2.0**24 + 2,
        1e30,
        1e-30,
        1 + 2**-20,
        1 - 2**-20,
    ]
    values = np.array([*values, *(-v for v in values), np.nan], dtype)
    x, y = np.meshgrid(values, values)
    with np.errstate(all="ignore"):
        expected = np.power(x, y)
    expected = np.where(np.abs(expected) < np.finfo(dtype).tiny, np.copysign(dtype(0), expected), expected)
    for isa in each_isa():
        actual = _cpu.pow_forward(x, y)
        np.testing.assert_allclose(actual, expected, rtol=3 * np.finfo(dtype).eps, err_msg=isa)
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(actual[known]), np.signbit(expected[known]), err_msg=isa)


ERRORS = [
    (randn(3).astype(np.float16), "float16"),
    ([1.0, 2.0], "exp: expected an array or Tensor, got list"),
    (None, "exp|None"),
    ("x", "exp: expected an array or Tensor, got str"),
]


@pytest.mark.parametrize(("x", "text"), ERRORS, ids=[t for _, t in ERRORS])
def test_errors(x, text):
    with pytest.raises(TypeError, match=text):
        nnkern.exp(x)


def test_the_power_0_is_flat_everywhere():
    x = Tensor(np.array([0.0, -2.0, np.inf, np.nan]), requires_grad=True)
    (x**0).sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 0]
