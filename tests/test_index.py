"""Reading and writing by index: values, order of sums, gradients, errors that name the offending index."""

from functools import partial

import numpy as np
import pytest
from support import DTYPES, check_gradient, check_kernels, check_torch, randn, rng

import nnkern as nn
from nnkern import Tensor, _cpu

try:
    import torch
except ImportError:
    torch = None


def indices(shape, size, dtype=np.int64, seed=0):
    return np.asarray(rng(seed, 3).integers(-size, size, shape), dtype)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("index_shape", [(), (4,), (2, 3), (0,), (700,)])
def test_take_and_index_add_kernels(axis, index_shape):
    for x in (randn(5, 6, 7), randn(7, 6, 5).T, randn(5, 12, 14)[:, ::-2, ::2]):
        index = indices(index_shape, x.shape[axis])
        check_kernels("take_forward", x, index, axis, kind="exact")
        source = np.take(x, index, axis) * 2
        check_kernels("index_add_forward", x, index, source, axis, n=700)
        check_kernels(
            "index_add_forward",
            x,
            indices(index_shape, x.shape[axis], np.int32),
            source.T.copy().T,
            axis,
            n=700,
        )


@pytest.mark.parametrize("n", [1, 3, 64, 129, 300])
def test_take_of_indices_that_need_no_copy(n):
    for dtype in DTYPES:
        x = randn(20, n, dtype=dtype)
        for index in (np.arange(20) % 7, np.arange(40)[::2] % 20, np.arange(13, dtype=np.int32)):
            check_kernels("take_forward", x, index, 0, kind="exact")
    with pytest.raises(IndexError, match="out of range"):
        _cpu.take_forward(x, np.array([0, 20]), 0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather_and_scatter_kernels(axis):
    for x in (randn(5, 6, 7), randn(7, 6, 5).T, np.broadcast_to(randn(5, 1, 7), (5, 6, 7))):
        shape = [3, 4, 5]
        shape[axis] = 11  # longer than x along the axis
        index = indices(shape, x.shape[axis], seed=axis)
        check_kernels("gather_forward", x, index, axis, kind="exact")
        check_kernels("gather_forward", x, index[::-1, :, ::2].astype(np.int32), axis, kind="exact")
        source = randn(12, 12, 12)
        check_kernels("scatter_add_forward", x, index, source, axis, n=11)
        for reduce in range(3):
            for include_self in (False, True):
                check_kernels(
                    "scatter_reduce_forward", x, index, source, axis, reduce, include_self, kind="sum", n=11
                )
        unique = np.argsort(randn(*x.shape), axis=axis)
        check_kernels("scatter_forward", x, unique, source, axis, kind="exact")


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_other_dtypes(dtype):
    x = (randn(6, 4) * 9).astype(dtype)
    index = indices((3,), 6)
    np.testing.assert_array_equal(_cpu.take_forward(x, index, 0), x[index])
    wide = indices((3, 4), 6)
    np.testing.assert_array_equal(_cpu.gather_forward(x, wide, 0), np.take_along_axis(x, wide, 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_thread_count(dtype):
    x, index = randn(300, 130, dtype=dtype), indices((5000,), 300)
    source, wide = randn(5000, 130, dtype=dtype), indices((300, 2000), 130)
    wide_source = randn(300, 2000, dtype=dtype)
    results = []
    before = _cpu.num_threads()
    try:
        for threads in (1, 2, 3):
            _cpu.set_num_threads(threads)
            results.append(
                (
                    _cpu.take_forward(x, index, 0),
                    _cpu.index_add_forward(x, index, source, 0),
                    _cpu.gather_forward(x, wide, 1),
                    _cpu.scatter_add_forward(x, wide, wide_source, 1),
                )
            )
    finally:
        _cpu.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)


def test_in_place_and_overlap():
    x = randn(5, 3)
    index, source = np.array([1, 1]), randn(2, 3, seed=1)
    expected = x.copy()
    np.add.at(expected, index, source)
    assert _cpu.index_add_forward(x, index, source, 0, out=x) is x
    np.testing.assert_allclose(x, expected, rtol=1e-6)
    order = np.array([2, 0, 1])
    for target in (_cpu.index_add_forward, _cpu.scatter_add_forward):
        with pytest.raises(ValueError, match="out overlaps"):  # it would change while it is read
            target(order, order, np.ones(3, np.int64), 0, order)
    with pytest.raises(ValueError, match="index_add: out overlaps"):
        _cpu.index_add_forward(x, index, x[:2], 0, out=x)


@pytest.mark.parametrize(
    "name", ["take_forward", "gather_forward", "scatter_forward", "scatter_add_forward", "index_add_forward"]
)
@pytest.mark.parametrize("bad", [4, -5, 2**62])
def test_index_out_of_range(name, bad):
    x = randn(4, 3)
    index = np.array([[0, 1, 2], [1, bad, 0]])
    arguments = [x, index] if name in ("take_forward", "gather_forward") else [x, index, randn(2, 3)]
    if name == "index_add_forward":
        arguments[2] = randn(2, 3, 3)
    with pytest.raises(IndexError, match=rf"index\[1, 1\] is {bad}, out of range for dim 0 of size 4"):
        getattr(_cpu, name)(*arguments, 0)


def test_wrong_arguments():
    x = randn(4, 3)
    with pytest.raises(TypeError, match="gather: index is float32; int64 or int32 is needed"):
        _cpu.gather_forward(x, randn(4, 3), 0)
    with pytest.raises(
        ValueError, match=r"gather: index must have x's number of dimensions.*\(4, 3\).*\(4, 4\)"
    ):
        _cpu.gather_forward(x, np.zeros((4, 4), np.int64), 0)
    with pytest.raises(ValueError, match="scatter: .*no longer than source"):
        _cpu.scatter_forward(x, np.zeros((4, 3), np.int64), randn(3, 3), 0)
    with pytest.raises(ValueError, match="index_add: source must have x's shape with dim 0 replaced"):
        _cpu.index_add_forward(x, np.zeros(2, np.int64), randn(3, 3), 0)
    with pytest.raises(ValueError, match="dim 2 does not exist"):
        _cpu.take_forward(x, np.zeros(2, np.int64), 2)
    with pytest.raises(TypeError, match="x is float32 but source is float64"):
        _cpu.scatter_add_forward(x, np.zeros((1, 1), np.int64), randn(2, 2, dtype=np.float64), 0)


# The public functions

I = np.array([[2, 0, 3], [1, 1, 2]])
U = np.array([[2, 0, 3], [1, 0, 2]])  # no index twice in a row
TI, TU = (torch.tensor(I), torch.tensor(U)) if torch else (I, U)
CASES = [
    # name, function, PyTorch's, input shapes
    ("index_select", lambda x: nn.index_select(x, 1, I[0]), lambda x: x.index_select(1, TI[0]), [(2, 4, 3)]),
    ("index_add", lambda x, s: nn.index_add(x, 0, I[1], s), lambda x, s: x.index_add(0, TI[1], s),
     [(4, 3), (3, 3)]),
    ("gather", lambda x: nn.gather(x, 0, I), lambda x: x.gather(0, TI), [(4, 3)]),
    ("scatter", lambda x, s: nn.scatter(x, 1, U, s), lambda x, s: x.scatter(1, TU, s), [(3, 4), (2, 3)]),
    ("scatter_add", lambda x, s: nn.scatter_add(x, 1, I, s), lambda x, s: x.scatter_add(1, TI, s),
     [(3, 4), (2, 3)]),
    *[(f"scatter_reduce {reduce} {own}", partial(lambda r, o, x, s: nn.scatter_reduce(x, 1, I, s, r, o), reduce, own),
       partial(lambda r, o, x, s: x.scatter_reduce(1, TI, s, r, include_self=o), reduce, own), [(3, 4), (2, 3)])
      for reduce in ("sum", "prod", "mean", "amax", "amin") for own in (True, False)],
    ("take_along_dim", lambda x: nn.take_along_dim(x, I[:, :1], 1), lambda x: x.take_along_dim(TI[:, :1], 1),
     [(2, 4)]),
]  # fmt: skip


@pytest.mark.parametrize("name, f, torch_f, shapes", CASES, ids=[c[0] for c in CASES])
def test_equals_torch_and_differentiates(name, f, torch_f, shapes):
    arrays = [randn(*shape, seed=i) for i, shape in enumerate(shapes)]
    check_torch(f, torch_f, *arrays, n=4)
    check_gradient(f, *arrays)
    t = [nn.Tensor(a.astype(np.float64), requires_grad=True) for a in arrays]
    check_gradient(lambda gy: nn.grad(f(*t), t, gy, create_graph=True)[0], randn(*f(*arrays).shape))


@pytest.mark.parametrize("reduce", ["prod", "amax", "amin"])
@pytest.mark.parametrize("own", [True, False])
def test_scatter_reduce_beside_zeros_and_ties(reduce, own):
    x = np.array([[0.0, 2.0, 3.0], [1.0, 5.0, 0.0]])
    src = np.array([[0.0, 4.0, 0.0, 2.0], [0.0, 0.0, 7.0, 5.0]])
    index = np.array([[1, 1, 2, 0], [0, 0, 2, 1]])
    if reduce != "prod" and not own:
        x += 0.25  # PyTorch gives a share to numbers of x that are left out but equal the result
    check_torch(
        lambda a, s: nn.scatter_reduce(a, 1, index, s, reduce, own),
        lambda a, s: a.scatter_reduce(1, torch.from_numpy(index), s, reduce, include_self=own),
        x, src, dtypes=[np.float64],
    )  # fmt: skip


def test_scatter_reduce_of_special_numbers_and_integers():
    special = np.array([np.nan, np.inf, 1.0], np.float32)
    y = nn.scatter_reduce(np.zeros(2, np.float32), 0, [0, 1, 1], special, "amax", False)
    assert np.isnan(y[0]) and y[1] == np.inf
    whole = np.array([3, 9], np.int32)
    assert nn.scatter_reduce(whole, 0, [0, 0], np.array([-5, -7], np.int32), "amax", False).tolist() == [
        -5,
        9,
    ]
    with pytest.raises(ValueError, match="reduce must be sum, prod, mean, amax or amin, got 'max'"):
        nn.scatter_reduce(whole, 0, [0, 0], whole, "max")
    with pytest.raises(TypeError, match="mean needs floating point, x is int32"):
        nn.scatter_reduce(whole, 0, [0, 0], whole, "mean")


def test_scatter_from_a_longer_source():
    for f in (nn.scatter, nn.scatter_add):
        check_gradient(lambda x, s, f=f: f(x, 1, U, s), randn(3, 4), randn(4, 5))


def test_scatter_a_number():
    np.testing.assert_array_equal(nn.scatter(np.zeros((2, 3)), 1, [[1], [2]], 5.0), [[0, 5, 0], [0, 0, 5]])


INDICES = [
    1,
    (slice(None, None, -1), 2),
    (Ellipsis, None, slice(1, 4, 2)),
    [2, 0, -1],
    (slice(None), [1, 1, 3]),
    (slice(None), slice(1), np.array([[0, 4], [2, 2]])),
    (np.array([0, 2, 2]), np.array([1, 0, 3])),
    (np.array([[0], [2]]), np.array([1, -4]), slice(1, 3)),
    (np.array([0, 2, 2]), slice(None), np.array([1, 0, 3])),
    (0, slice(None), [1, 2]),
    (slice(None), 1, [1, 2]),
    ([0, 1], None, [1, 2]),
    (Ellipsis, [1, 2]),
    np.arange(60).reshape(3, 4, 5) % 7 > 2,
    np.arange(12).reshape(3, 4) % 3 > 0,
    (slice(1, None), np.array([True, False, True, True])),
    (np.array([True, False, True]), [0, 1]),
    (np.zeros((3, 4), bool), 2),
    [],
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_getitem_is_numpys(index):
    x = randn(3, 4, 5)
    for a in (x, randn(5, 4, 3).T):
        np.testing.assert_array_equal(nn.getitem(a, index), a[index])
        np.testing.assert_array_equal(nn.Tensor(a)[index].data, a[index])
    check_gradient(lambda t: t[index], x)


def test_getitem_takes_tensors_as_index():
    x = nn.Tensor(randn(3, 4), requires_grad=True)
    np.testing.assert_array_equal(x[nn.Tensor(np.array([2, 0]))].data, x.data[[2, 0]])
    np.testing.assert_array_equal(x[nn.Tensor(x.data > 0)].data, x.data[x.data > 0])


@pytest.mark.parametrize(
    "index, message",
    [
        (7, r"getitem: .*7.*\(x.shape=\(3, 4\)\)"),
        ((0, 0, 0), "getitem: too many indices"),
        ([0, 5], r"getitem: index\[1\] is 5, out of range for dim 0 of size 3"),
        (([0, 1], [0, -5]), "getitem: index array 1 holds -5, out of range for a dim of size 4"),
        (np.ones((3, 3), bool), r"getitem: a mask of shape \(3, 3\) stands at dim 0 of x.shape=\(3, 4\)"),
        (([0], [0], [0]), "getitem: 3 indices for 2 dimensions"),
        (np.array([0.5]), "getitem: an index must be integers, slices or a mask"),
    ],
)
def test_getitem_errors(index, message):
    with pytest.raises(IndexError, match=message):
        nn.getitem(randn(3, 4), index)


def test_indices_without_rows_change_nothing():
    """A sanitizer sees what they divided by: the length of the empty dim."""
    x, index, source = randn(3, 4), np.zeros((0, 4), np.int64), randn(0, 4)
    for f in (nn.scatter, nn.scatter_add):
        np.testing.assert_array_equal(f(x, 0, index, source), x)
    assert nn.gather(x, 0, index).shape == (0, 4)


def test_masked_select_and_repeat_interleave_equal_torch():
    torch = pytest.importorskip("torch")
    x, mask = randn(3, 4), randn(4, seed=1) > 0
    check_torch(
        lambda a: nn.masked_select(a, mask),
        lambda a: torch.masked_select(a, torch.from_numpy(mask)),
        x,
        kind="exact",
    )
    for repeats, dim in [(2, 0), (3, None), ([1, 0, 2], 0), ([1, 2, 3, 0], 1), (0, 1)]:
        times = repeats if isinstance(repeats, int) else torch.tensor(repeats)
        check_torch(
            partial(nn.repeat_interleave, repeats=repeats, dim=dim),
            partial(torch.repeat_interleave, repeats=times, dim=dim),
            x,
            n=4,
        )
    with pytest.raises(TypeError, match="mask must be bool, got float32"):
        nn.masked_select(x, x)
    with pytest.raises(ValueError, match="one for each of the 3 elements along dim 0"):
        nn.repeat_interleave(x, [1, 2], 0)
    for repeats in (2**62, [2**62] * 4):  # their sums wrap around to 0
        with pytest.raises(ValueError, match="repeat_interleave: the result is too large"):
            nn.repeat_interleave(np.ones(4, np.float32), repeats)


def test_index_add_scales_its_source():
    y = nn.index_add(np.zeros(3), 0, [0, 2, 0], np.array([1.0, 2.0, 3.0]), alpha=-2)
    assert y.tolist() == [-8, 0, -4]


def test_scatter_reduce_takes_an_index_that_is_a_tensor():
    x, index, src = np.array([2.0, 4.0]), nn.Tensor(np.array([0, 0])), np.array([1.0, 3.0])
    assert nn.scatter_reduce(x, 0, index, src, "mean").tolist() == [2, 4]


ODD_INDICES = [
    True, False, None, np.True_, np.array(True), (True, 1), (0, True), (slice(None), True), (slice(None), False, 1),
    (True, True), (True, None, slice(1, None)), (..., True), (None, np.array([True, False])), (True, np.array([1, 0])),
    (True, np.array([True, False])), (slice(None), True, np.array([0, 2, 1])), (np.array([0]), slice(None), None, True),
]  # fmt: skip


@pytest.mark.parametrize("index", ODD_INDICES, ids=repr)
def test_true_false_and_none_as_in_numpy(index):
    x = np.arange(24.0).reshape(2, 3, 4)
    w = randn(*x[index].shape, dtype=np.float64)
    t = Tensor(x.copy(), requires_grad=True)
    y = t[index]
    np.testing.assert_array_equal(y.data, x[index])
    y.backward(w)
    expected = np.zeros_like(x)
    np.add.at(expected, index, w)
    np.testing.assert_array_equal(t.grad.data, expected)
    z, plain = Tensor(x.copy()), x.copy()
    z[index] = 5.0
    plain[index] = 5.0
    np.testing.assert_array_equal(z.data, plain)


def test_an_ellipsis_without_dims_separates_nothing():
    a = randn(3, 4, 2)
    x = Tensor(a.copy())
    i = [1, 2, 0]
    x[:, i, ..., -1] = x[:, i, ..., -1]
    np.testing.assert_array_equal(x.data, a)


def test_index_tensors_may_be_changed_after_the_forward():
    x = Tensor(np.arange(3.0), requires_grad=True)
    i = Tensor([0, 1])
    y = x[i]
    i.add_(1)
    y.sum().backward()
    assert x.grad.tolist() == [1, 1, 0]
    b, v = Tensor(np.zeros(3)), Tensor(np.ones(2), requires_grad=True)
    i = Tensor([0, 1])
    b[i] = v
    i.fill_(2)
    (b * np.array([1.0, 2.0, 3.0])).sum().backward()
    assert v.grad.tolist() == [1, 2]
    y = nn.index_copy(x, 0, i, v)
    i.fill_(0)
    with pytest.raises(RuntimeError, match="fill_ at .* changed it in place"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("shape", "index", "expected"),
    [
        ((1, 2), slice(0, 2), [[2, 2]]), ((1, 1), slice(0, 2), [[4]]), ((1,), 0, [2]),
        ((1, 2), np.array([True, False, True, False]), [[2, 2]]),
    ],
)  # fmt: skip
def test_values_with_more_dims_of_length_1(shape, index, expected):
    x, v = Tensor(np.zeros(4), requires_grad=True) * 1, Tensor(np.ones(shape), requires_grad=True)
    x[index] = v
    (x * x).sum().backward()
    assert v.grad.tolist() == expected


def test_errors_of_unfit_indices():
    x = Tensor(randn(2, 3))
    with pytest.raises(IndexError, match=r"getitem: index arrays of shapes \(2,\), \(3,\) do not broadcast"):
        x[[0, 1], [0, 1, 1]]
    with pytest.raises(IndexError, match="getitem: an index may have one ellipsis"):
        x[..., [0], ...]
    with pytest.raises(IndexError, match="v: an index may have one ellipsis"):
        x[..., [0], ...] = 1.0


@pytest.mark.skipif(torch is None, reason="PyTorch decides")
def test_gather_and_scatter_take_arrays_without_dims():
    shapes = [((), ()), ((), (1,)), ((3,), ()), ((1,), ())]
    for x_shape, shape in shapes:
        x, src, index = np.asarray(randn(*x_shape)), np.asarray(randn(*shape)), np.zeros(shape, np.int64)
        for f, more in (
            ("gather", ()), ("scatter", (src,)), ("scatter", (2.0,)), ("scatter_add", (src,)),
            ("scatter_reduce", (src, "prod")), ("scatter_reduce", (src, "sum")),
        ):  # fmt: skip
            ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
            y = getattr(nn, f)(ours, -1, Tensor(index), *[Tensor(v) if v is src else v for v in more])
            expected = getattr(torch, f)(
                theirs, -1, torch.tensor(index), *[torch.tensor(v) if v is src else v for v in more]
            )
            assert y.shape == tuple(expected.shape) and np.allclose(y.data, expected.detach()), (
                f,
                x_shape,
                shape,
            )
            y.sum().backward()
            expected.sum().backward()
            assert ours.grad.shape == x_shape and np.allclose(ours.grad.data, theirs.grad), (
                f,
                x_shape,
                shape,
            )


def test_named_indexing_needs_int64_or_int32_and_says_so():
    x = randn(3, 4)
    calls = {
        "gather": lambda i: nn.gather(x, 0, i[None]),
        "scatter": lambda i: nn.scatter(x, 0, i[None], 1.0),
        "index_select": lambda i: nn.index_select(x, 0, i),
        "index_add": lambda i: nn.index_add(x, 0, i, x[:2]),
        "embedding": lambda i: nn.embedding(i, x),
    }
    for dtype in (np.int8, np.int16, np.uint16, np.uint32, np.uint64):
        index = np.array([0, 1], dtype)
        for name, call in calls.items():
            with pytest.raises(TypeError, match=f"{name}: .*an int64 or int32 array, got {np.dtype(dtype)}"):
                call(index)
        assert np.array_equal(Tensor(x)[index].data, x[:2])  # x[...] takes any, as NumPy does


@pytest.mark.parametrize("value", [-2.0, 300, float("nan"), 1e30])
def test_a_number_to_scatter_must_fit(value):
    with pytest.raises(TypeError, match="scatter: the number .* does not fit an array of uint8; convert"):
        nn.scatter(np.zeros(3, np.uint8), 0, [0], value)


def test_index_arrays_that_do_not_broadcast_are_named():
    x = randn(3, 4)
    rows, columns = np.array([0, 1]), np.array([0, 1, 2])
    with pytest.raises(IndexError, match=r"^getitem: .*\(2,\), \(3,\)"):
        Tensor(x)[rows, columns]
    for requires_grad in (False, True):
        t = Tensor(x.copy(), requires_grad=requires_grad) * 1
        for index in (
            (rows, columns),
            (Tensor(rows), Tensor(columns)),
            (np.array([True, False, True]), columns),
        ):
            with pytest.raises(IndexError, match=r"^x\[...\] = v: .*\(2,\) \(3,\) \(x.shape=\(3, 4\)\)"):
                t[index] = 1.0
        np.testing.assert_array_equal(t.data, x)


def test_what_setitem_refuses():
    x = randn(3, 4)
    for index, value, error, message in (
        (7, 1.0, IndexError, "index 7 is out of bounds"),
        (0, x[0, :2], ValueError, r"shape \(2,\)"),
        (0, [[1], [2, 3]], ValueError, "inhomogeneous"),
        (0, None, TypeError, "numbers or bools are needed, got object"),
        (0, "1.5", TypeError, "numbers or bools are needed, got <U3"),
        (0, 1j, TypeError, "numbers or bools are needed, got complex128"),
        (0, x[0] * 1j, TypeError, "numbers or bools are needed, got complex64"),
        (0, np.ma.array(x[0], mask=x[0] > 0), TypeError, "a masked array's mask would be lost"),
    ):
        for requires_grad in (False, True):
            t = Tensor(x.copy(), requires_grad=requires_grad) * 1
            with pytest.raises(error, match=rf"^x\[...\] = v: .*{message}"):
                t[index] = value
            np.testing.assert_array_equal(t.data, x)
    with pytest.raises(OverflowError, match="x.* = v: .*300"):
        Tensor(np.zeros(2, np.uint8))[0] = 300


def test_an_index_beyond_int64_is_out_of_range():
    x, most = randn(3, 4), 2**64 - 1
    t = Tensor(x.copy())
    index = np.array([0, most], np.uint64)
    for name, call in (
        ("getitem", lambda: t[index]),
        ("getitem", lambda: t[index, index]),
        ("getitem", lambda: t[[most]]),
        ("getitem", lambda: t[np.uint64(most)]),
        (r"x\[...\] = v", lambda: t.__setitem__(index, 0.0)),
        ("index_select", lambda: nn.index_select(x, 0, [most])),
        ("gather", lambda: nn.gather(x, 0, [[most]])),
        ("index_add", lambda: nn.index_add(x, 0, [most], x[:1])),
        ("one_hot", lambda: nn.one_hot(index)),
    ):
        with pytest.raises(IndexError, match=f"^{name}: index {most} is out of range"):
            call()
    np.testing.assert_array_equal(t.data, x)


@pytest.mark.skipif(torch is None, reason="PyTorch decides")
def test_index_select_of_a_number_equals_torch():
    theirs = torch.tensor(2.0, requires_grad=True)
    for dim in (0, -1):
        torch.index_select(theirs, dim, torch.tensor([0])).backward()
        for index in (np.array([0]), [0], 0, Tensor(np.array([0]))):
            ours = Tensor(2.0, requires_grad=True)
            y = nn.index_select(ours, dim, index)
            y.backward()
            assert y.shape == () and y.item() == 2 and ours.grad.item() == 1
        assert nn.index_select(np.array(2.0), dim, np.array([0])).shape == ()
    for index, error in (([1], IndexError), ([0, 0], ValueError), ([], ValueError)):
        for f, x, i in (
            (nn.index_select, np.array(2.0), index),
            (torch.index_select, theirs, torch.tensor(index)),
        ):
            with pytest.raises(error if f is nn.index_select else (IndexError, RuntimeError)):
                f(x, 0, i)
