"""normalize, cosine_similarity, pairwise_distance, pdist against PyTorch: powers, axes, zeros, gradients, errors."""

import numpy as np
import pytest
from support import SIZES, assert_close, check_gradient, check_kernels, check_torch, randn

import nnkern as F
from nnkern import Tensor, _cpu, gradgradcheck, nn

try:
    import torch
except ImportError:
    torch = None
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed: nothing to compare with")

POWERS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, float("inf")]


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("shape", [(9, 5), (2, 40), (1, 3), (0, 4), (5, 0)], ids=str)
def test_pdist_kernels(shape, p):
    for x in (randn(*shape), randn(*shape[::-1]).T, np.repeat(randn(*shape), 2, -1)[:, ::-2]):
        check_kernels("pdist_forward", x, p, kind="chain", n=10)
        y = _cpu.pdist_forward(x, p)
        if shape[1]:
            check_kernels("pdist_backward", randn(*y.shape), x, y, p, kind="chain", n=100)


@pytest.mark.parametrize("n", SIZES)
def test_sizes_around_register_widths(n):
    for p in (1.0, 2.0, 3.0, float("inf")):
        check_kernels("pdist_forward", randn(4, n), p, kind="chain", n=10)
    for axes in (0, 1):
        check_kernels("norm_forward", randn(5, n), axes, True, kind="chain")


ROWS = {"row_dots_forward": (), "pairwise_distance_forward": (1e-6,), "cosine_similarity_forward": (1e-8,)}


@pytest.mark.parametrize("op", ROWS)
def test_rows_with_rows(op):
    for n in (0, *SIZES):
        check_kernels(op, randn(5, n), randn(5, n, seed=1), *ROWS[op], kind="chain", n=10 + n)
    for x, y in (
        (randn(20), randn(20, seed=1)),
        (randn(3, 4, 5), randn(5, 4, 3, seed=1).T),
        (randn(6, 40)[::-1, ::2], np.broadcast_to(randn(20, seed=1), (6, 20))),
        (randn(0, 3), randn(0, 3)),
    ):
        check_kernels(op, x, y, *ROWS[op], kind="chain", n=40)
    for wrong in (randn(3, 4), randn(4), np.asarray(randn())):
        with pytest.raises(ValueError, match=r"must have one shape, \(\.\.\., width\)"):
            getattr(_cpu, op)(randn(3, 5), wrong, *ROWS[op])


def test_rows_of_length_1():
    for n in (0, *SIZES, 700):
        check_kernels("normalize_forward", randn(5, n), 1e-12, kind="chain", n=10 + n)
    for x in (
        randn(20),
        randn(5, 4, 3).T,
        randn(6, 40)[::-1, ::2],
        randn(0, 3),
        np.zeros((2, 5), np.float32),
    ):
        check_kernels("normalize_forward", x, 0.5, kind="chain", n=40)
    check_kernels("normalize_forward", randn(1200, 768), 1e-12, kind="chain", n=800)  # past the caches
    with pytest.raises(ValueError, match="normalize: input must have an axis"):
        _cpu.normalize_forward(np.asarray(randn()), 1e-12)


def test_norm_kernel_of_every_layout():
    for x in (
        randn(3, 4, 5),
        randn(5, 4, 3).T,
        randn(3, 8, 5)[::-1, ::2],
        np.broadcast_to(randn(4, 1), (3, 4, 5)),
    ):
        for axes in (0, 1, -1, [0, 2], []):
            for keep in (True, False):
                check_kernels("norm_forward", x, axes, keep, kind="chain", n=10)
    check_kernels("norm_forward", randn(3, 0), 1, False)
    check_kernels("norm_forward", randn(0, 3), 1, False)
    check_kernels("norm_forward", np.asarray(randn()), [], False)


def test_same_bits_for_any_thread_count():
    x, wide, before, results = randn(300, 60), randn(2000, 300), _cpu.num_threads(), []
    try:
        for threads in (1, 2, 3):
            _cpu.set_num_threads(threads)
            y = _cpu.pdist_forward(x, 2.0)
            rows = [getattr(_cpu, op)(wide, wide[::-1], *options) for op, options in ROWS.items()]
            results.append((y, _cpu.pdist_backward(y, x, y, 2.0), *rows))
    finally:
        _cpu.set_num_threads(before)
    for r in results[1:]:
        for a, e in zip(r, results[0]):
            np.testing.assert_array_equal(a, e)


@needs_torch
@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0, float("inf"), -1.0])
@pytest.mark.parametrize("dim", [0, 1, -1, (1, 2)], ids=str)
def test_normalize_equals_torch(dim, p):
    x = randn(4, 5, 6)
    x[1] = np.abs(x[1]) + 0.5
    check_torch(
        lambda x: F.normalize(x, p, dim), lambda x: torch.nn.functional.normalize(x, p, dim), x, kind="chain", n=120
    )  # fmt: skip


@needs_torch
def test_zeros_and_eps_equal_torch():
    x = randn(4, 6)
    x[1], x[2] = 0, 1e-3 * x[2]
    for p in (1.0, 2.0, 3.0):
        for eps in (1e-12, 0.5):
            check_torch(
                lambda x, p=p, e=eps: F.normalize(x, p, eps=e),
                lambda x, p=p, e=eps: torch.nn.functional.normalize(x, p, eps=e),
                x, kind="chain", n=10,
            )  # fmt: skip


PAIRS = [((4, 5), (4, 5), 1), ((4, 5), (4, 5), 0), ((3, 4, 5), (4, 5), 2), ((3, 4, 5), (4, 5), -1), ((5,), (5,), 0),
         ((3, 1, 5), (1, 4, 5), -1), ((2, 3, 4, 5), (2, 3, 4, 5), 1)]  # fmt: skip


@needs_torch
@pytest.mark.parametrize("one, two, dim", PAIRS, ids=str)
def test_cosine_similarity_equals_torch(one, two, dim):
    check_torch(
        lambda a, b: F.cosine_similarity(a, b, dim), lambda a, b: torch.nn.functional.cosine_similarity(a, b, dim),
        randn(*one), randn(*two, seed=1), kind="chain", n=10,
    )  # fmt: skip


@needs_torch
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("p", [0.0, 1.0, 1.5, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize(
    "one, two", [((4, 5), (4, 5)), ((5,), (5,)), ((4, 5), (1, 5)), ((3, 4, 5), (5,))], ids=str
)
def test_pairwise_distance_equals_torch(one, two, p, keepdim):
    check_torch(
        lambda a, b: F.pairwise_distance(a, b, p, 1e-6, keepdim),
        lambda a, b: torch.nn.functional.pairwise_distance(a, b, p, 1e-6, keepdim),
        randn(*one), randn(*two, seed=1), kind="chain", n=10, gradients=p != 0,
    )  # fmt: skip


@needs_torch
@pytest.mark.parametrize("p", POWERS)
def test_pdist_equals_torch(p):
    x = randn(7, 5)
    check_torch(lambda x: F.pdist(x, p), lambda x: torch.nn.functional.pdist(x, p), x, kind="chain", n=100)
    x[3] = x[1]  # no distance at all
    if p >= 1:
        check_torch(
            lambda x: F.pdist(x, p), lambda x: torch.nn.functional.pdist(x, p), x, kind="chain", n=100
        )


def test_gradients():
    x, y = randn(4, 5), randn(4, 5, seed=1)
    for p in (1.5, 2.0, 3.0, float("inf")):
        check_gradient(lambda x, p=p: F.normalize(x, p), x)
        check_gradient(lambda x, p=p: F.pdist(x, p), x)
        check_gradient(lambda x, y, p=p: F.pairwise_distance(x, y, p), x, y)
    for dim in (0, 1):
        check_gradient(lambda x, y, d=dim: F.cosine_similarity(x, y, d), x, y)
        check_gradient(lambda x, y, d=dim: F.cosine_similarity(x, y, d, eps=2.0), x, y)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0, float("inf")])
def test_fused_backward_equals_the_plain_one(p):
    x = Tensor(randn(6, 4), requires_grad=True)
    gy = randn(15, seed=2)
    (fused,), (plain,) = F.grad(F.pdist(x, p), x, gy), F.grad(F.pdist(x, p), x, gy, create_graph=True)
    assert_close(fused.data, plain.data, "chain", 20)


def test_second_derivatives():
    x, y = (Tensor(randn(3, 4, seed=i, dtype=np.float64), requires_grad=True) for i in range(2))
    assert gradgradcheck(lambda x: F.normalize(x), (x,))
    assert gradgradcheck(lambda x, y: F.cosine_similarity(x, y), (x, y))
    assert gradgradcheck(lambda x, y: F.pairwise_distance(x, y), (x, y))
    for p in (2.0, 3.0):
        assert gradgradcheck(lambda x, p=p: F.pdist(x, p), (x,))


def test_special_numbers():
    x = randn(3, 4)
    x[1, 2] = np.nan
    assert np.isnan(F.pdist(x)).tolist() == [True, False, True]
    assert np.isnan(F.normalize(x)).any(1).tolist() == [False, True, False]
    x[1, 2] = np.inf
    assert np.isinf(F.pdist(x)).tolist() == [True, False, True]


@needs_torch
def test_layers_equal_torch():
    a, b = randn(4, 5), randn(4, 5, seed=1)
    for name, options in (("CosineSimilarity", {"dim": 0}), ("CosineSimilarity", {"eps": 0.5}),
                          ("PairwiseDistance", {"p": 1.0}), ("PairwiseDistance", {"eps": 0.1, "keepdim": True})):  # fmt: skip
        ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
        assert_close(ours(a, b), theirs(torch.tensor(a), torch.tensor(b)).numpy(), "chain")
        assert repr(ours).startswith(f"{name}(")


def test_errors():
    x = randn(3, 4)
    with pytest.raises(ValueError, match=r"pdist: input must be \(rows, width\).*\(4,\)"):
        F.pdist(x[0])
    with pytest.raises(ValueError, match="pdist: p must not be negative, got -1"):
        F.pdist(x, -1.0)
    with pytest.raises(TypeError, match="pdist: input is int64"):
        F.pdist(np.zeros((2, 2), int))
    with pytest.raises(ValueError, match="one number for each pair"):
        _cpu.pdist_backward(randn(2), x, randn(3), 2.0)
    with pytest.raises(ValueError, match="cosine_similarity|mul"):
        F.cosine_similarity(x, x[:, :3])
    with pytest.raises(TypeError, match="normalize: input must be .* array, got NoneType"):
        F.normalize(None)


@needs_torch
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 2.0, 3.0, float("inf"), float("-inf")])
@pytest.mark.parametrize("dim", [None, 0, -1, (0, 2)], ids=str)
@pytest.mark.parametrize("keepdim", [False, True])
def test_norm_equals_torch(p, dim, keepdim):
    theirs = torch.linalg.vector_norm
    check_torch(
        lambda x: F.vector_norm(x, p, dim, keepdim), lambda x: theirs(x, p, dim, keepdim), randn(3, 4, 5), kind="chain", n=60,
        gradients=p != 0,
    )  # fmt: skip
    assert isinstance(Tensor(randn(3)).norm(), Tensor)


@needs_torch
@pytest.mark.parametrize(
    ("s", "t", "dim"), [((8,), (), 0), ((3, 4), (3, 1), 1), ((2, 3), (3,), -2), ((5, 4, 3), (4, 1), -1)]
)
def test_cosine_similarity_is_of_what_broadcasting_gives(s, t, dim):
    check_torch(
        lambda x, y: F.cosine_similarity(x, y, dim), lambda x, y: torch.cosine_similarity(x, y, dim),
        randn(*s), randn(*t, seed=1), kind="chain", n=8, gradients=False,
    )  # fmt: skip


def test_counting_has_no_slope():
    x = Tensor(np.array([[1.0, 0.0, np.inf]]), requires_grad=True)
    y = F.vector_norm(x, 0)
    y.backward()
    assert y.item() == 2 and x.grad.tolist() == [[0, 0, 0]]


def test_gradients_of_roots_of_norms_beside_zeros_as_in_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    x = np.array([[0.0, 3.0], [0.0, 0.0], [-1.0, 2.0]])
    for p in (0.5, 1.5, 3):
        t, ours = torch.tensor(x, requires_grad=True), F.Tensor(x, requires_grad=True)
        torch.norm(t, p, 1).sum().backward()
        F.norm(ours, p, 1).sum().backward()
        np.testing.assert_allclose(ours.grad.data, t.grad.numpy(), rtol=1e-12)
    assert F.norm(np.array(-3.0), 2, 0).tolist() == 3 and F.norm(np.array(-3.0), 1).shape == ()
