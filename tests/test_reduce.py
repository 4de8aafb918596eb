"""Reductions: every set of axes, every layout, NaN, ties, empty arrays, the same bits for any number of threads."""

import itertools
from functools import partial

import numpy as np
import pytest
from support import SIZES, check_gradient, check_kernels, check_torch, randn

import nnkern as F
from nnkern import Tensor, _cpu, gradgradcheck

# shapes whose rows and columns are shorter and longer than a leaf (4096 along a row, 256 rows, 4096 columns)
SHAPES = [
    (),
    (7,),
    (4097,),
    (20000,),
    (3, 5),
    (600, 70),
    (70, 600),
    (4, 5, 6),
    (3, 1, 50, 17),
    (2, 3500),
    (2, 9000),
    (2, 300, 3, 40),
]
FOLDS = {
    "sum": "sum",
    "prod": "sum",
    "mean": "sum",
    "amax": "exact",
    "amin": "exact",
    "any": "exact",
    "all": "exact",
}


def layouts(x):
    for order in itertools.islice(itertools.permutations(range(x.ndim)), 6):
        yield x.transpose(order)
    if x.ndim:
        yield x[::-1]
        yield np.repeat(x, 2, -1)[..., ::2]
        yield np.broadcast_to(x[:1], x.shape)


def axis_sets(ndim):
    return itertools.chain.from_iterable(itertools.combinations(range(ndim), k) for k in range(ndim + 1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("fold", FOLDS)
def test_every_axis_set_and_layout(fold, shape):
    x = randn(*shape)
    if fold == "prod":
        x = 1 + 0.01 * x
    if fold in ("any", "all"):
        x = (
            np.where(x > (2 if fold == "any" else -2), x, np.float32(0))
            if fold == "any"
            else np.maximum(x + 2, 0)
        )
    for v in layouts(np.asarray(x)):
        for axes in axis_sets(v.ndim):
            n = v.size if fold != "prod" else 16 * v.size
            check_kernels(f"{fold}_forward", v, axes, bool(len(axes) % 2), kind=FOLDS[fold], n=n)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_variance_over_every_axis_set(shape):
    for v in layouts(np.asarray(randn(*shape))):
        if 0 in v.strides:
            continue  # a repeated number: its variance is the rounding error of its mean
        for axes in axis_sets(v.ndim):
            check_kernels("var_mean_forward", v, axes, 0.0, False, kind="chain", n=v.size)


@pytest.mark.parametrize("n", SIZES)
def test_sizes_around_register_widths(n):
    for x in (randn(n, 3), randn(3, n), randn(9, n), randn(35, n)):
        for axis in (0, 1):
            check_kernels("sum_forward", x, axis, False, n=x.shape[axis])
            check_kernels("prod_forward", x / 2, axis, False, n=16 * x.shape[axis])
            check_kernels("argmax_forward", x, axis, False, kind="exact")
            check_kernels("amin_forward", x, axis, True, kind="exact")


@pytest.mark.parametrize("arg", ["argmax", "argmin"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_arg_takes_the_first_of_ties_and_the_first_nan(arg, shape):
    for nan in (0, 0.02, 0.5):
        x = np.asarray(randn(*shape).round(1))
        x[randn(*shape, seed=1) < -2.5 + 5 * nan] = np.nan
        if not nan:
            x = np.asarray(np.nan_to_num(x))
        for v in layouts(x):
            for axes in [(), *((i,) for i in range(v.ndim))]:
                check_kernels(f"{arg}_forward", v, axes, False, kind="exact")


@pytest.mark.parametrize(("rows", "columns"), [(279, 512), (135, 1500), (135, 2049), (135, 4096), (70, 5003)])
def test_tall_and_wide_columns(rows, columns):
    """Leaves of half a megabyte and more are swept four rows at a time; a step between rows, a last block that is not whole."""
    x = randn(rows, columns + 3)[:, :columns]
    x[60, 7] = x[17, columns - 1] = np.nan
    for fold in ("sum", "amax", "amin", "prod"):
        v = 1 + 0.01 * x if fold == "prod" else x
        check_kernels(
            f"{fold}_forward", v, 0, False, kind=FOLDS[fold], n=rows if fold == "sum" else 16 * rows
        )
    check_kernels("var_mean_forward", x, 0, 0.0, False, kind="chain", n=rows)
    ties = x.round(1)
    for arg in ("argmax", "argmin"):
        check_kernels(f"{arg}_forward", ties, 0, False, kind="exact")


@pytest.mark.parametrize("fold", ["sum", "mean", "amax", "amin", "prod", "any", "all"])
def test_nan_and_inf_come_through(fold):
    for special in (np.nan, np.inf, -np.inf):
        for at in (0, 5, 63, 64, 129):
            x = np.abs(randn(130, 5)) + np.float32(0.5)
            x[at, 2] = special
            for axes in ((), 0, 1):
                if fold == "prod":
                    x = np.minimum(x, 1.1) if special == -np.inf else x
                check_kernels(f"{fold}_forward", x, axes, False, kind=FOLDS[fold], n=16 * x.size)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("fold", ["sum", "prod", "amax", "amin", "any", "all", "argmax", "argmin"])
def test_integers_and_booleans(fold, dtype):
    x = (randn(13, 17, 3) * 2).astype(dtype)
    for v in layouts(x):
        for axes in ((), 0, 1, -1):
            check_kernels(f"{fold}_forward", v, axes, False, kind="exact", dtypes=[np.float32])
    with pytest.raises(TypeError, match=f"mean: x is {dtype}; float32 or float64 is needed"):
        _cpu.mean_forward(x, (), False)


def test_empty():
    x = np.zeros((3, 0, 2), np.float32)
    for fold in ("sum", "prod", "mean", "any", "all"):
        for axes in ((), 1, (0, 1), 0):
            check_kernels(f"{fold}_forward", x, axes, False, kind="exact")
    check_kernels("amax_forward", x, 0, False, kind="exact")  # no result is asked for
    for fold in ("amax", "argmin"):
        with pytest.raises(ValueError, match=rf"{fold}: no elements .*x.shape=\(3, 0, 2\)"):
            getattr(_cpu, f"{fold}_forward")(x, 1, False)


def test_bad_axes():
    x = randn(2, 3)
    for axes, message in [
        (2, "dim 2 does not exist"),
        ((0, -2), "dim -2 appears twice"),
        (-3, "dim -3 does not"),
    ]:
        with pytest.raises(ValueError, match=rf"sum: {message}.*x.shape=\(2, 3\)"):
            _cpu.sum_forward(x, axes, False)
    with pytest.raises(ValueError, match="argmax: takes one dim"):
        _cpu.argmax_forward(x, (0, 1), False)


def test_sums_are_as_accurate_as_pairwise():
    x = np.abs(randn(3_000_000)) + 1
    exact = x.astype(np.float64).sum()
    for v in (x, x.reshape(-1, 3), x.reshape(3, -1).T):
        for total in (_cpu.sum_forward(v, (), False), _cpu.sum_forward(v, 0, False).astype(np.float64).sum()):
            assert abs(float(total) - exact) < 8 * np.finfo(np.float32).eps * exact


@pytest.mark.parametrize("kind", ["large mean", "trend", "late step", "outlier", "period"])
def test_variance_far_from_zero(kind):
    """Moments are taken about a number that only some elements give: wherever these stand, no digits are lost."""
    x = randn(1000, 1100)
    if kind == "large mean":
        x += np.float32(1e4)
    elif kind == "trend":
        x = x.cumsum(0).cumsum(1)
    elif kind == "late step":
        x[32:] += 100
        x[:, 140:] += 100
    elif kind == "outlier":
        x[0] = x[:, 0] = 1e4 * x[1, 1]
        x[0, 0] = -1e4
    else:
        x[:, ::112] += 100
        x[::16] += 100
    for axes in ((), 0, 1):
        axis = axes if axes != () else None
        var, mean = _cpu.var_mean_forward(x, axes, 1.0, False)
        wide = x.astype(np.float64)
        exact, size = wide.var(axis, ddof=1), np.sqrt((wide**2).mean(axis))
        np.testing.assert_allclose(var, exact, rtol=2e-6)
        assert np.all(np.abs(mean - wide.mean(axis)) < 4 * np.finfo(np.float32).eps * size)


@pytest.mark.parametrize("fold", ["sum", "prod", "amax", "var_mean", "argmax"])
def test_same_bits_for_any_number_of_threads(fold):
    before = _cpu.num_threads()
    try:
        for shape in [(700_001,), (3, 250_000), (250_000, 3), (50, 40, 300), (1000, 700)]:
            x = 1 + randn(*shape) / 1000
            for axis in range(len(shape)):
                results = []
                for threads in (1, 2, 3):
                    _cpu.set_num_threads(threads)
                    options = (0.0, False) if fold == "var_mean" else (False,)
                    results.append(
                        np.stack(np.atleast_1d(getattr(_cpu, f"{fold}_forward")(x, axis, *options)))
                    )
                assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()
    finally:
        _cpu.set_num_threads(before)


# --- the public functions and their gradients ------------------------------------------------------------------

DIMS = [None, 0, -1, (0, 2), (1,), ()]


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", DIMS, ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "var", "std", "logsumexp"])
def test_equals_torch(name, dim, keepdim):
    torch = pytest.importorskip("torch")
    options = {
        "keepdim": keepdim,
        "dim": dim if dim != () else None,
    }  # for () torch's var has a gradient of Inf
    if name in ("amax", "amin", "logsumexp") and options["dim"] is None:
        options["dim"] = (0, 1, 2)
    ours = partial(getattr(F, name), dim=dim, keepdim=keepdim)
    for x in (randn(3, 4, 5), randn(3, 4, 5).round(), randn(5, 4, 3).T):
        check_torch(ours, partial(getattr(torch, name), **options), x, kind="chain", n=60)


@pytest.mark.parametrize("name", ["max", "min"])
def test_max_and_min_of_all_equal_torch(name):
    torch = pytest.importorskip("torch")
    check_torch(getattr(F, name), getattr(torch, name), randn(4, 5, 6).round(), n=120)


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("name", ["max", "min"])
def test_max_and_min_along_a_dim_equal_torch(name, dim, keepdim):
    torch = pytest.importorskip("torch")
    values = [lambda a, m=m: getattr(m, name)(a, dim, keepdim).values for m in (F, torch)]
    indices = [lambda a, m=m: getattr(m, name)(a, dim, keepdim).indices for m in (F, torch)]
    check_torch(*values, randn(4, 5, 6).round(), kind="exact")
    check_torch(*indices, randn(4, 5, 6).round(), kind="exact", gradients=False)


@pytest.mark.parametrize("zeros", [0, 1, 2, 5])
@pytest.mark.parametrize("dim", [None, 0, 1, (0, 1)], ids=str)
def test_gradient_of_prod_beside_zeros(zeros, dim):
    x = randn(3, 5).astype(np.float64)
    x.ravel()[:zeros] = 0
    check_gradient(lambda a: F.prod(a, dim), x, rtol=1e-5)
    check_second(lambda a: F.prod(a, dim), x)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "max", "var", "std", "logsumexp"])
def test_second_derivatives(name):
    def f(a, *dim):
        y = getattr(F, name)(a * a * a, *dim)
        return y[0] if isinstance(y, tuple) else y

    x = randn(4, 5).astype(np.float64)
    check_second(f, x)
    check_second(lambda a: f(a, 1), x)


def check_second(f, x):
    assert gradgradcheck(f, (Tensor(x, requires_grad=True),))


def test_numpy_spelling_and_kinds():
    x = randn(3, 4)
    assert type(F.sum(x, axis=1, keepdims=True)) is np.ndarray
    assert F.sum(x, axis=1, keepdims=True).shape == (3, 1)
    assert isinstance(Tensor(x).max(1).indices, Tensor)
    assert F.any(x > 9).item() is False and F.all(Tensor(x < 9)).item() is True
    np.testing.assert_array_equal(F.argmax(x, axis=0), x.argmax(0))
    np.testing.assert_array_equal(F.sum(x > 0), (x > 0).sum())
    with pytest.raises(TypeError, match="mean: x is bool"):
        F.mean(x > 0)


def test_sum_to_undoes_broadcasting():
    x = randn(1, 3, 1, 5)
    g = randn(2, 6, 3, 4, 5)
    np.testing.assert_allclose(F.sum_to(g, x), g.sum((0, 1, 3), keepdims=True)[0], rtol=1e-5)
    assert F.sum_to(x, x) is x
    assert F.sum_to(g, np.float32(0)).shape == ()


def test_logsumexp_of_nothing():
    assert F.logsumexp(np.zeros((2, 0)), 1).tolist() == [-np.inf, -np.inf]
    assert F.logsumexp(np.zeros((0, 2)), 1).shape == (0,)


def test_gradients_of_one_number_and_of_none():
    for f in (F.amax, F.amin, F.max, F.min):
        x = Tensor(np.array(2.0), requires_grad=True)
        f(x).backward()
        assert x.grad.item() == 1
    for f in (lambda x: F.var_mean(x, 1)[1], lambda x: F.prod(x, 0), lambda x: F.prod(x, 1)):
        x = Tensor(np.zeros((2, 0)), requires_grad=True)
        assert F.grad(f(x).sum(), (x,))[0].shape == (2, 0)
        assert F.grad(f(x).sum(), (x,), create_graph=True)[0].shape == (2, 0)


@pytest.mark.parametrize("dtype", ("float32", "float64", "int64", "int32", "uint8"))
def test_a_dtype_for_the_result_as_in_torch(dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    for source in ("float32", "float64", "int64", "int32", "uint8", "bool"):
        x = np.array([[1, 2, 0], [3, 4, 1]]).astype(source)
        for name in ("sum", "prod", "mean"):
            if name == "mean" and dtype[0] != "f":
                continue
            theirs = getattr(torch, name)(torch.from_numpy(x), 1, dtype=getattr(torch, dtype)).numpy()
            for given in (x, F.Tensor(x)):
                ours = np.asarray(getattr(F, name)(given, 1, dtype=dtype))
                assert ours.dtype == theirs.dtype, (source, name)
                np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    x = F.Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    x.sum(dtype=np.float64).backward()
    assert x.grad.dtype == np.float32 and x.grad.tolist() == [[1] * 3] * 2


@pytest.mark.parametrize("name", ["amax", "amin", "max"])
@pytest.mark.filterwarnings("error")
def test_nan_takes_the_gradient_of_an_extremum(name):
    x = Tensor(np.array([np.nan, 1.0, np.nan]), requires_grad=True)
    getattr(F, name)(x).backward()
    assert x.grad.tolist() == [0.5, 0, 0.5]
