"""Elementwise functions: kernels on every ISA, gradients, PyTorch, accuracy in ulp, layouts, edges and errors."""

import mpmath
import numpy as np
import pytest
from support import DTYPES, SIZES, check_gradient, check_kernels, check_torch, each_isa, randn, rng

import nnkern
from nnkern import Tensor, _cpu
from nnkern.backends.reference import elementwise as reference

POSITIVE = {"log", "log2", "log10", "log1p", "sqrt", "rsqrt"}
SMOOTH = [n for n in reference.UNARY if n not in ("sign", "floor", "ceil", "round", "trunc", "gelu_tanh")]
BINARY = list(reference.BINARY)


def unary_input(name, *shape, seed=0):
    x = randn(*shape, seed=seed)
    return np.abs(x) + np.float32(0.1) if name in POSITIVE else x


def binary_inputs(name, s, t):
    x, y = np.asarray(randn(*s)), np.asarray(randn(*t, seed=1))
    return (np.abs(x) + np.float32(0.1) if name == "pow" else x), y


@pytest.mark.parametrize("name", reference.UNARY)
def test_unary_kernels(name):
    for n in SIZES:
        check_kernels(f"{name}_forward", unary_input(name, n), kind="math")
    for x in (np.asarray(unary_input(name, 1)[0]), unary_input(name, 3, 0, 2)):
        check_kernels(f"{name}_forward", x, kind="math")


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    ("s", "t"),
    [((130,), (130,)), ((5, 1, 7), (3, 1)), ((), (4,)), ((4, 5), (5,)), ((4, 1), (4, 6)), ((0, 3), (1, 3))],
)
def test_binary_kernels(name, s, t):
    check_kernels(f"{name}_forward", *binary_inputs(name, s, t), kind="chain")


@pytest.mark.parametrize("name", ["add", "mul", "maximum", "lt", "pow"])
@pytest.mark.parametrize("n", SIZES)
def test_binary_sizes(name, n):
    check_kernels(f"{name}_forward", *binary_inputs(name, (n,), (n,)), kind="chain")


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
    check_kernels("exp_forward", x, kind="math")
    check_kernels("add_forward", x, np.ascontiguousarray(x), kind="exact")
    check_kernels("sub_forward", x, LAYOUTS[layout](randn(33, 18, seed=3)), kind="exact")
    check_kernels("where_forward", x > 0, x, -x, kind="exact")
    for isa in each_isa():  # noqa: B007
        np.testing.assert_array_equal(_cpu.lt_forward(x, 0.3), x < np.float32(0.3))
        np.testing.assert_array_equal(_cpu.isnan_forward(x), np.isnan(x))
        np.testing.assert_array_equal(_cpu.clamp_forward(x, -0.5, 0.5), np.clip(x, -0.5, 0.5))


def test_large_arrays_in_parallel():
    x, y = randn(301, 1009), randn(1009, seed=1)
    check_kernels("mul_forward", x, y, kind="exact")
    check_kernels("tanh_forward", x.T, kind="math")


@pytest.mark.parametrize("name", SMOOTH)
def test_unary_gradients(name):
    x = unary_input(name, 4, 5).astype(np.float64)
    check_gradient(getattr(nnkern, name), x)
    nnkern.gradgradcheck(getattr(nnkern, name), [Tensor(x[0] + 0.01, requires_grad=True)])


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum", "pow"])
@pytest.mark.parametrize(("s", "t"), [((4, 5), (4, 5)), ((4, 1, 3), (5, 1)), ((), (3,))])
def test_binary_gradients(name, s, t):
    x, y = (np.asarray(a, np.float64) for a in binary_inputs(name, s, t))
    check_gradient(getattr(nnkern, name), x, y)
    if name not in ("maximum", "minimum"):
        tensors = [Tensor(a, requires_grad=True) for a in (x, y + 3)]
        nnkern.gradgradcheck(getattr(nnkern, name), tensors)


def test_gelu_tanh_gradients():
    def f(x):
        return nnkern.gelu(x, approximate="tanh")

    check_gradient(f, randn(4, 5).astype(np.float64))
    nnkern.gradgradcheck(f, [Tensor(randn(5).astype(np.float64), requires_grad=True)])


TORCH = [n for n in SMOOTH if n not in ("silu", "gelu", "softplus")] + [
    "sign",
    "floor",
    "ceil",
    "round",
    "trunc",
]


@pytest.mark.parametrize("name", TORCH)
def test_unary_equals_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    check_torch(getattr(nnkern, name), getattr(torch, name), unary_input(name, 7, 9), kind="chain")


@pytest.mark.parametrize("name", ["silu", "gelu", "softplus", "relu"])
def test_activations_equal_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    check_torch(getattr(nnkern, name), getattr(torch.nn.functional, name), randn(70, 9), kind="chain")


def test_conventions_equal_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    ties = np.array([0.0, -0.0, 1.0, -2.0, 2.0], np.float32)
    other = np.array([0.0, 1.0, 1.0, -2.0, 3.0], np.float32)
    check_torch(nnkern.maximum, torch.maximum, ties, other)
    check_torch(nnkern.minimum, torch.minimum, ties, other)
    check_torch(nnkern.abs, torch.abs, ties)
    check_torch(nnkern.relu, torch.relu, ties)
    check_torch(lambda x: nnkern.clamp(x, -2.0, 1.0), lambda x: torch.clamp(x, -2.0, 1.0), ties)
    check_torch(lambda x: nnkern.clamp(x, min=0.5), lambda x: torch.clamp(x, min=0.5), ties)
    for y in (0, 0.5, 1, 2, 3, -1, 2.5):
        check_torch(
            lambda x, y=y: nnkern.pow(x, y),
            lambda x, y=y: torch.pow(x, y),
            np.abs(randn(9)) + np.float32(0.1),
        )
    check_torch(lambda x: nnkern.pow(2.0, x), lambda x: torch.pow(2.0, x), randn(9), kind="math")
    check_torch(lambda c, x, y: nnkern.where(c, x, y), torch.where, ties > 0, ties, other)


# --- accuracy ------------------------------------------------------------------------------------------------------

EXACT = {
    "exp": mpmath.exp, "exp2": lambda x: mpmath.mpf(2) ** x, "expm1": mpmath.expm1, "log": mpmath.log,
    "log2": lambda x: mpmath.log(x, 2), "log10": mpmath.log10, "log1p": mpmath.log1p, "sin": mpmath.sin, "cos": mpmath.cos,
    "tan": mpmath.tan, "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh, "erf": mpmath.erf,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "sqrt": mpmath.sqrt, "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "silu": lambda x: x / (1 + mpmath.exp(-x)), "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
}  # fmt: skip


def worst_ulp(name, dtype, count=1500):
    """The largest error over the function's interesting range, in units in the last place of the true value."""
    g = rng(7)
    if name in POSITIVE:
        x = np.concatenate([np.exp(g.uniform(-60, 60, count)), g.uniform(0.5, 2, count)])
    else:
        x = np.concatenate([g.uniform(-30, 30, count), g.uniform(-1, 1, count), g.uniform(-80, 80, count)])
    x = x.astype(dtype)
    y = getattr(_cpu, f"{name}_forward")(x)
    worst = 0.0
    with mpmath.workdps(40):
        for a, b in zip(x, y):
            true = EXACT[name](mpmath.mpf(float(a)))
            if abs(true) > 1e-36 and abs(true) < 3e38:  # normal float32 results
                worst = max(
                    worst,
                    float(abs(true - mpmath.mpf(float(b))) / float(np.spacing(dtype(abs(float(true)))))),
                )
    return worst


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_ulp(name, dtype):
    for isa in each_isa():
        assert worst_ulp(name, dtype) <= 2.5, isa


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name", [n for n in reference.UNARY if n not in ("gelu", "gelu_tanh", "silu", "erf", "sign")]
)
def test_special_values(name, dtype):
    """0, infinities, NaN and what overflows come out as in NumPy."""
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1000.0, -1000.0, 88.5, -104.0], dtype)
    with np.errstate(all="ignore"):
        expected = getattr(reference, f"{name}_forward")(x)
    if dtype == np.float32:
        expected = np.where(np.abs(expected) < np.finfo(dtype).tiny, dtype(0), expected)  # denormals are zero
    for isa in each_isa():
        actual = getattr(_cpu, f"{name}_forward")(x)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-37, err_msg=f"{isa} {name}")


def test_nan_and_inf_through_activations():
    x = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    for isa in each_isa():
        assert np.isnan(_cpu.relu_forward(x)[0]), isa
        np.testing.assert_array_equal(_cpu.erf_forward(x)[1:], [1, -1, 0])
        np.testing.assert_array_equal(_cpu.maximum_forward(x, 1.0), [np.nan, np.inf, 1, 1])
        np.testing.assert_array_equal(_cpu.minimum_forward(1.0, x), [np.nan, 1, -np.inf, 0])
        np.testing.assert_array_equal(_cpu.sign_forward(x), [0, 1, -1, 0])
        np.testing.assert_array_equal(_cpu.isfinite_forward(x), [False, False, False, True])
        assert np.isnan(_cpu.clamp_forward(x, 0.0, 1.0)[0])


# --- integers, bools, out=, errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_integers(dtype):
    x, y = rng(1).integers(0, 9, (5, 7)).astype(dtype), rng(2).integers(1, 9, (5, 7)).astype(dtype)
    for name in ("add", "sub", "mul", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge"):
        np.testing.assert_array_equal(getattr(nnkern, name)(x, y), reference.BINARY[name](x, y), err_msg=name)
        np.testing.assert_array_equal(
            getattr(nnkern, name)(x.T, 3), reference.BINARY[name](x.T, dtype(3)), err_msg=name
        )
    np.testing.assert_array_equal(nnkern.lt(x, 2.5), x < 2.5)
    np.testing.assert_array_equal(nnkern.where(x > y, x, y), np.where(x > y, x, y))
    with pytest.raises(TypeError, match="add: the number 0.5"):
        nnkern.add(x, 0.5)
    with pytest.raises(TypeError, match="exp: x is"):
        nnkern.exp(x)


def test_bools():
    a, b = rng(1).random((4, 5)) > 0.5, rng(2).random(5) > 0.5
    np.testing.assert_array_equal(nnkern.logical_and(a, b), a & b)
    np.testing.assert_array_equal(nnkern.logical_or(a, b), a | b)
    np.testing.assert_array_equal(nnkern.logical_xor(a, b), a ^ b)
    np.testing.assert_array_equal((~Tensor(a) & Tensor(b)).numpy(), ~a & b)
    np.testing.assert_array_equal(nnkern.eq(a, b), a == b)
    with pytest.raises(TypeError, match="logical_and"):
        nnkern.logical_and(randn(3), randn(3))


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
    (lambda: nnkern.exp(randn(3).astype(np.float16)), TypeError, "float16"),
    (lambda: nnkern.exp([1.0, 2.0]), TypeError, "exp: expected an array or Tensor, got list"),
    (lambda: nnkern.exp(None), TypeError, "exp|None"),
    (lambda: nnkern.exp("x"), TypeError, "exp: expected an array or Tensor, got str"),
    (lambda: nnkern.add(randn(3), randn(3), out=READ_ONLY), ValueError, "add: out is read-only"),
    (lambda: nnkern.add(randn(3), randn(3), out=np.zeros(4, np.float32)), ValueError, r"add: out has the wrong shape.*\(4,\)"),
    (lambda: nnkern.add(randn(3), randn(3), out=np.zeros(3)), TypeError, "add: out is float64 but the result is float32"),
    (lambda: nnkern.where(randn(3), randn(3), randn(3)), TypeError, "where: the condition must be bool"),
    (lambda: nnkern.clamp(randn(3)), ValueError, "clamp: min or max"),
    (lambda: nnkern.gelu(randn(3), approximate="fast"), ValueError, "gelu: approximate"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[t[:30] for _, _, t in ERRORS])
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
