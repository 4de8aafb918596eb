"""Losses: every option of cross_entropy equals PyTorch, bad targets are named, both orders of derivatives."""

import itertools

import numpy as np
import pytest
from support import DTYPES, assert_close, check_kernels, check_torch, randn, rng

import nnkern as F
from nnkern import Tensor, gradgradcheck

SHAPES = [(5,), (1, 1), (6, 10), (33, 17), (4, 3, 5), (2, 7, 3, 4), (2, 5, 70), (1, 66, 67)]
EMPTY = [(0, 4), (2, 3, 0)]


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
    one = dtype(x.size == 1)  # a single class has gradient 0 but for rounding, which is relative to 1
    assert_close(ours.grad.numpy() + one, theirs.grad.numpy() + one, "chain", x.size)


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
            "target is bool; it must hold class numbers, int64, int32 or uint8",
        ),
        (lambda: F.cross_entropy(x, x.astype(np.float64)), TypeError, "target is float64"),
        (
            lambda: F.cross_entropy(x, abs(x), ignore_index=1),
            ValueError,
            "ignore_index is for class numbers.* got 1",
        ),
        (
            lambda: F.cross_entropy([1.0], target),
            TypeError,
            "^cross_entropy: expected an array or Tensor, got list",
        ),
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


@pytest.mark.parametrize(("shape", "kind", "weighted"), [
    ((5,), "int64", False), ((6, 10), "int64", True), ((6, 10), "int32", False), ((4, 3, 5), "int64", True),
    ((2, 7, 3, 4), "int64", False), ((0, 4), "int64", False),
])  # fmt: skip
def test_nll_kernels(shape, kind, weighted):
    x, target, weight = case(shape, kind, weighted)
    target = ignored(target, 1)
    for v, t in ((x, target), (np.asfortranarray(x)[::-1], target[::-1] if target.ndim else target)):
        for reduction in (0, 1, 2):
            if reduction == 1 and not (t != 1).any():
                continue
            check_kernels("nll_loss_forward", v, t, weight, 1, reduction, kind="chain", n=100 + x.size)
            gy = np.asarray(randn(*(t.shape if reduction == 0 else ())))
            check_kernels("nll_loss_backward", gy, v, t, weight, 1, reduction, kind="chain")


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2)])
def test_nll_second_derivatives_and_errors(shape):
    x, target, weight = case(shape, "int64", True, np.float64)
    for reduction in ("none", "mean"):
        assert gradgradcheck(
            lambda a, r=reduction: F.nll_loss(F.mul(a, a), target, weight, reduction=r),
            (Tensor(x, requires_grad=True),),
        )
    bad = target.copy()
    bad.flat[1] = 3
    with pytest.raises(IndexError, match=r"nll_loss: target\[.*1\] is 3, but x has classes 0 to 2"):
        F.nll_loss(x, bad)
    with pytest.raises(TypeError, match="nll_loss: target is float64; it must hold class numbers"):
        F.nll_loss(x, x)


@pytest.mark.parametrize("shape", [(3, 1000), (2, 70, 3, 50), (2, 64, 33)])
@pytest.mark.parametrize(("kind", "weighted", "smoothing"), OPTIONS)
def test_long_rows_and_columns_equal_torch(shape, kind, weighted, smoothing):
    torch = pytest.importorskip("torch")
    x, target, weight = case(shape, kind, weighted)
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = F.cross_entropy(ours, target, weight, label_smoothing=smoothing)
    wide = target.astype(np.int64) if kind == "int32" else target
    t = torch.nn.functional.cross_entropy(
        theirs,
        torch.tensor(wide),
        None if weight is None else torch.tensor(weight),
        label_smoothing=smoothing,
    )
    y.backward()
    t.backward()
    assert_close(y.detach().numpy(), t.detach().numpy(), "chain", 100)
    assert_close(ours.grad.numpy(), theirs.grad.numpy(), "chain", 100)


def test_linear_cross_entropy():
    x, w, b, y = randn(4, 5), randn(3, 5, seed=1), randn(3, seed=2), np.array([0, 2, 1, 1])
    found = F.linear_cross_entropy(x, w, y, linear_bias=b, reduction="none")
    assert_close(found, F.cross_entropy(F.linear(x, w, b), y, reduction="none"), "exact")


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (-1, 2.0), (0.6, 1.5), (0.5, 0.0)])
def test_focal_equals_its_definition_in_torch(alpha, gamma, reduction):
    torch = pytest.importorskip("torch")
    x, t = 3 * randn(6, 5), (randn(6, 5, seed=1) > 0).astype(np.float32)

    def definition(a, b):
        ce = torch.nn.functional.binary_cross_entropy_with_logits(a, b, reduction="none")
        p = torch.sigmoid(a) * b + (1 - torch.sigmoid(a)) * (1 - b)
        y = ce * (1 - p) ** gamma * ((alpha * b + (1 - alpha) * (1 - b)) if alpha >= 0 else 1)
        return y if reduction == "none" else y.mean() if reduction == "mean" else y.sum()

    check_torch(lambda a: F.sigmoid_focal_loss(a, t.astype(a.data.dtype), alpha, gamma, reduction),
                lambda a: definition(a, torch.tensor(t, dtype=a.dtype)), x, kind="chain", n=10_000)  # fmt: skip


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 4, 3, 6)])
def test_dice_equals_its_definition_in_torch(shape, reduction):
    pytest.importorskip("torch")
    x, t = np.abs(randn(*shape)), np.abs(randn(*shape, seed=1))
    places = tuple(range(2, len(shape)))

    def definition(a, b):
        total = (lambda v: v.sum(places)) if places else (lambda v: v)
        y = 1 - (2 * total(a * b) + 0.5) / (total(a) + total(b) + 0.5)
        return y if reduction == "none" else y.mean() if reduction == "mean" else y.sum()

    check_torch(lambda a, b: F.dice_loss(a, b, 0.5, reduction), definition, x, t, kind="chain", n=1000)
    numbers = np.argmax(t, 1)
    one_hot = np.moveaxis(np.eye(shape[1], dtype=np.float32)[numbers], -1, 1)
    assert_close(F.dice_loss(x, numbers), F.dice_loss(x, one_hot), "exact")
    with pytest.raises(IndexError, match="dice_loss: target.* is 9"):
        F.dice_loss(x, np.full_like(numbers, 9))


@pytest.mark.parametrize("shape", EMPTY, ids=str)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_no_rows_equal_torch(name, shape, reduction):
    f = pytest.importorskip("torch").nn.functional
    target = np.zeros((shape[0], *shape[2:]), int)
    check_torch(lambda a: getattr(F, name)(a, target, reduction=reduction),
                lambda a: getattr(f, name)(a, f.torch.tensor(target), reduction=reduction), randn(*shape))  # fmt: skip


def test_where_nothing_counts_there_is_no_slope():
    for f in (F.cross_entropy, F.nll_loss):
        x = Tensor(randn(2, 3), requires_grad=True)
        loss = f(x, np.array([1, 1]), ignore_index=1)
        assert np.isnan(loss.item())
        (gx,) = F.grad(loss, (x,), create_graph=True)
        assert not gx.data.any()


def test_one_row_takes_a_target_of_one():
    torch = pytest.importorskip("torch")
    x = randn(3)
    for name in ("nll_loss", "cross_entropy"):
        for reduction in ("none", "mean", "sum"):
            theirs = getattr(torch.nn.functional, name)(
                torch.tensor(x), torch.tensor([1]), reduction=reduction
            )
            y = getattr(F, name)(x, np.array([1]), reduction=reduction)
            assert y.shape == theirs.shape
            np.testing.assert_allclose(y, theirs, rtol=1e-6)


def test_a_weight_that_waits_for_a_gradient_is_refused():
    x, w = Tensor(randn(2, 3), requires_grad=True), Tensor(np.ones(3, np.float32), requires_grad=True)
    for f in (F.cross_entropy, F.nll_loss):
        with pytest.raises(ValueError, match=f"{f.__name__}: no gradient flows to weight"):
            f(x, np.array([0, 2]), w)
        f(x, np.array([0, 2]), w.detach()).backward()
