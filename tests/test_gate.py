"""Gated activations and maxout: kernels on every ISA, PyTorch, gradients, errors."""

import numpy as np
import pytest
from support import SIZES, check_gradient, check_kernels, check_torch, randn

import nnkern
from nnkern import Tensor, nn

F = nnkern.functional
GATES = {
    "glu": F.glu,
    "swiglu": F.swiglu,
    "geglu": F.geglu,
    "geglu_tanh": lambda x, dim=-1: F.geglu(x, dim, "tanh"),
}
SHAPES = [
    ((6,), 0),
    ((3, 8), -1),
    ((8, 3), 0),
    ((2, 6, 5), 1),
    ((2, 6, 4, 3), 1),
    ((0, 4), 1),
    ((3, 0), 1),
    ((4, 3, 0), 0),
]


@pytest.mark.parametrize("n", SIZES)
def test_kernels(n):
    for name in GATES:
        check_kernels(f"{name}_forward", randn(3, 2 * n), 1, kind="math")
        check_kernels(f"{name}_backward", randn(3, n), randn(3, 2 * n, seed=1), -1, kind="chain")


@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_shapes_and_layouts(shape, dim):
    x = randn(*shape)
    gy = np.split(randn(*shape, seed=1), 2, dim)[0]
    for name in GATES:
        check_kernels(f"{name}_forward", x, dim, kind="math")
        check_kernels(f"{name}_backward", gy, x, dim, kind="chain")
        check_kernels(f"{name}_forward", x.T, x.ndim - 1 - dim % x.ndim, kind="math")


def test_in_parallel():
    x = randn(600, 300)
    check_kernels("glu_forward", x, 1, kind="math")
    check_kernels("swiglu_backward", randn(300, 300), x, 0, kind="chain")


def by_torch(torch, name):
    def f(x, dim):
        if name == "glu":
            return torch.nn.functional.glu(x, dim)
        a, b = x.chunk(2, dim)
        if name == "swiglu":
            return torch.nn.functional.silu(a) * b
        return torch.nn.functional.gelu(a, approximate="tanh" if "tanh" in name else "none") * b

    return f


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_equals_torch(name, shape, dim):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    check_torch(
        lambda x: GATES[name](x, dim), lambda x: by_torch(torch, name)(x, dim), randn(*shape), kind="chain"
    )


@pytest.mark.parametrize("name", GATES)
def test_gradients(name):
    check_gradient(GATES[name], randn(3, 8))
    nnkern.gradgradcheck(GATES[name], [Tensor(randn(2, 4).astype(np.float64), requires_grad=True)])


PIECES = [((2, 6), 3, 1), ((2, 6, 4, 5), 2, 1), ((3, 8), 4, -1), ((4, 3), 1, 0), ((6,), 6, 0), ((0, 4), 2, 1), ((3, 0), 5, 1),
          ((700, 64), 4, 1), ((5, 9000), 9000, 1), ((3, 6, 700), 3, 1)]  # fmt: skip


@pytest.mark.parametrize(("shape", "pieces", "dim"), PIECES)
def test_maxout(shape, pieces, dim):
    x = randn(*shape)
    gy = randn(*F.maxout(x, pieces, dim).shape, seed=1)
    check_kernels("maxout_forward", x, pieces, dim, kind="exact")
    check_kernels("maxout_backward", gy, x, pieces, dim, kind="exact")
    check_kernels("maxout_forward", x.T, pieces, x.ndim - 1 - dim % x.ndim, kind="exact")
    np.testing.assert_array_equal(nn.Maxout(pieces, dim)(x), F.maxout(x, pieces, dim))
    if 0 < x.size < 500:
        check_gradient(lambda x: F.maxout(x, pieces, dim), x)
        f = lambda x: nnkern.square(F.maxout(x, pieces, dim))  # noqa: E731
        nnkern.gradgradcheck(f, [Tensor(x.astype(np.float64), requires_grad=True)])


def test_maxout_of_equals_and_nan():
    x = np.array([[1, 1, 0], [2, np.nan, np.nan], [-np.inf, -np.inf, -np.inf]], np.float32)
    for rows in (x, np.repeat(x.T[None], 2, 0)):  # neighbours in memory, and rows
        check_kernels("maxout_forward", rows, 3, 1, kind="exact")
        check_kernels("maxout_backward", np.ones_like(rows[:, :1]), rows, 3, 1, kind="exact")


def test_errors():
    for call, error, message in (
        (
            lambda: F.glu(randn(2, 3)),
            ValueError,
            r"glu: dim 1 has 3 elements, which do not halve \(x.shape=\(2, 3\)\)",
        ),
        (lambda: F.glu(randn(2, 4), 2), IndexError, "glu: dim 2 does not exist"),
        (lambda: F.swiglu(np.float32(3)), IndexError, "swiglu: dim -1 does not exist"),
        (lambda: F.geglu(randn(4), approximate="fast"), ValueError, "geglu: approximate"),
        (lambda: F.glu(np.arange(4)), TypeError, "glu: x is int64"),
        (lambda: F.glu([1.0]), TypeError, "glu: expected an array or Tensor, got list"),
        (
            lambda: F.maxout(randn(2, 5), 2),
            ValueError,
            r"maxout: 2 pieces do not divide dim 1 \(x.shape=\(2, 5\)\)",
        ),
        (lambda: F.maxout(randn(2, 5), 0), ValueError, "maxout: 0 pieces do not divide dim 1"),
        (lambda: F.maxout(randn(5), 2), IndexError, "maxout: dim 1 does not exist"),
    ):
        with pytest.raises(error, match=message):
            call()


def test_second_derivatives_of_nothing():
    x = Tensor(np.zeros((2, 0)), requires_grad=True)
    (gx,) = nnkern.grad(nnkern.glu(x).sum(), (x,), create_graph=True)
    assert nnkern.grad(gx.sum(), (x,), allow_unused=True)[0].shape == (2, 0)
