"""Losses element by element: kernels equal the reference, functions equal PyTorch in value and both derivatives."""

import itertools
import warnings

import numpy as np
import pytest
from support import DTYPES, SIZES, assert_close, check_kernels, check_torch, randn, rng

import nnkern as F
from nnkern import Tensor, _cpu, gradgradcheck, nn
from nnkern.backends.reference.loss_pointwise import LOSSES

REDUCTIONS = ("none", "mean", "sum")
KINDS = list(enumerate(LOSSES))
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def unit(*shape, seed=0):
    return np.asarray(rng(seed, *shape).random(shape)).astype(np.float32)


def pair(kind, shape):
    """x and target that the loss takes; a few of them at the edges."""
    x, t = np.asarray(2 * randn(*shape)), np.asarray(2 * randn(*shape, seed=1))
    if kind.startswith("binary") or kind == "kl_div":
        t = unit(*shape, seed=1)
        t.flat[::3] = np.round(t.flat[::3])
    if kind == "binary_cross_entropy":
        x = unit(*shape, seed=2)
        x.flat[::7] = np.round(x.flat[::7])
    return x, t


@pytest.mark.parametrize(("number", "kind"), KINDS)
@pytest.mark.parametrize("shape", [(), (0,), (1,), *[(n,) for n in SIZES], (3, 5, 7), (9000,)], ids=str)
def test_kernels(number, kind, shape):
    x, t = pair(kind, shape)
    w = unit(*shape, seed=3)
    for weight, reduction in itertools.product((None, w), (0, 1, 2)):
        options = (weight, number, reduction, 0.7)
        if 0 in shape and reduction == 1:
            assert np.isnan(_cpu.pointwise_loss_forward(x, t, *options))
            continue
        check_kernels("pointwise_loss_forward", x, t, *options, kind="chain", n=100 + x.size)
        gy = np.asarray(randn(*(shape if reduction == 0 else ()), seed=4))
        check_kernels("pointwise_loss_backward", gy, x, t, *options, kind="chain", n=100)


@pytest.mark.parametrize(("number", "kind"), KINDS)
def test_layouts_and_special_numbers(number, kind):
    x, t = pair(kind, (6, 40))
    views = [(x.T, t.T), (x[::-1, ::2], t[::-1, ::2]), (np.broadcast_to(x[:1], (6, 40)), t)]
    if kind != "binary_cross_entropy":
        x = x.copy()
        x[0, 3], x[1, 5], x[2, 6] = np.inf, -np.inf, np.nan
        views.append((x, t))
    for a, b in views:
        check_kernels("pointwise_loss_forward", a, b, None, number, 0, 0.7, kind="chain", n=10)
        check_kernels("pointwise_loss_backward", randn(), a, b, None, number, 2, 0.7, kind="chain", n=10)


@pytest.mark.parametrize(("number", "kind"), KINDS)
def test_threads_change_no_bit(number, kind):
    x, t = pair(kind, (300_001,))
    before, found = F.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            F.set_num_threads(threads)
            found.append(
                (_cpu.pointwise_loss_forward(x, t, None, number, 1, 0.7).tobytes(),
                 _cpu.pointwise_loss_backward(randn(), x, t, None, number, 1, 0.7).tobytes())
            )  # fmt: skip
    finally:
        F.set_num_threads(before)
    assert found[0] == found[1] == found[2]


# name, arrays, options; functions of the table whose target PyTorch does not differentiate get it as a constant
SHAPES = [(), (0,), (1,), (7, 5), (3, 2, 4)]
SQUARED = ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"]
CASES = [
    *[(n, (randn(*s), randn(*s, seed=1)), {}) for n in SQUARED for s in SHAPES],
    *[(n, (randn(4, 5), randn(5, seed=1)), {}) for n in SQUARED],
    *[(n, (randn(4, 1), randn(1, 3, seed=1)), {}) for n in SQUARED],
    *[("smooth_l1_loss", (randn(7, 5), randn(7, 5, seed=1)), {"beta": b}) for b in (0.0, 0.3, 2.5)],
    *[("huber_loss", (randn(7, 5), randn(7, 5, seed=1)), {"delta": d}) for d in (0.3, 2.5)],
    *[("binary_cross_entropy_with_logits", (randn(*s, seed=6), unit(*s)), {}) for s in SHAPES],
    *[("binary_cross_entropy", (unit(*s), unit(*s, seed=1)), {}) for s in SHAPES],
    *[("kl_div", (randn(*s), np.asarray(unit(*s) + np.float32(0.1))), {}) for s in SHAPES],
    *[("kl_div", (randn(*s), randn(*s, seed=1)), {"log_target": True}) for s in SHAPES],
    ("kl_div", (randn(4, 5), randn(5, seed=1)), {"log_target": True}),
    *[("poisson_nll_loss", (randn(7, 5), 3 * unit(7, 5)), {"full": f}) for f in (False, True)],
    *[("poisson_nll_loss", (unit(7, 5), 3 * unit(7, 5, seed=1)), {"full": f, "log_input": False, "eps": 1e-3})
      for f in (False, True)],
    ("poisson_nll_loss", (randn(4, 5), unit(5)), {}),
    *[("gaussian_nll_loss", (randn(*s), randn(*s, seed=1), unit(*v)), {"full": f, "eps": 0.2})
      for s, v in (((7, 5), (7, 5)), ((7, 5), (7, 1)), ((7, 5), (7,)), ((2, 3, 4), (2, 1, 4))) for f in (False, True)],
    *[("mse_loss", (randn(4, 5), rng(1).integers(0, 3, (4, 5))), {})],
    *[("soft_margin_loss", (randn(*s), np.where(unit(*s) < 0.5, -1, 1)), {}) for s in SHAPES],
]  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "arrays", "options"), CASES)
def test_equals_torch(name, arrays, options, reduction):
    torch = pytest.importorskip("torch")
    options = {"reduction": reduction, **options}
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    check_torch(
        lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options), *arrays, kind="chain", n=100
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy",
                                  "binary_cross_entropy_with_logits"])  # fmt: skip
def test_weights_equal_torch(name, reduction):
    torch = pytest.importorskip("torch")
    x, t, w = unit(6, 5), unit(6, 5, seed=1), unit(6, 5, seed=2)
    for weight in (w, w[0]) if name.startswith("binary") else (w,):
        for dtype in DTYPES:
            v = weight.astype(dtype)
            check_torch(
                lambda a, b, v=v: getattr(F, name)(a, b, weight=v, reduction=reduction),
                lambda a, b, v=v: getattr(torch.nn.functional, name)(
                    a, b, weight=torch.tensor(v), reduction=reduction
                ),
                x, t, kind="chain", n=100, dtypes=[dtype],
            )  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_pos_weight_equals_torch(reduction):
    torch = pytest.importorskip("torch")
    for dtype, weighted in itertools.product(DTYPES, (False, True)):
        p, w = 3 * unit(5).astype(dtype), unit(6, 1).astype(dtype) if weighted else None
        check_torch(
            lambda a, t, p=p, w=w: F.binary_cross_entropy_with_logits(a, t, w, reduction, p),
            lambda a, t, p=p, w=w: torch.nn.functional.binary_cross_entropy_with_logits(
                a, t, None if w is None else torch.tensor(w), reduction=reduction, pos_weight=torch.tensor(p)
            ),
            4 * randn(6, 5), unit(6, 5), kind="chain", n=100, dtypes=[dtype],
        )  # fmt: skip
        p[:2] = 0, 40
        t = np.round(unit(6, 5)).astype(dtype)  # no gradient of the target: another path
        check_torch(
            lambda a, p=p, w=w, t=t: F.binary_cross_entropy_with_logits(a, t, w, reduction, p),
            lambda a, p=p, w=w, t=t: torch.nn.functional.binary_cross_entropy_with_logits(
                a, torch.tensor(t), None if w is None else torch.tensor(w), reduction=reduction,
                pos_weight=torch.tensor(p),
            ),
            4 * randn(6, 5), kind="chain", n=100, dtypes=[dtype],
        )  # fmt: skip


def test_batchmean_divides_by_the_first_length():
    x, t = randn(4, 5), unit(4, 5)
    whole = F.kl_div(x, t, "sum")
    assert_close(F.kl_div(x, t, "batchmean"), whole / np.float32(4), "math")
    assert F.kl_div(x[0, 0], t[0, 0], "batchmean") == F.kl_div(x[0, 0], t[0, 0], "sum")
    assert_close(
        F.kl_div(x[:1], t, "batchmean"), F.kl_div(x[:1], t, "sum"), "math"
    )  # x's, before it is broadcast
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(x, t)


def test_broadcasting_warns():
    for name in SQUARED:
        with pytest.warns(UserWarning, match=rf"{name}: x \(4, 1\) and target \(4,\) are broadcast"):
            getattr(F, name)(randn(4, 1), randn(4))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            getattr(F, name)(randn(4, 1), randn(4, 1))


def test_integers_beside_floats():
    torch = pytest.importorskip("torch")
    x, t = np.array([1, 2, 3]), np.array([1.5, 2.0, 5.0])
    for name in ("l1_loss", "mse_loss", "smooth_l1_loss"):
        for dtype in (np.float32, np.float64):
            target = Tensor(t.astype(dtype), requires_grad=True)
            theirs = torch.tensor(t.astype(dtype), requires_grad=True)
            y, z = getattr(F, name)(x, target), getattr(torch.nn.functional, name)(torch.tensor(x), theirs)
            y.backward()
            z.backward()
            assert y.dtype == dtype
            np.testing.assert_allclose([y.item(), *target.grad.data], [z.item(), *theirs.grad], rtol=1e-6)


def test_logits_beyond_the_range_of_exp():
    x, t = np.array([1e4, -1e4, 1e4, -1e4], np.float32), np.array([1, 0, 0, 1], np.float32)
    assert F.binary_cross_entropy_with_logits(x, t, reduction="none").tolist() == [0, 0, 1e4, 1e4]
    assert F.binary_cross_entropy(np.array([0.0, 1.0]), np.array([1.0, 0.0]), reduction="none").tolist() == [
        100,
        100,
    ]


@pytest.mark.parametrize("name", [*SQUARED, "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div",
                                  "poisson_nll_loss", "gaussian_nll_loss", "soft_margin_loss"])  # fmt: skip
def test_second_derivatives(name):
    x, t = unit(3, 4) * 0.8 + 0.1, unit(3, 4, seed=1) * 0.8 + 0.1
    arrays = [x, t, unit(3, 4, seed=2) + 0.3] if name == "gaussian_nll_loss" else [x, t]
    tensors = tuple(Tensor(a.astype(np.float64), requires_grad=True) for a in arrays)
    for reduction in ("none", "mean"):
        options = (
            {"delta": 0.3} if name == "huber_loss" else {"beta": 0.3} if name == "smooth_l1_loss" else {}
        )
        assert gradgradcheck(
            lambda *a, o=options, r=reduction: getattr(F, name)(*a, reduction=r, **o), tensors
        )


def test_other_arrays():
    torch = pytest.importorskip("torch")
    x, t = unit(3, 4), unit(3, 4, seed=1)
    for name in ("mse_loss", "binary_cross_entropy", "kl_div", "poisson_nll_loss"):
        y = getattr(F, name)(torch.tensor(x), torch.tensor(t))
        assert isinstance(y, torch.Tensor)
        assert_close(y.numpy(), getattr(F, name)(x, t), "exact")


ERRORS = [
    (lambda x: F.mse_loss(x, x[:, :2]), ValueError, r"mse_loss: .*broadcast \(x.shape=\(4, 3\), target.shape=\(4, 2\)\)"),
    (lambda x: F.mse_loss(x, x, "avg"), ValueError, "mse_loss: reduction must be 'none', 'mean' or 'sum', got 'avg'"),
    (lambda x: F.mse_loss(x, x, weight=x[0]), ValueError, "must have one shape"),
    (lambda x: F.l1_loss(x, x.astype(np.float64)), TypeError, "l1_loss"),
    (lambda x: F.smooth_l1_loss(x, x, beta=-1), ValueError, "beta must not be negative"),
    (lambda x: F.smooth_l1_loss(x, x, beta=np.nan), ValueError, "beta must not be negative or NaN"),
    (lambda x: F.smooth_l1_loss(x.astype(int), x.astype(int), beta=0), TypeError, "^smooth_l1_loss: x is int64; float32"),
    (lambda x: F.kl_div([1.0], x, "sum"), TypeError, "^kl_div: expected an array or Tensor, got list"),
    (lambda x: F.mse_loss(x, [1.0]), TypeError, "^mse_loss: expected an array or Tensor, got list"),
    (lambda x: F.huber_loss(x, x, delta=0), ValueError, "delta must be greater than 0"),
    (lambda x: F.binary_cross_entropy(x, x[0]), ValueError, r"one shape .*\(4, 3\).*\(3,\)"),
    (lambda x: F.binary_cross_entropy(x, x * 0), ValueError, r"x\[1, 2\] is 1.5.*between 0 and 1"),
    (lambda x: F.binary_cross_entropy(x * 0, x), ValueError, r"target\[1, 2\] is 1.5"),
    (lambda x: F.binary_cross_entropy(x * np.nan, x), ValueError, r"x\[0, 0\] is -?nan"),
    (lambda x: F.binary_cross_entropy(x * 0, np.zeros((4, 3), int)), TypeError, "target is int64"),
    (lambda x: F.binary_cross_entropy_with_logits(x, x, weight=x[:, :2]), ValueError, "weight must broadcast to x"),
    (lambda x: F.kl_div(x, np.zeros((4, 3), int), "sum"), TypeError, "target is int64"),
    (lambda x: F.gaussian_nll_loss(x, x, -x), ValueError, r"var\[0, 0\] is -0.5, but must not be negative"),
    (lambda x: F.gaussian_nll_loss(x, x, x[:2]), ValueError, r"var needs x's shape.*\(4, 3\).*\(2, 3\)"),
    (lambda x: F.mse_loss(None, x), TypeError, "mse_loss: x must not be None"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    x = np.full((4, 3), 0.5, np.float32)
    x[1, 2] = 1.5
    with pytest.raises(error, match=message):
        call(x)


def test_layers_are_the_functions():
    """Each layer with its arrays and an option that differs from the default."""
    x, t, w = unit(4, 3), unit(4, 3, seed=1), unit(3, seed=2)
    for layer, function, arrays, options in [
        (nn.MSELoss, F.mse_loss, (x, t), {}),
        (nn.L1Loss, F.l1_loss, (x, t), {}),
        (nn.SmoothL1Loss, F.smooth_l1_loss, (x, t), {"beta": 0.1}),
        (nn.HuberLoss, F.huber_loss, (x, t), {"delta": 0.1}),
        (nn.NLLLoss, F.nll_loss, (x, np.array([0, 2, 1, 1])), {"weight": w, "ignore_index": 2}),
        (nn.BCELoss, F.binary_cross_entropy, (x, t), {"weight": w}),
        (nn.BCEWithLogitsLoss, F.binary_cross_entropy_with_logits, (x, t), {"pos_weight": w}),
        (nn.KLDivLoss, F.kl_div, (x, t), {"log_target": True}),
        (nn.PoissonNLLLoss, F.poisson_nll_loss, (x, t), {"log_input": False, "full": True}),
        (nn.GaussianNLLLoss, F.gaussian_nll_loss, (x, t, t), {"eps": 0.5}),
    ]:
        made, expected = layer(reduction="sum", **options), function(*arrays, reduction="sum", **options)
        assert_close(np.asarray(made(*arrays)), expected, "exact", note=layer.__name__)
        assert np.isfinite(np.asarray(layer()(*arrays)))


def test_batchmean_of_nothing_is_nan():
    x = np.zeros((0, 3), np.float32)
    assert np.isnan(F.kl_div(x, x, reduction="batchmean")) and np.isnan(F.mse_loss(x, x))
