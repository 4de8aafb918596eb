"""Losses with a margin equal PyTorch's in value and gradient over their options; what it refuses is refused."""

import itertools

import numpy as np
import pytest
from support import DTYPES, assert_close, check_gradient, check_kernels, check_torch, randn, rng

import nnkern as F
from nnkern import Tensor, gradgradcheck, nn

REDUCTIONS = ("none", "mean", "sum")


def signs(*shape, dtype=np.int64):
    return np.asarray(np.where(rng(5, *shape).random(shape) < 0.5, -1, 1)).astype(dtype)


def labels_of(rows, classes):
    """Up to `classes` different labels in each row, ended by -1."""
    y = np.stack([rng(7, r).permutation(classes) for r in range(rows)])
    for r in range(rows):
        y[r, rng(8, r).integers(0, classes + 1) :] = -1
    return y


# name, arrays (float ones are differentiated), options
CASES = [
    *[("hinge_embedding_loss", (randn(*s), signs(*s)), o) for s in ((), (0,), (1,), (7, 5), (3, 2, 4))
      for o in ({}, {"margin": 0.3})],
    ("hinge_embedding_loss", (randn(7, 5), np.array([1, -1, 0, 2, 1])), {"margin": -0.2}),
    *[("soft_margin_loss", (randn(*s), signs(*s)), {}) for s in ((), (0,), (1,), (7, 5))],
    ("soft_margin_loss", (randn(7, 5), signs(5)), {}),
    *[("cosine_embedding_loss", (randn(*s), randn(*s, seed=1), signs(*s[:-1])), o) for s in ((5,), (4, 6), (0, 3))
      for o in ({}, {"margin": 0.2}, {"margin": -0.5})],
    *[("margin_ranking_loss", (randn(*s), randn(*s, seed=1), signs(*s)), o) for s in ((), (6,), (3, 4), (0,))
      for o in ({}, {"margin": 0.4})],
    ("margin_ranking_loss", (randn(3, 1), randn(1, 4, seed=1), signs(3, 4, dtype=np.float32)), {}),
    *[("multi_margin_loss", (randn(6, 5), rng(1).integers(0, 5, 6)), {"p": p, "margin": m})
      for p, m in itertools.product((1, 2), (1.0, 0.2))],
    ("multi_margin_loss", (randn(4), np.array(2)), {}),
    ("multi_margin_loss", (randn(4), np.array([2])), {}),
    ("multi_margin_loss", (randn(3, 1), np.zeros(3, int)), {}),
    ("multilabel_margin_loss", (randn(6, 5), labels_of(6, 5)), {}),
    ("multilabel_margin_loss", (randn(6, 5), np.full((6, 5), -1)), {}),
    ("multilabel_margin_loss", (randn(3, 4), np.array([[1, 1, 2, -1], [0, -1, 3, 3], [3, 2, 1, 0]])), {}),
    ("multilabel_margin_loss", (randn(5), labels_of(1, 5)[0]), {}),
    *[("multilabel_soft_margin_loss", (4 * randn(*s), rng(2).integers(0, 2, s)), {}) for s in ((5,), (6, 5), (2, 3, 4))],
    *[("triplet_margin_loss", (randn(*s), randn(*s, seed=1), randn(*s, seed=2)), {"p": p, "swap": w, "margin": m})
      for s in ((5,), (6, 5), (2, 3, 4)) for p, w, m in
      ((2, False, 1.0), (1, False, 0.5), (3.5, False, 1.0), (float("inf"), False, 1.0), (2, True, 2.0))],
]  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "arrays", "options"), CASES)
def test_equals_torch(name, arrays, options, reduction):
    torch = pytest.importorskip("torch")
    options = {"reduction": reduction, **options}
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    check_torch(
        lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options), *arrays, kind="chain", n=200
    )


@pytest.mark.parametrize("shape", [(5,), (1, 1), (4, 7), (6, 8), (3, 33)])
@pytest.mark.parametrize("several", [False, True])
def test_kernels(shape, several):
    x, rows = randn(*shape), shape[:-1]
    target = (
        labels_of(len(x) if rows else 1, shape[-1]).reshape(shape)
        if several
        else rng(1).integers(0, shape[-1], rows)
    )
    target, weight = np.asarray(target), None if several else np.abs(randn(shape[-1], seed=3))
    for p, reduction in itertools.product((1, 2), (0, 1, 2)):
        for v, t in (
            (x, target),
            (np.asfortranarray(x)[::-1], target[::-1] if target.ndim else target),
            (x, target.astype(np.int32)),
        ):
            options = (weight, p, 0.7, several, reduction)
            check_kernels("margin_loss_forward", v, t, *options, kind="chain", n=100)
            gy = np.asarray(randn(*(rows if reduction == 0 else ())))
            check_kernels("margin_loss_backward", gy, v, t, *options, kind="chain", n=100)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weights_equal_torch(reduction):
    f = pytest.importorskip("torch").nn.functional
    w, y = np.abs(randn(5, seed=3)), rng(1).integers(0, 5, 6)
    options = {"reduction": reduction}
    for name, t in (("multi_margin_loss", y), ("multilabel_soft_margin_loss", (randn(6, 5) > 0).astype(int))):
        check_torch(
            lambda a, n=name, t=t: getattr(F, n)(a, t, weight=w.astype(a.data.dtype), **options),
            lambda a, n=name, t=t: getattr(f, n)(
                a, f.torch.tensor(t), weight=f.torch.tensor(w, dtype=a.dtype), **options
            ),
            randn(6, 5), kind="chain",
        )  # fmt: skip


def test_any_distance_will_do():
    a, b, c = randn(4, 3), randn(4, 3, seed=1), randn(4, 3, seed=2)

    def distance(x, y):
        return F.abs(x - y).sum(-1) if isinstance(x, Tensor) else np.abs(x - y).sum(-1)

    found = F.triplet_margin_with_distance_loss(
        a, b, c, distance_function=distance, swap=True, reduction="none"
    )
    far = np.minimum(distance(a, c), distance(b, c))
    np.testing.assert_allclose(found, np.maximum(distance(a, b) - far + 1, 0), rtol=1e-6)
    check_gradient(
        lambda *t: F.triplet_margin_with_distance_loss(*t, distance_function=distance, reduction="sum"),
        a,
        b,
        c,
    )


@pytest.mark.parametrize("name", ["soft_margin_loss", "cosine_embedding_loss", "triplet_margin_loss", "multi_margin_loss",
                                  "multilabel_margin_loss"])  # fmt: skip
def test_second_derivatives(name):
    arrays = {
        "soft_margin_loss": (randn(6), signs(6)),
        "cosine_embedding_loss": (randn(3, 4), randn(3, 4, seed=1), signs(3)),
        "multi_margin_loss": (randn(3, 4), np.array([0, 3, 1])),
        "multilabel_margin_loss": (randn(3, 4), np.array([[0, 3, -1, 1], [1, -1, -1, -1], [2, 0, 1, -1]])),
        "triplet_margin_loss": (randn(3, 4), randn(3, 4, seed=1), randn(3, 4, seed=2)),
    }[name]
    typed = [
        Tensor(a.astype(np.float64), requires_grad=True) if a.dtype.kind == "f" else Tensor(a) for a in arrays
    ]
    given = [a for a in typed if a.requires_grad]
    rest = [a for a in typed if not a.requires_grad]
    assert gradgradcheck(lambda *t: getattr(F, name)(*t, *rest), tuple(given))


@pytest.mark.parametrize("dtype", DTYPES)
def test_strides_and_kinds(dtype):
    x, y = randn(8, 6, dtype=dtype), rng(1).integers(0, 3, 4)
    assert_close(F.multi_margin_loss(x[::2, ::-2], y), F.multi_margin_loss(x[::2, ::-2].copy(), y), "chain")
    torch = pytest.importorskip("torch")
    t = F.multi_margin_loss(torch.tensor(x[:4]), torch.tensor(y))
    assert isinstance(t, torch.Tensor)
    assert_close(t.numpy(), F.multi_margin_loss(x[:4], y), "exact")


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_cosine_embedding_broadcasts(reduction):
    torch = pytest.importorskip("torch")
    loss = torch.nn.functional.cosine_embedding_loss
    for one, two, labels in (
        ((4, 3), (1, 3), 4),
        ((1, 3), (4, 3), 4),
        ((4, 3), (4, 3), 1),
        ((1, 3), (1, 3), 4),
    ):
        y = np.resize([1, -1], labels)
        check_torch(
            lambda a, b, y=y: F.cosine_embedding_loss(a, b, y, 0.1, reduction),
            lambda a, b, y=y: loss(a, b, torch.tensor(y), 0.1, reduction=reduction),
            randn(*one), randn(*two, seed=1), kind="chain", n=20,
        )  # fmt: skip


def test_large_margins_do_not_overflow():
    assert F.soft_margin_loss(np.array([-1e4, 1e4]), np.array([1, 1]), "none").tolist() == [1e4, 0]
    assert F.soft_margin_loss(np.array([-1e4]), np.array([1.0]), "sum") == 1e4
    assert F.multi_margin_loss(randn(0, 4), np.zeros(0, int), reduction="sum") == 0
    assert F.multilabel_soft_margin_loss(np.array([[1e4, -1e4]]), np.array([[0, 1]])) == 1e4


ERRORS = [
    (lambda x: F.hinge_embedding_loss(x, np.ones(5)), ValueError, r"hinge_embedding_loss.*\(4, 3\).*\(5,\)"),
    (lambda x: F.soft_margin_loss(x, x, "avg"), ValueError, "soft_margin_loss: reduction must be"),
    (lambda x: F.cosine_embedding_loss(x, x, np.ones(3)), ValueError, r"target \(N,\).*\(4, 3\).*\(3,\)"),
    (lambda x: F.cosine_embedding_loss(x, x[:2], np.ones(4)), ValueError, r"would fit.*\(4, 3\).*\(2, 3\)"),
    (lambda x: F.cosine_embedding_loss(x, x[0], np.ones(4)), ValueError, r"would fit.*\(4, 3\).*\(3,\)"),
    (lambda x: F.margin_ranking_loss(x, x, np.ones(3)), ValueError, "as many dims"),
    (lambda x: F.multi_margin_loss(x, np.array([0, 1, 3, 0])), IndexError, r"target\[2\] is 3, but x has classes 0 to 2"),
    (lambda x: F.multi_margin_loss(x, np.array([0, -1, 3, 0])), IndexError, r"target\[1\] is -1"),
    (lambda x: F.multi_margin_loss(x, np.zeros(3, int)), ValueError, r"would fit .*\(4, 3\).*\(3,\)"),
    (lambda x: F.multi_margin_loss(x, np.zeros(4)), TypeError, "target is float64; it must hold class numbers"),
    (lambda x: F.multi_margin_loss(x, np.zeros(4, int), p=3), ValueError, "p must be 1 or 2"),
    (lambda x: F.multi_margin_loss(x, np.zeros(4, int), weight=x[0, :2]), ValueError, r"weight must be \(3,\)"),
    (lambda x: F.multilabel_margin_loss(x, np.full((4, 3), 3)), IndexError, r"target\[0, 0\] is 3"),
    (lambda x: F.multilabel_margin_loss(x, [0]), TypeError, "^multilabel_margin_loss: expected an array"),
    (lambda x: F.multi_margin_loss(x, [0]), TypeError, "^multi_margin_loss: expected an array"),
    (lambda x: F.multilabel_margin_loss(x, np.zeros(4, int)), ValueError, "one shape"),
    (lambda x: F.multilabel_soft_margin_loss(x, x[0]), ValueError, "one shape"),
    (lambda x: F.triplet_margin_loss(x, x, x, margin=0), ValueError, "margin must be greater than 0"),
    (lambda x: F.triplet_margin_loss(x, x[0], x), ValueError, "as many dims"),
    (lambda x: F.hinge_embedding_loss(None, x), TypeError, "hinge_embedding_loss: x must not be None"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(randn(4, 3))


def test_layers_are_the_functions():
    """Each layer with its arrays and an option that differs from the default."""
    a, b, c, y = randn(4, 3), randn(4, 3, seed=1), randn(4, 3, seed=2), np.array([0, 2, 1, 1])
    s, w = signs(4), np.abs(randn(3))
    for layer, function, arrays, options in [
        (nn.HingeEmbeddingLoss, F.hinge_embedding_loss, (a, signs(4, 3)), {"margin": 0.5}),
        (nn.SoftMarginLoss, F.soft_margin_loss, (a, signs(4, 3)), {}),
        (nn.CosineEmbeddingLoss, F.cosine_embedding_loss, (a, b, s), {"margin": 0.5}),
        (nn.MarginRankingLoss, F.margin_ranking_loss, (a, b, signs(4, 3)), {"margin": 0.5}),
        (nn.MultiMarginLoss, F.multi_margin_loss, (a, y), {"p": 2, "weight": w}),
        (nn.MultiLabelMarginLoss, F.multilabel_margin_loss, (a, labels_of(4, 3)), {}),
        (nn.MultiLabelSoftMarginLoss, F.multilabel_soft_margin_loss, (a, (b > 0).astype(int)), {"weight": w}),
        (nn.TripletMarginLoss, F.triplet_margin_loss, (a, b, c), {"p": 1.0, "swap": True}),
        (nn.TripletMarginWithDistanceLoss, F.triplet_margin_with_distance_loss, (a, b, c), {"margin": 0.5}),
    ]:
        made, expected = layer(reduction="sum", **options), function(*arrays, reduction="sum", **options)
        assert_close(np.asarray(made(*arrays)), expected, "exact", note=layer.__name__)
        assert np.isfinite(np.asarray(layer()(*arrays)))
