"""Losses: every option of cross_entropy equals PyTorch, bad targets are named, both orders of derivatives."""

import itertools

import numpy as np
import pytest
from support import DTYPES, assert_close, check_kernels, check_torch, randn, rng

import nnkern as F
from nnkern import Tensor, gradgradcheck

SHAPES = [(5,), (1, 1), (6, 10), (33, 17), (4, 3, 5), (2, 7, 3, 4)]


def case(shape, kind, weighted, dtype=np.float32):
    """(x, target, weight) of logits with that shape."""
    classes = shape[0] if len(shape) == 1 else shape[1]
    rows = () if len(shape) == 1 else (shape[0], *shape[2:])
    x = 3 * randn(*shape, dtype=dtype)
    weight = np.abs(randn(classes, dtype=dtype, seed=3)) + dtype(0.1) if weighted else None
    if kind == "probabilities":
        q = np.abs(randn(*shape, dtype=dtype, seed=4))
        return x, q / q.sum(0 if len(shape) == 1 else 1, keepdims=True), weight
    return x, np.asarray(rng(1).integers(0, classes, rows)).astype(kind), weight


def ignored(target, ignore_index):
    target = target.copy()
    if target.ndim:
        target.ravel()[::3] = ignore_index
    return target


OPTIONS = list(itertools.product(("int64", "int32", "probabilities"), (False, True), (0.0, 0.3)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("kind", "weighted", "smoothing"), OPTIONS)
def test_kernels(shape, kind, weighted, smoothing):
    x, target, weight = case(shape, kind, weighted)
    if kind != "probabilities":
        target = ignored(target, 1)
    for v, t in (
        (x, target),
        (np.asfortranarray(x)[..., ::-1], target[..., ::-1] if len(shape) > 2 else target),
    ):
        for reduction in (0, 1, 2):
            if reduction == 1 and kind != "probabilities" and (t == 1).all():
                continue
            options = (1, reduction, smoothing)
            check_kernels("cross_entropy_forward", v, t, weight, *options, kind="chain", n=x.size)
            gy = np.asarray(randn(*t.shape)) if reduction == 0 else np.asarray(randn())
            if reduction == 0 and kind == "probabilities":
                gy = np.asarray(randn(*x.shape[:1], *x.shape[2:]) if x.ndim > 1 else randn())
            for dtype in DTYPES:  # the statistics belong to a dtype
                typed = [
                    None if a is None else a.astype(dtype) if a.dtype.kind == "f" else a
                    for a in (gy, v, t, weight)
                ]
                statistics = F.Function.kernels.cross_entropy_forward(*typed[1:], *options)[1]
                args = (*typed, statistics, *options)
                check_kernels("cross_entropy_backward", *args, kind="chain", n=100, dtypes=[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("kind", "weighted", "smoothing"), [o for o in OPTIONS if o[0] != "int32"])
def test_equals_torch(shape, kind, weighted, smoothing, reduction, dtype):
    torch = pytest.importorskip("torch")
    x, target, weight = case(shape, kind, weighted, dtype)
    if kind == "int64":
        target = ignored(target, -100)
    options = {"reduction": reduction, "label_smoothing": smoothing}
    ours = Tensor(x.copy(), requires_grad=True)
    theirs = torch.tensor(x, requires_grad=True)
    y = F.cross_entropy(ours, target, weight, **options)
    w = None if weight is None else torch.tensor(weight)
    t = torch.nn.functional.cross_entropy(theirs, torch.tensor(target), w, **options)
    assert_close(y.detach().numpy(), t.detach().numpy(), "chain", x.size)
    gy = np.asarray(randn(*y.shape, dtype=dtype, seed=9))
    y.backward(gy)
    t.backward(torch.tensor(gy))
    assert_close(ours.grad.numpy(), theirs.grad.numpy(), "chain", x.size)


def test_large_logits_keep_their_digits():
    x = randn(20, 10) + np.float32(3e4)
    target = np.arange(20) % 10
    exact = F.cross_entropy(x.astype(np.float64), target)
    assert abs(float(F.cross_entropy(x, target)) - float(exact)) < 1e-5
    a, b = Tensor(x, requires_grad=True), Tensor(x.astype(np.float64), requires_grad=True)
    F.cross_entropy(a, target).backward()
    F.cross_entropy(b, target).backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-7)


def test_errors():
    x, target = randn(4, 3), np.array([0, 2, 1, 1])
    for call, error, message in [
        (
            lambda: F.cross_entropy(x, np.array([0, 2, 3, 1])),
            IndexError,
            r"target\[2\] is 3, but x has classes 0 to 2",
        ),
        (
            lambda: F.cross_entropy(randn(2, 3, 2), np.array([[0, -1], [0, 1]])),
            IndexError,
            r"target\[0, 1\] is -1",
        ),
        (
            lambda: F.cross_entropy(x, target[:3]),
            ValueError,
            r"wrong shape: \(4,\) fits x .*\(4, 3\).*\(3,\)",
        ),
        (
            lambda: F.cross_entropy(x, target.astype(bool)),
            TypeError,
            "target is bool; it must hold int64 or int32",
        ),
        (lambda: F.cross_entropy(x, x.astype(np.float64)), TypeError, "target is float64"),
        (
            lambda: F.cross_entropy(x, target, randn(2)),
            ValueError,
            "weight needs one number for each of the 3",
        ),
        (lambda: F.cross_entropy(x, target, reduction="avg"), ValueError, "reduction must be 'none'"),
        (lambda: F.cross_entropy(x, target, label_smoothing=2.0), ValueError, "label_smoothing must be in"),
        (lambda: F.cross_entropy(np.asarray(randn()), np.array(0)), ValueError, "needs a class dim"),
        (lambda: F.cross_entropy(randn(3, 0), np.zeros(3, int)), ValueError, "x has no classes"),
    ]:
        with pytest.raises(error, match=message):
            call()
    assert np.isnan(F.cross_entropy(x, np.full(4, -100)))  # nothing counts: 0 / 0, as in PyTorch


@pytest.mark.parametrize(("kind", "weighted", "smoothing"), [o for o in OPTIONS if o[0] != "int32"])
def test_second_derivatives(kind, weighted, smoothing):
    x, target, weight = case((4, 3), kind, weighted, np.float64)
    for reduction in ("none", "mean"):
        options = {"reduction": reduction, "label_smoothing": smoothing}
        inputs = [Tensor(x, requires_grad=True)]
        if kind == "probabilities":
            inputs.append(Tensor(target, requires_grad=True))
        assert gradgradcheck(lambda a, t=target, o=options: F.cross_entropy(a, t, weight, **o), tuple(inputs))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_nll_equals_torch(reduction):
    f = pytest.importorskip("torch").nn.functional
    options = {"reduction": reduction}
    x = randn(4, 5)
    target = np.array([0, 4, -100, 2])
    check_torch(lambda a: F.nll_loss(a, target, **options),
                lambda a: f.nll_loss(a, f.torch.tensor(target), **options), x, kind="chain")  # fmt: skip
