"""embedding, embedding_bag and one_hot against PyTorch over their options; order of sums; errors that name the place."""

import itertools

import numpy as np
import pytest
from support import DTYPES, SIZES, assert_close, check_gradient, check_kernels, check_torch, randn, rng

import nnkern as F
from nnkern import Tensor, _cpu, gradgradcheck, nn, optim

try:
    import torch
except ImportError:
    torch = None
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed: nothing to compare with")


def indices(*shape, rows=7, seed=0, dtype=np.int64):
    return np.asarray(rng(seed, 9).integers(0, rows, shape), dtype)


@pytest.mark.parametrize("shape", [(), (5,), (0,), (2, 3), (700,)], ids=str)
def test_forward_kernels(shape):
    for w in (randn(7, 5), randn(5, 7).T, randn(14, 10)[::-2, ::2]):
        check_kernels("embedding_forward", w, indices(*shape), kind="exact")
        check_kernels("embedding_forward", w, indices(*shape, dtype=np.int32), kind="exact")
    if len(shape) == 2:
        check_kernels("embedding_forward", randn(7, 5), indices(3, 4).T[::-1], kind="exact")


@pytest.mark.parametrize("n", SIZES)
def test_sizes_around_register_widths(n):
    check_kernels("embedding_forward", randn(7, n), indices(20), kind="exact")
    check_kernels("embedding_backward", randn(20, n), indices(20), None, randn(20), 7, -1, n=20)


@pytest.mark.parametrize("count", [0, 1, 50, 3000])
def test_backward_kernels(count):
    gy, index, source, scale = randn(count, 6), indices(count), indices(count, rows=9, seed=1), randn(count)
    for padding in (-1, 2):
        check_kernels("embedding_backward", gy, index, None, None, 7, padding, n=count)
        check_kernels("embedding_backward", gy[:, ::-1], index[::-1], None, scale[::-1], 7, padding, n=count)
        check_kernels("embedding_backward", randn(9, 6), index, source, None, 7, padding, n=count)
        check_kernels("embedding_backward", randn(9, 12)[:, ::2], index, source, scale, 7, padding, n=count)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_bag_kernels(mode):
    w, index, scale = randn(7, 33), indices(40), randn(40) if mode == 0 else None
    for offsets in ([0, 3, 3, 20], [0], [0, 40, 40], [0, 0]):
        check_kernels("embedding_bag_forward", w, index, np.array(offsets), scale, mode, kind="sum", n=40)
    for table in (w[:, ::2], randn(33, 7).T):
        check_kernels("embedding_bag_forward", table, index, np.array([0, 7]), scale, mode, n=40)
    check_kernels("embedding_bag_forward", w, index[:0], np.array([0, 0]), None, mode)
    check_kernels("embedding_bag_forward", w, index[:0], np.zeros(0, np.int64), None, mode)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 63, 64, 65, 130])
def test_bags_of_every_width(n):
    w, index, offsets = randn(50, n), indices(70, rows=50), np.array([0, 1, 30, 30, 69])
    check_kernels("embedding_bag_forward", w, index, offsets, randn(70), 0, kind="sum", n=40)
    check_kernels("embedding_bag_forward", w, index, offsets, None, 1, kind="sum", n=40)
    check_kernels("embedding_forward", w, index)


def test_same_bits_for_any_thread_count():
    w, index, gy = randn(500, 200), indices(4000, rows=500), randn(4000, 200)
    before, results = _cpu.num_threads(), []
    try:
        for threads in (1, 2, 3):
            _cpu.set_num_threads(threads)
            results.append(
                (
                    _cpu.embedding_forward(w, index),
                    _cpu.embedding_backward(gy, index, None, None, 500, -1),
                    _cpu.embedding_bag_forward(w, index, np.arange(0, 4000, 7), None, 1)[0],
                )
            )
    finally:
        _cpu.set_num_threads(before)
    for r in results[1:]:
        for a, e in zip(r, results[0]):
            np.testing.assert_array_equal(a, e)


def test_nan_and_inf_go_where_they_are_read():
    w = randn(5, 3)
    w[1, 0], w[2, 1], w[3, 2] = np.nan, np.inf, -np.inf
    index = np.array([[0, 1], [2, 4], [3, 0]])
    np.testing.assert_array_equal(F.embedding(index, w), w[index])
    for mode in range(3):
        check_kernels("embedding_bag_forward", w, index.reshape(-1), np.array([0, 2, 4]), None, mode)


# --- PyTorch

OPTIONS = [
    {}, {"padding_idx": 2}, {"padding_idx": -1}, {"scale_grad_by_freq": True}, {"max_norm": 1.0},
    {"max_norm": 2.0, "norm_type": 1.0}, {"padding_idx": 0, "scale_grad_by_freq": True, "max_norm": 1.5},
    {"max_norm": 0.5, "norm_type": float("inf")}, {"sparse": False},
]  # fmt: skip


@needs_torch
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", [(9,), (2, 3), (), (0,), (2, 0)], ids=str)
def test_embedding_equals_torch(shape, options):
    index, theirs = indices(*shape), torch.nn.functional.embedding

    def ours(w):
        return F.embedding(index, w, **options)

    def torchs(w):
        return theirs(torch.tensor(index), w, **options)

    check_torch(ours, torchs, randn(7, 4), n=9)
    for dtype in DTYPES:  # what max_norm left of the table
        w = randn(7, 4).astype(dtype)
        tw = torch.tensor(w)
        F.embedding(index, w, **options), theirs(torch.tensor(index), tw, **options)
        assert_close(w, tw.numpy(), "chain")


BAGS = [
    ((3, 4), None, {}), ((0, 4), None, {}), ((9,), [0, 2, 2, 5], {}), ((9,), [0], {}),
    ((0,), [0, 0], {}), ((9,), [0, 4, 9], {"include_last_offset": True}),
    ((3, 4), None, {"padding_idx": 3}), ((9,), [0, 2, 2, 5], {"padding_idx": -2}), ((3, 4), None, {"max_norm": 1.0}),
]  # fmt: skip


@needs_torch
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("shape, offsets, options", BAGS, ids=str)
def test_embedding_bag_equals_torch(shape, offsets, options, mode):
    index, theirs = indices(*shape), torch.nn.functional.embedding_bag
    ti, to = torch.tensor(index), None if offsets is None else torch.tensor(offsets)
    begin = None if offsets is None else np.array(offsets)
    options = {**options, "mode": mode}
    check_torch(
        lambda w: F.embedding_bag(index, w, begin, **options), lambda w: theirs(ti, w, to, **options), randn(7, 4),
        kind="chain",
    )  # fmt: skip
    if mode == "sum" and "include_last_offset" not in options:
        check_torch(
            lambda w, s: F.embedding_bag(index, w, begin, per_sample_weights=s, **options),
            lambda w, s: theirs(ti, w, to, per_sample_weights=s, **options),
            randn(7, 4), randn(*shape), kind="chain",
        )  # fmt: skip


def test_bags_are_sums_of_embedding():
    """scale_grad_by_freq, whose counts PyTorch mixes up in bags, and bags without a single index."""
    index, w = indices(3, 4), Tensor(randn(7, 5), requires_grad=True)
    (bag,) = F.grad(F.embedding_bag(index, w, mode="sum", scale_grad_by_freq=True), w, randn(3, 5))
    (row,) = F.grad(F.embedding(index, w, scale_grad_by_freq=True).sum(1), w, randn(3, 5))
    assert_close(bag.data, row.data, "sum", 4)
    (bag,) = F.grad(F.embedding_bag(index, w, scale_grad_by_freq=True), w, randn(3, 5))
    assert_close(bag.data, row.data / 4, "sum", 4)
    scale = Tensor(randn(3, 4))
    weighted = F.embedding_bag(index, w, mode="sum", per_sample_weights=scale, scale_grad_by_freq=True)
    (bag,) = F.grad(weighted, w, randn(3, 5))
    (row,) = F.grad(
        (F.embedding(index, w, scale_grad_by_freq=True) * scale[..., None]).sum(1), w, randn(3, 5)
    )
    assert_close(bag.data, row.data, "sum", 4)
    for mode in ("sum", "mean", "max"):
        np.testing.assert_array_equal(F.embedding_bag(np.zeros((3, 0), int), w, mode=mode).data, 0)


@needs_torch
@pytest.mark.parametrize("classes", [-1, 7, 9])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)], ids=str)
def test_one_hot_equals_torch(shape, classes):
    index = indices(*shape)
    expected = torch.nn.functional.one_hot(torch.tensor(index), classes).numpy()
    np.testing.assert_array_equal(F.one_hot(index, classes), expected)
    np.testing.assert_array_equal(F.one_hot(Tensor(index), classes).data, expected)


def test_one_hot_of_nothing():
    assert F.one_hot(np.zeros(0, int), 3).shape == (0, 3)
    for classes in (-1, 0):
        with pytest.raises(ValueError, match="one_hot: an empty input"):
            F.one_hot(np.zeros(0, int), classes)


# --- gradients


def test_gradients():
    index = np.array([[3, 0, 3], [6, 3, 1]])
    check_gradient(lambda w: F.embedding(index, w), randn(7, 4))
    check_gradient(lambda w: F.embedding_bag(index, w), randn(7, 4))
    check_gradient(lambda w: F.embedding_bag(index, w, mode="max"), randn(7, 4))
    check_gradient(
        lambda w, s: F.embedding_bag(index, w, mode="sum", per_sample_weights=s), randn(7, 4), randn(2, 3)
    )


def test_second_derivatives():
    index = np.array([[3, 0, 3], [6, 3, 1]])
    w, s = (Tensor(randn(*n, dtype=np.float64), requires_grad=True) for n in ((7, 4), (2, 3)))
    square = lambda y: y * y  # noqa: E731
    assert gradgradcheck(lambda w: square(F.embedding(index, w)), (w,))
    assert gradgradcheck(lambda w: square(F.embedding_bag(index, w)), (w,))
    assert gradgradcheck(
        lambda w, s: square(F.embedding_bag(index, w, mode="sum", per_sample_weights=s)), (w, s)
    )
    with F.no_grad():
        w.mul_(2.0)
    (g,) = F.grad(F.embedding(index, w, padding_idx=3).sum(), (w,))
    assert (g.data[3] == 0).all() and (g.data[0] == 1).all()


def test_max_norm_after_other_uses_is_seen_by_backward():
    w = Tensor(5 * randn(4, 3), requires_grad=True)
    y = w * w
    F.embedding([1], w, max_norm=1.0)
    with pytest.raises(RuntimeError, match="embedding's max_norm"):
        y.sum().backward()


# --- layers


@needs_torch
@pytest.mark.parametrize(
    "name, options",
    [("Embedding", {}), ("Embedding", {"padding_idx": -2, "max_norm": 1.0}), ("EmbeddingBag", {}),
     ("EmbeddingBag", {"mode": "max", "padding_idx": 1}), ("EmbeddingBag", {"mode": "sum", "scale_grad_by_freq": True})],
    ids=str,
)  # fmt: skip
def test_layers_equal_torch(name, options):
    ours, theirs = getattr(nn, name)(7, 4, **options), getattr(torch.nn, name)(7, 4, **options)
    ours.load_state_dict(theirs.state_dict())
    index = indices(3, 5)
    assert_close(ours(index).data, theirs(torch.tensor(index)).detach().numpy(), "chain")
    if theirs.padding_idx is not None:
        fresh = getattr(nn, name)(7, 4, **options)
        assert (fresh.weight.data[theirs.padding_idx] == 0).all() and fresh.padding_idx == theirs.padding_idx
    assert set(repr(ours)[:-1].split(", ")) == set(repr(theirs)[:-1].split(", "))


def test_from_pretrained():
    table = randn(5, 3)
    layer = nn.Embedding.from_pretrained(table, padding_idx=1)
    np.testing.assert_array_equal(layer([4]).data, table[[4]])
    assert not layer.weight.requires_grad and layer.padding_idx == 1
    assert nn.EmbeddingBag.from_pretrained(Tensor(table), freeze=False, mode="sum").weight.requires_grad
    with pytest.raises(ValueError, match=r"embeddings must be \(rows, width\), got \(3,\)"):
        nn.Embedding.from_pretrained(table[0])


def test_kinds_of_arrays():
    w = randn(7, 4)
    assert isinstance(F.embedding([0, 1], w), np.ndarray) and isinstance(F.embedding(3, Tensor(w)), Tensor)
    if torch is not None:
        assert isinstance(F.embedding(torch.tensor([0]), torch.tensor(w)), torch.Tensor)


ERRORS = [
    (lambda w: F.embedding([[0, 9]], w), IndexError, r"embedding: input\[0, 1\] is 9, which is not in \[0, 4\)"),
    (lambda w: F.embedding(np.array(-1), w), IndexError, r"embedding: input\[\] is -1"),
    (lambda w: F.embedding([0.5], w), TypeError, "embedding: input must be integers, got float64"),
    (lambda w: F.embedding(np.array([0.5]), w), TypeError, "embedding: input is float64; int64 or int32"),
    (lambda w: F.embedding([0], w[0]), ValueError, r"embedding: weight must be \(rows, width\)"),
    (lambda w: F.embedding([0], w, 4), ValueError, r"padding_idx must lie in \[-4, 4\), got 4"),
    (lambda w: F.embedding([7], w, max_norm=1.0), IndexError, r"input\[0\] is 7"),
    (lambda w: F.embedding_bag(np.array([0, 9]), w, np.array([0])), IndexError, r"embedding_bag: input\[1\] is 9"),
    (lambda w: F.embedding_bag(np.array([0, 1]), w), ValueError, "a 1-d input needs offsets"),
    (lambda w: F.embedding_bag(np.zeros((2, 2), int), w, np.array([0])), ValueError, "offsets must be None"),
    (lambda w: F.embedding_bag(np.zeros((1, 2, 2), int), w), ValueError, "must have 1 or 2 dims"),
    (lambda w: F.embedding_bag(np.array([0, 1]), w, np.array([1])), ValueError, r"offsets\[0\] must be 0, got 1"),
    (lambda w: F.embedding_bag(np.arange(4), w, np.array([0, 3, 2])), ValueError, r"offsets\[2\] does"),
    (lambda w: F.embedding_bag(np.arange(4), w, np.array([0, 5])), IndexError, r"offsets\[1\] is 5"),
    (lambda w: F.embedding_bag(np.zeros((1, 2), int), w, mode="min"), ValueError, "mode must be one of sum, mean, max"),
    (lambda w: F.embedding_bag(np.zeros((1, 2), int), w, per_sample_weights=randn(1, 2)), ValueError, "mode 'sum' only"),
    (lambda w: F.embedding_bag(np.zeros((1, 2), int), w, mode="sum", per_sample_weights=randn(2)), ValueError,
     "per_sample_weights must have the shape of input"),
    (lambda w: F.embedding_bag(np.zeros((1, 2), int), w, mode="max", scale_grad_by_freq=True), ValueError, "mode 'max'"),
    (lambda w: nn.Embedding(4, 3, padding_idx=5), ValueError, r"Embedding: padding_idx must lie in \[-4, 4\)"),
    (lambda w: nn.Embedding(4, 3, _weight=w[:3]), ValueError, r"has shape \(3, 2\), not \(4, 3\)"),
    (lambda w: F.one_hot([0, 2], 2), ValueError, r"one_hot: classes must lie in \[0, 2\), got 0 to 2"),
    (lambda w: F.one_hot([-1]), ValueError, "one_hot: classes must lie in"),
    (lambda w: F.one_hot(np.zeros(0, int)), ValueError, "an empty input does not tell"),
    (lambda w: F.one_hot(np.array([0.0])), TypeError, "one_hot: classes must be integers"),
]  # fmt: skip


@pytest.mark.parametrize("call, kind, text", ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call(randn(4, 2))


def test_kernels_check_what_they_rely_on():
    gy, index = randn(3, 2), np.arange(3)
    for source, scale, text in (
        (index[:2], None, "source must have one"),
        (None, randn(2), "one weight for each"),
    ):
        with pytest.raises(ValueError, match=text):
            _cpu.embedding_backward(gy, index, source, scale, 3, -1)
    with pytest.raises(IndexError, match=r"source\[2\] is 3"):
        _cpu.embedding_backward(gy, index, index + 1, None, 3, -1)
    with pytest.raises(ValueError, match="a row for each index"):
        _cpu.embedding_backward(gy[:2], index, None, None, 3, -1)
    for options in itertools.product((2, 4), (-1, 9)):
        if options[0] == 2:
            with pytest.raises(IndexError, match=r"index\[2\] is 2"):
                _cpu.embedding_backward(gy, index, None, None, *options)
        else:
            assert _cpu.embedding_backward(gy, index, None, None, *options).shape == (4, 2)


@needs_torch
@pytest.mark.parametrize("layer", ["Embedding", "EmbeddingBag"])
def test_sparse_trains_as_in_torch(layer):
    ours, theirs = getattr(nn, layer)(7, 3, sparse=True), getattr(torch.nn, layer)(7, 3, sparse=True)
    ours.load_state_dict(theirs.state_dict())
    index, steps = np.array([[1, 4, 1], [0, 6, 4]]), (optim.SGD, torch.optim.SGD)
    steps = [sgd(m.parameters(), lr=0.1, momentum=0.9) for sgd, m in zip(steps, (ours, theirs))]
    for _ in range(3):
        for step, loss in zip(
            steps, ((ours(Tensor(index)) ** 2).sum(), (theirs(torch.tensor(index)) ** 2).sum())
        ):
            step.zero_grad()
            loss.backward()
            step.step()
    assert_close(ours.weight.data, theirs.weight.detach().numpy(), "chain", 8)
