"""Functions made up of others, and those that only count and compare: values, dtypes and gradients are PyTorch's."""

import numpy as np
import pytest
from support import randn

import nnkern
from nnkern import Tensor

torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")

A, B = randn(3, 4, dtype=np.float64), np.abs(randn(3, 4, dtype=np.float64, seed=1)) + 0.1
P = 1 / (1 + np.exp(-A))
ODD = np.array([0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.0])
INDEX = np.array([2, 0])

# name, arguments after the library's function; arrays become tensors, floats among them require grad
CALLS = [
    ("lerp", A, B, 0.3), ("lerp", A, B, P), ("addcmul", A, B, P), ("addcdiv", A, P, B), ("frac", A * 5),
    ("logaddexp", A, B), ("logaddexp", A, A), ("xlogy", A, B), ("xlogy", np.zeros(3), np.array([2.0, 1.0, 0.5])),
    ("logit", P), ("logit", np.array([0.0, 0.5, 1.0]), 0.1), ("dot", A[0], B[0]), ("trace", A), ("diag", A), ("diag", A, 1),
    ("diag", A[0], -1), ("diff", A), ("diff", A, 2, 0), ("diff", A, 9), ("cdist", A, B), ("cdist", A, B, 1.0),
    ("cdist", np.stack([A, B]), A), ("norm", A), ("norm", A, 1, 0), ("norm", A, "fro", (0, 1)), ("select", A, 1, -1), ("t", A),
    ("hstack", [A, B]), ("hstack", [A[0], B[0]]), ("vstack", [A, B]), ("vstack", [A[0], B]), ("column_stack", [A[0], B[0]]),
    ("clamp_min", A, 0.1), ("clamp_max", A, 0.1), ("index_fill", A, 0, INDEX, 7.0), ("index_copy", A, 0, INDEX, B[:2]),
    ("index_copy", A, 1, INDEX, B[:, :2]), ("nan_to_num", ODD), ("nan_to_num", ODD, 1.0, 2.0, 3.0),
    ("movedim", A, 0, 1), ("swapdims", A, 0, 1), ("subtract", A, B), ("true_divide", A, B),
]  # fmt: skip


def given(value, library, taped):
    if isinstance(value, list):
        return [given(v, library, taped) for v in value]
    if not isinstance(value, np.ndarray):
        return value
    t = torch.tensor(value) if library is torch else Tensor(value.copy())
    if value.dtype.kind == "f":
        t.requires_grad_()
        taped.append(t)
    return t


@pytest.mark.parametrize(
    ("name", *("args",)), [(c[0], c[1:]) for c in CALLS], ids=lambda v: v if isinstance(v, str) else ""
)
def test_values_and_gradients_as_in_torch(name, args):
    found = []
    for library in (nnkern, torch):
        taped = []
        y = getattr(library, name)(*[given(a, library, taped) for a in args])
        w = np.arange(1.0, y.detach().numpy().size + 1).reshape(tuple(y.shape))
        finite = np.nan_to_num(y.detach().numpy(), nan=0, posinf=0, neginf=0) == y.detach().numpy()
        seed = np.asarray(w * finite)
        y.backward(torch.tensor(seed) if library is torch else seed)
        grads = [np.zeros(tuple(t.shape)) if t.grad is None else np.asarray(t.grad) for t in taped]
        found.append((np.asarray(y.detach()), *grads))
    for ours, theirs in zip(*found):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_several_results_as_in_torch():
    x, t = Tensor(A), torch.tensor(A)
    for ours, theirs in (
        (nnkern.aminmax(x, dim=1), torch.aminmax(t, dim=1)),
        (x.aminmax(), t.aminmax()),
        (nnkern.std_mean(x, 1), torch.std_mean(t, 1)),
        (nnkern.tensor_split(x, 3, 1), torch.tensor_split(t, 3, 1)),
        (x.tensor_split((1, 3), 1), t.tensor_split((1, 3), 1)),
        (nnkern.tensor_split(x, (-1, 9), 1), torch.tensor_split(t, (-1, 9), 1)),
        (nnkern.broadcast_tensors(x, x[0]), torch.broadcast_tensors(t, t[0])),
        ((x.max(x * -1), x.min(-x)), (t.max(t * -1), t.min(-t))),
        (
            (x.var(1, unbiased=False), x.std(unbiased=False)),
            (t.var(1, unbiased=False), t.std(unbiased=False)),
        ),
    ):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            np.testing.assert_allclose(a.data, b.numpy(), rtol=1e-12)


K = np.array([[3, 1, 0], [1, 0, 3]])
COUNTS = [
    lambda t, x: t.nonzero(x), lambda t, x: t.argwhere(x), lambda t, x: t.count_nonzero(x), lambda t, x: t.count_nonzero(x, 1),
    lambda t, x: t.stack(t.nonzero(x, as_tuple=True)), lambda t, x: t.unique(x), lambda t, x: t.unique(x, return_counts=True)[1],
    lambda t, x: t.unique(x, return_inverse=True)[1], lambda t, x: t.unique(x, dim=0), lambda t, x: t.bincount(x[0], minlength=5),
    lambda t, x: t.bincount(x[0], t.ones(3)), lambda t, x: t.isclose(x.double(), x.double() + 1e-9),
    lambda t, x: t.searchsorted(t.tensor([0, 1, 3]), x), lambda t, x: t.bucketize(x, t.tensor([0, 1, 3]), right=True),
    lambda t, x: t.tril_indices(3, 4, 1), lambda t, x: t.triu_indices(3, 3), lambda t, x: x[x.nonzero(as_tuple=True)],
    lambda t, x: t.tensor([t.equal(x, x), t.equal(x, x[0]), t.allclose(x.float(), x.float() + 1)]),
    lambda t, x: t.tensor([3 in x, 9 in x, x.is_floating_point(), x.float().is_floating_point()]),
    lambda t, x: t.tensor([*x.stride(), x.t().stride(0), x.nelement(), x.itemsize, x.nbytes]),
    lambda t, x: x.new_zeros(2, 3), lambda t, x: x.float().new_full((2,), 7), lambda t, x: x.new_tensor([1.0, 2.0]),
    lambda t, x: x.where(x > 1, -x), lambda t, x: x.type_as(t.ones(1)), lambda t, x: x.ravel(), lambda t, x: t.logspace(0, 2, 3),
]  # fmt: skip


@pytest.mark.parametrize("n", range(len(COUNTS)))
def test_counts_as_in_torch(n):
    ours, theirs = COUNTS[n](nnkern, Tensor(K)), COUNTS[n](torch, torch.tensor(K))
    assert isinstance(ours, Tensor) and ours.dtype == theirs.numpy().dtype
    np.testing.assert_array_equal(ours.data, theirs.numpy())


IN_PLACE = [
    lambda t, x, y: x.lerp_(y, 0.3), lambda t, x, y: x.sigmoid_(), lambda t, x, y: x.addcmul_(y, y, value=0.5),
    lambda t, x, y: x.masked_fill_(y > 1, 0.5), lambda t, x, y: x.remainder_(0.7), lambda t, x, y: x.add_(y, alpha=2),
    lambda t, x, y: x.sub_(y, alpha=0.5), lambda t, x, y: x.index_add_(0, t.tensor([1, 1]), y[:2]), lambda t, x, y: x.tanh_(),
    lambda t, x, y: x.scatter_(1, t.tensor([[1], [0], [2]]), 5.0), lambda t, x, y: x.tril_(), lambda t, x, y: x.div_(y),
    lambda t, x, y: x.index_fill_(1, t.tensor([1]), 2.0), lambda t, x, y: x.clamp_min_(0.1),
]  # fmt: skip


@pytest.mark.parametrize("n", range(len(IN_PLACE)))
def test_in_place_as_in_torch(n):
    found = []
    for library in (nnkern, torch):
        leaf, other = given(A, library, []), given(B, library, [])
        x = leaf * 2
        y = IN_PLACE[n](library, x, other)
        assert y is x
        (x * x).sum().backward()
        grads = [np.zeros((3, 4)) if t.grad is None else np.asarray(t.grad) for t in (leaf, other)]
        found.append((np.asarray(x.detach()), *grads))
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


def test_random_numbers():
    nnkern.manual_seed(0)
    p = Tensor(np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 0.0]]))
    drawn = nnkern.multinomial(p, 20_000, replacement=True).data
    assert drawn.dtype == np.int64 and not drawn[1].any()
    assert abs((drawn[0] == 2).mean() - 0.75) < 0.02 and not (drawn[0] == 0).any()
    once = np.stack([p[0].multinomial(2).data for _ in range(2000)])
    assert set(map(tuple, once)) == {(1, 2), (2, 1)} and abs((once[:, 0] == 2).mean() - 0.75) < 0.05
    flips = nnkern.bernoulli(Tensor(np.full(10_000, 0.3), requires_grad=True))
    assert abs(flips.data.mean() - 0.3) < 0.02 and not flips.requires_grad
    x = nnkern.zeros(10_000)
    assert abs(x.normal_(1, 2).data.std() - 2) < 0.1 and 0.9 < x.data.mean() < 1.1 and x.dtype == np.float32
    assert (
        2 <= x.uniform_(2, 3).data.min()
        and x.data.max() < 3
        and abs(x.bernoulli_(0.2).data.mean() - 0.2) < 0.02
    )
    assert nnkern.randint(7, (2, 3)).shape == (2, 3) and nnkern.normal(0.0, 1.0, (4,)).dtype == np.float32
    for bad, message in (
        (lambda: nnkern.multinomial(p, 2), "2 samples can't be drawn"),
        (lambda: nnkern.multinomial(-p, 1), "finite probabilities"),
        (lambda: nnkern.bernoulli(p), "between 0 and 1"),
        (lambda: nnkern.bincount(p[0]), "bincount: x must be a vector of whole numbers"),
        (lambda: nnkern.dot(p, p), "dot: x and y need one dim"),
        (lambda: nnkern.cdist(p, p[:, :2]), "cdist: x1 and x2 need"),
        (lambda: nnkern.norm(p, "nuc"), "norm: p must be a number or 'fro'"),
        (lambda: nnkern.tensor_split(p, 0), "sections must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            bad()


def test_detach_in_place():
    x = Tensor([1.0], requires_grad=True)
    y = x * 2
    assert y.detach_() is y and y.is_leaf and not y.requires_grad
    with pytest.raises(RuntimeError, match="detach_: a view"):
        (x * 2)[0].detach_()
