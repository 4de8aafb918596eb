"""Activations: kernels on every ISA, gradients, PyTorch, accuracy in ulp, NaN and infinities, errors."""

import numpy as np
import pytest
from support import DTYPES, SIZES, check_gradient, check_kernels, check_torch, each_isa, randn
from ulp import EXACT, worst_ulp

import nnkern
from nnkern import Tensor, _cpu
from nnkern.backends.reference.activation import GRADIENTS, UNARY

FUNCTIONS = {name: getattr(nnkern, name) for name in UNARY if name != "gelu_tanh"}
FUNCTIONS["gelu_tanh"] = lambda x: nnkern.gelu(x, approximate="tanh")


@pytest.mark.parametrize("n", SIZES)
def test_kernels(n):
    x, g = randn(n), randn(n, seed=1)
    for name in UNARY:
        check_kernels(f"{name}_forward", x, kind="math")
    for name in GRADIENTS:
        check_kernels(f"{name}_forward", g, x, kind="chain")


def test_shapes_and_layouts():
    for x in (np.asarray(randn()), randn(3, 0, 2), randn(33, 18).T, randn(33, 18)[::-2, ::3]):
        for name in UNARY:
            check_kernels(f"{name}_forward", x, kind="math")
    for name in GRADIENTS:
        check_kernels(f"{name}_forward", randn(5, 1, 7), randn(3, 1, seed=1), kind="chain")
    check_kernels("tanh_forward", randn(301, 1009).T, kind="math")  # in parallel


@pytest.mark.parametrize("name", UNARY)
def test_gradients(name):
    x = randn(4, 5).astype(np.float64)
    check_gradient(FUNCTIONS[name], x)
    nnkern.gradgradcheck(FUNCTIONS[name], [Tensor(x[0] + 0.01, requires_grad=True)])


@pytest.mark.parametrize("name", UNARY)
def test_equals_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    functional = torch.nn.functional
    theirs = getattr(functional, name, lambda x: functional.gelu(x, approximate="tanh"))
    x = randn(70, 9)
    x[0, :2] = 0, -0.0
    check_torch(FUNCTIONS[name], theirs, x, kind="chain")


@pytest.mark.parametrize(("beta", "threshold"), [(2, 20), (0.5, 3)])
def test_softplus_options_equal_torch(beta, threshold):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    check_torch(
        lambda x: nnkern.softplus(x, beta, threshold),
        lambda x: torch.nn.functional.softplus(x, beta, threshold),
        randn(99) * 8,
        kind="chain",
        dtypes=[np.float32],  # where beta x > 20, PyTorch gives x for log(1 + e^x): exact in float32 alone
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in UNARY if n in EXACT])
def test_ulp(name, dtype):
    for isa in each_isa():
        assert worst_ulp(name, dtype) <= 2.5, isa


def test_nan_and_inf():
    x = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    limits = {
        "relu": (np.inf, 0, 0),
        "sigmoid": (1, 0, 0.5),
        "tanh": (1, -1, 0),
        "softplus": (np.inf, 0, np.log(2)),
        "gelu": (np.inf, 0, 0),
    }
    for isa in each_isa():
        for name, (high, low, zero) in limits.items():
            y = getattr(_cpu, f"{name}_forward")(x)
            np.testing.assert_allclose(y, [np.nan, high, low, zero], rtol=1e-6, err_msg=f"{isa} {name}")
        assert np.isnan(_cpu.gelu_grad_forward(x, x)[0]), isa


def test_errors():
    with pytest.raises(ValueError, match="gelu: approximate"):
        nnkern.gelu(randn(3), approximate="fast")
    with pytest.raises(TypeError, match="sigmoid: expected an array or Tensor, got list"):
        nnkern.sigmoid([1.0])
