"""Creation functions: PyTorch's shapes, dtypes and values."""

import numpy as np
import pytest

import nnkern as nn

try:
    import torch
except ImportError:
    torch = None

CALLS = [
    "zeros(2, 3)", "zeros((2, 3))", "zeros(())", "ones(4)", "full((2, 2), 3.5)", "full((2,), 3)",
    "full((2,), True)",
    "arange(5)", "arange(2, 9, 3)", "arange(0.5, 3)", "arange(3, 0, -1)", "linspace(-1, 2, 7)",
    "eye(3)", "eye(2, 4)", "tensor([[1, 2], [3, 4]])", "tensor([1.5, 2])", "tensor(3)", "tensor(2.5)",
    "tensor([True, False])",
]  # fmt: skip


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed: nothing to compare with")
@pytest.mark.parametrize("call", CALLS)
def test_equals_torch(call):
    ours, theirs = eval(f"nn.{call}"), eval(f"torch.{call}")
    assert isinstance(ours, nn.Tensor) and ours.dtype == theirs.numpy().dtype
    np.testing.assert_allclose(ours.data, theirs.numpy(), rtol=1e-6)
    assert ours.shape == tuple(theirs.shape)


@pytest.mark.parametrize("name", ["empty", "zeros", "ones", "rand", "randn"])
def test_like(name):
    x = nn.zeros(2, 5, dtype=np.float64)
    like = getattr(nn, f"{name}_like")
    assert like(x).shape == (2, 5) and like(x).dtype == np.float64
    assert like(x, dtype=np.float32, requires_grad=True).dtype == np.float32
    assert nn.full_like(x, 2).data.tolist() == np.full((2, 5), 2.0).tolist()


def test_random_numbers_follow_the_seed():
    draws = []
    for _ in range(2):
        nn.manual_seed(11)
        draws.append(
            [
                nn.rand(100),
                nn.randn(2, 50, dtype=np.float64),
                nn.randint(3, 9, (50,)),
                nn.randperm(20),
                nn.randn(()),
            ]
        )
    for a, b in zip(*draws):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(a.data, b.data)
    u, n, i, p, _ = draws[0]
    assert u.dtype == np.float32 and 0 <= u.data.min() < 0.1 and 0.9 < u.data.max() < 1
    assert abs(n.data.mean()) < 0.5 and 0.7 < n.data.std() < 1.3
    assert set(i.data) == {3, 4, 5, 6, 7, 8} and i.dtype == np.int64 and sorted(p.data) == list(range(20))
    state = nn.random.get_state()
    again = nn.rand(3).data
    nn.random.set_state(state)
    np.testing.assert_array_equal(nn.rand(3).data, again)


def test_tensor_copies_and_may_require_grad():
    a = np.ones(3)
    t = nn.tensor(a, requires_grad=True)
    assert t.requires_grad and not np.shares_memory(t.data, a) and t.dtype == np.float64
    with pytest.raises(TypeError, match="only float32 and float64 tensors"):
        nn.zeros(2, dtype=np.int64, requires_grad=True)


@pytest.mark.parametrize("call, error, message", [
    (lambda: nn.zeros(2, -3), ValueError, "zeros: a size can't be negative, got -3"),
    (lambda: nn.ones((2, "a")), TypeError, "ones: a size must be a whole number, got 'a'"),
    (lambda: nn.randn(2.0, 3), TypeError, "randn: a size must be a whole number, got 2.0"),
    (lambda: nn.eye(-1), ValueError, "eye: n can't be negative"),
    (lambda: nn.linspace(0, 1, -1), ValueError, "linspace: steps can't be negative"),
    (lambda: nn.randperm(-1), ValueError, "randperm: n can't be negative"),
    (lambda: nn.randint(3, 3, (2,)), ValueError, "randint: low must be below high, got 3 and 3"),
    (lambda: nn.arange(0, 1, 0), ValueError, "arange: step must not be 0"),
    (lambda: nn.tensor([[1, 2], [3]]), ValueError, "Tensor: .*inhomogeneous"),
    (lambda: nn.manual_seed("a"), ValueError, "manual_seed: seed must be a whole number"),
    (lambda: nn.manual_seed(-1), ValueError, "manual_seed: seed must be a whole number that is not negative"),
    (lambda: nn.zeros(2).bernoulli_(2.0), ValueError, r"bernoulli_: p must lie in \[0, 1\], got 2.0"),
    (lambda: nn.zeros(2).uniform_(1.0, 0.0), ValueError, "uniform_: low must not be above high"),
    (lambda: nn.zeros(2).normal_(0.0, -1.0), ValueError, "normal_: std must not be negative"),
    (lambda: nn.load(3), TypeError, "load: path must be a path, got int"),
])  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()
