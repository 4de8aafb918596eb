"""Activations: kernels on every ISA, gradients, PyTorch, accuracy in ulp, NaN and infinities, errors."""

import numpy as np
import pytest
from support import DTYPES, SIZES, check_gradient, check_kernels, check_torch, each_isa, randn
from ulp import EXACT, worst_ulp

import nnkern
from nnkern import Tensor, _cpu
from nnkern.backends.reference.activation import GRADIENTS, UNARY

F = nnkern.functional
FUNCTIONS = {name: getattr(nnkern, name) for name in UNARY if name != "gelu_tanh"}
FUNCTIONS["gelu_tanh"] = lambda x: nnkern.gelu(x, approximate="tanh")

# Kernels with numbers of their own, and numbers to test them with.
NUMBERS = {
    "leaky_relu": (0.1,), "elu": (1.5, 0.7, 1.2), "softplus": (1.5, 3.0), "softsign": (), "hardtanh": (-0.5, 0.75),
    "hardsigmoid": (), "hardswish": (), "mish": (), "logsigmoid": (), "tanhshrink": (), "softshrink": (0.4,),
    "hardshrink": (0.4,), "threshold": (0.3, 2.0),
}  # fmt: skip

# Public functions and their options, named as PyTorch's functions.
OPTIONS = [
    ("relu", {}), ("leaky_relu", {}), ("leaky_relu", {"negative_slope": 0.3}), ("elu", {}), ("elu", {"alpha": 0.5}),
    ("selu", {}), ("celu", {}), ("celu", {"alpha": 2.0}), ("gelu", {}), ("gelu", {"approximate": "tanh"}), ("silu", {}),
    ("mish", {}), ("softplus", {}), ("softplus", {"beta": 2, "threshold": 3}), ("softplus", {"beta": 0.5}),
    ("softsign", {}), ("hardtanh", {}), ("hardtanh", {"min_val": -2, "max_val": 0.5}), ("relu6", {}),
    ("hardsigmoid", {}), ("hardswish", {}), ("logsigmoid", {}), ("tanhshrink", {}), ("softshrink", {}),
    ("softshrink", {"lambd": 1.0}), ("hardshrink", {}), ("hardshrink", {"lambd": 0.0}), ("rrelu", {}),
    ("threshold", {"threshold": 0.5, "value": -3.0}), ("sigmoid", {}), ("tanh", {}),
]  # fmt: skip
IDS = [" ".join([name, *map(str, options.values())]) for name, options in OPTIONS]
# Where formulas change, and beyond.
EDGES = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, 3.0, -3.0, 6.0, 20.0, -20.0, 21.0, 1000.0, -1000.0]


@pytest.mark.parametrize("n", SIZES)
def test_kernels(n):
    x, g = randn(n), randn(n, seed=1)
    for name in UNARY:
        check_kernels(f"{name}_forward", x, kind="math")
    for name in GRADIENTS:
        check_kernels(f"{name}_forward", g, x, kind="chain")
    for name, numbers in NUMBERS.items():
        check_kernels(f"{name}_forward", x, *numbers, kind="math")
        check_kernels(f"{name}_backward", g, x, *numbers, kind="chain")


def test_shapes_and_layouts():
    for x in (np.asarray(randn()), randn(3, 0, 2), randn(33, 18).T, randn(33, 18)[::-2, ::3]):
        for name in UNARY:
            check_kernels(f"{name}_forward", x, kind="math")
        for name, numbers in NUMBERS.items():
            check_kernels(f"{name}_forward", x, *numbers, kind="math")
            check_kernels(f"{name}_backward", x, x, *numbers, kind="chain")
            check_kernels(
                f"{name}_backward",
                np.broadcast_to(x[..., :1], x.shape) if x.ndim else x,
                x,
                *numbers,
                kind="chain",
            )
    for name in GRADIENTS:
        check_kernels(f"{name}_forward", randn(5, 1, 7), randn(3, 1, seed=1), kind="chain")
    check_kernels("tanh_forward", randn(301, 1009).T, kind="math")  # in parallel


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=IDS)
def test_gradients(name, options):
    f = lambda x: getattr(F, name)(x, **options)  # noqa: E731
    x = randn(4, 5).astype(np.float64) * 2
    check_gradient(f, x)
    nnkern.gradgradcheck(f, [Tensor(x[0] + 0.01, requires_grad=True)])


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=IDS)
def test_equals_torch(name, options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    theirs = getattr(torch.nn.functional, name)
    x = randn(70, 9) * 2
    x.flat[: len(EDGES)] = EDGES
    # PyTorch's 1/6 is a float32
    dtypes = DTYPES[:1] if name == "hardsigmoid" else DTYPES
    for data in (x, x.T, x[:0], np.asarray(x[5, 5])):
        check_torch(
            lambda x: getattr(F, name)(x, **options),
            lambda x: theirs(x, **options),
            data,
            kind="chain",
            dtypes=dtypes,
        )


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=IDS)
def test_in_place(name, options):
    if name in (
        "gelu",
        "softplus",
        "softsign",
        "logsigmoid",
        "tanhshrink",
        "softshrink",
        "hardshrink",
        "sigmoid",
        "tanh",
    ):
        pytest.skip("neither PyTorch nor nnkern has it in place")
    f = getattr(F, name)
    expected = f(randn(7, 5), **options)
    x = randn(7, 5)
    assert f(x, **options, inplace=True) is x
    np.testing.assert_array_equal(x, expected)
    view = randn(7, 5)
    f(view[:, ::2], **options, inplace=True)
    np.testing.assert_array_equal(view[:, ::2], expected[:, ::2])
    gradients = []
    for inplace in (False, True):
        leaf = Tensor(randn(7, 5), requires_grad=True)
        y = leaf * 1.0
        z = f(y, **options, inplace=inplace)
        assert (z is y) == inplace
        (z * z).sum().backward()
        gradients.append(leaf.grad.numpy())
    np.testing.assert_array_equal(*gradients)
    if hasattr(F, f"{name}_"):
        x = randn(7, 5)
        assert getattr(F, f"{name}_")(x, **options) is x
        np.testing.assert_array_equal(x, expected)


def test_in_place_of_leaves_and_read_only_arrays():
    with pytest.raises(RuntimeError, match="mish_: a leaf that requires grad"):
        F.mish(Tensor(randn(3), requires_grad=True), inplace=True)
    x = randn(3)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        F.mish(x, inplace=True)


def test_integers_where_torch_takes_them():
    x = np.array([-3, 0, 2, 9])
    np.testing.assert_array_equal(F.relu6(x), [0, 0, 2, 6])
    np.testing.assert_array_equal(F.hardtanh(x, -1, 5), [-1, 0, 2, 5])
    np.testing.assert_array_equal(F.hardtanh(x, -np.inf, 5), np.minimum(x, 5))
    np.testing.assert_array_equal(F.hardtanh(x, -1, np.inf), np.maximum(x, -1))
    np.testing.assert_array_equal(F.threshold(x, 1, 7), [7, 7, 2, 9])
    with pytest.raises(TypeError, match="mish: x is int64"):
        F.mish(x)
    for name, numbers in (("hardtanh", ()), ("threshold", (1, 7))):
        with pytest.raises(TypeError, match=f"^{name}: x must be a float32, .* got int8"):
            getattr(F, name)(x.astype(np.int8), *numbers)


@pytest.mark.parametrize(
    ("shape", "weights"),
    [
        ((4, 3), 3),
        ((2, 3, 5), 3),
        ((2, 3, 4, 5), 3),
        ((2, 3, 4, 5), 1),
        ((7,), 1),
        ((), 1),
        ((5000, 2), 2),
        ((2, 3, 9000), 1),
        ((0, 3), 3),
        ((2, 3, 0), 3),
    ],  # fmt: skip
)
def test_prelu(shape, weights):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    x, w = np.asarray(randn(*shape)), randn(weights, seed=1)
    n = max(1, x.size // weights)
    check_torch(F.prelu, torch.nn.functional.prelu, x, w, kind="chain", n=n)
    check_kernels("prelu_backward", np.asarray(randn(*shape, seed=2)), x, w, kind="chain", n=n)
    if x.size < 200:
        check_gradient(F.prelu, x, w)
        nnkern.gradgradcheck(F.prelu, [Tensor(a.astype(np.float64), requires_grad=True) for a in (x, w)])


def test_prelu_in_parallel():
    x, w, gy = randn(8, 64, 40, 40), randn(64), randn(8, 64, 40, 40, seed=1)
    before, found = nnkern.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            nnkern.set_num_threads(threads)
            found.append(_cpu.prelu_backward(gy, x, w)[1].tobytes())
    finally:
        nnkern.set_num_threads(before)
    assert len(set(found)) == 1


def test_rrelu():
    nnkern.manual_seed(3)
    x = randn(1000)
    y = F.rrelu(x, 0.1, 0.3, training=True)
    slopes = (y / x)[x < 0]
    np.testing.assert_array_equal(y[x > 0], x[x > 0])
    assert slopes.min() >= 0.0999 and slopes.max() <= 0.3001 and abs(slopes.mean() - 0.2) < 0.02
    nnkern.manual_seed(3)
    t = Tensor(x, requires_grad=True)
    F.rrelu(t, 0.1, 0.3, training=True).backward(np.ones_like(x))
    np.testing.assert_allclose(t.grad.numpy()[x < 0], slopes, rtol=1e-6)


def test_results_keep_the_layout():
    for x in (randn(2, 3, 4, 5).transpose(0, 3, 1, 2), randn(6, 7).T, randn(3, 1, 5).transpose(2, 1, 0)):
        for y in (F.relu(x), F.mish(x), nnkern.add(x, x), nnkern.add(x, 1.0), nnkern.gt(x, 0.0)):
            steps = [
                (s // y.itemsize, t // x.itemsize) for n, s, t in zip(x.shape, y.strides, x.strides) if n > 1
            ]
            assert all(s == t for s, t in steps), steps
    assert F.relu(randn(6, 8)[:, ::2]).flags.c_contiguous


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in (*UNARY, *NUMBERS) if n in EXACT])
def test_ulp(name, dtype):
    for isa in each_isa():
        assert worst_ulp(name, dtype) <= 2.5, isa


def test_nan_and_inf():
    x = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    limits = {
        "relu": (np.inf, 0, 0),
        "sigmoid": (1, 0, 0.5),
        "tanh": (1, -1, 0),
        "gelu": (np.inf, 0, 0),
    }
    for isa in each_isa():
        for name, (high, low, zero) in limits.items():
            y = getattr(_cpu, f"{name}_forward")(x)
            np.testing.assert_allclose(y, [np.nan, high, low, zero], rtol=1e-6, err_msg=f"{isa} {name}")
        assert np.isnan(_cpu.gelu_grad_forward(x, x)[0]), isa


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=IDS)
def test_nan_and_inf_as_torch(name, options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    x = np.array([np.nan, np.inf, -np.inf] * 12, np.float32)
    expected = getattr(torch.nn.functional, name)(torch.from_numpy(x), **options).numpy()
    if name == "gelu":
        expected = np.array([np.nan, np.inf, 0] * 12, np.float32)  # the limits, where PyTorch gives NaN
    for isa in each_isa():
        if (name, options) == ("gelu", {"approximate": "tanh"}):
            continue
        np.testing.assert_allclose(getattr(F, name)(x, **options), expected, rtol=1e-6, err_msg=isa)


# Of other activations, PyTorch's vector loops and their remainders give different gradients at NaN.
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "threshold"])
def test_gradients_at_nan_as_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    x, g = np.array([np.nan, 1.0, -1.0] * 12, np.float32), np.arange(1, 37, dtype=np.float32)
    t, numbers = torch.tensor(x, requires_grad=True), (0.5, 2.0) if name == "threshold" else ()
    getattr(torch.nn.functional, name)(t, *numbers).backward(torch.tensor(g))
    for isa in each_isa():
        for taped in (False, True):
            v = Tensor(x, requires_grad=True)
            (gx,) = nnkern.grad(getattr(F, name)(v, *numbers), v, Tensor(g), create_graph=taped)
            np.testing.assert_allclose(gx.data, t.grad, rtol=1e-6, err_msg=f"{isa} {taped}")


def test_fused_relus_let_gradients_pass_at_nan():
    ones, nan = np.ones((1, 1, 2), np.float32), np.full((1, 1, 2), np.nan, np.float32)
    calls = {
        "linear": lambda b: nnkern.linear(nan[0], ones[0], b, activation="relu"),
        "conv1d": lambda b: nnkern.conv1d(nan, ones, b, activation="relu"),
        "batch_norm": lambda b: nnkern.batch_norm(nan, None, None, None, b, True, activation="relu")[..., 0],
    }
    for isa in each_isa():
        for name, call in calls.items():
            bias = Tensor(np.zeros(1, np.float32), requires_grad=True)
            call(bias).sum().backward()
            assert bias.grad.tolist() == [1], f"{isa} {name}"
        layer = nnkern.nn.RNN(2, 3, nonlinearity="relu")
        layer(Tensor(nan))[0].sum().backward()
        assert layer.bias_ih_l0.grad.tolist() == [1, 1, 1], isa


def test_errors():
    for call, message in (
        (lambda: F.celu(randn(3), 0), "celu: alpha must not be 0"),
        (lambda: F.hardtanh(randn(3), 2, 1), "hardtanh: min_val must not be above max_val, got 2 and 1"),
        (lambda: F.softshrink(randn(3), -1), "softshrink: lambd must not be negative"),
        (lambda: F.rrelu(randn(3), 2, 1), "rrelu: lower must not be above upper"),
        (lambda: F.prelu(randn(3, 4), randn(3)), r"prelu: weight .*x.shape=\(3, 4\), weight.shape=\(3,\)"),
        (lambda: _cpu.mish_backward(randn(3), randn(4)), r"mish_backward: gy must have the shape of x"),
        (lambda: _cpu.prelu_backward(randn(3, 4), randn(3, 4), randn(3)), "prelu_backward: w must hold"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match="gelu: approximate"):
        nnkern.gelu(randn(3), approximate="fast")
    with pytest.raises(TypeError, match="sigmoid: expected an array or Tensor, got list"):
        nnkern.sigmoid([1.0])
