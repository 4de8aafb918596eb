"""Matrix products: every path of the engine on every ISA, strides, batches, epilogues, gradients, errors."""

import numpy as np
import pytest
from support import DTYPES, assert_close, check_gradient, check_kernels, check_torch, each_isa, randn, rng

import nnkern
from nnkern import Tensor, _cpu
from nnkern.backends import reference

# Around tiles (14 x 32, 6 x 16, ...), the depth block (256, 384), a block of columns, and each path: column, row, dot products, in place,
# few rows of a large B, packed by rows, by columns (on the way, but for rows of 2 KB), few results of long sums.
SIZES = [
    (1, 1, 1), (1, 40, 30), (40, 1, 30), (1, 1, 700), (2, 3, 0), (3, 5, 7), (13, 31, 16), (14, 32, 16), (15, 33, 17),
    (6, 16, 64), (7, 17, 65), (28, 64, 384), (29, 65, 385), (5, 1000, 64), (16, 300, 257), (64, 10, 785), (100, 100, 100),
    (129, 257, 130), (33, 2100, 9), (40, 900, 600), (40, 512, 300), (60, 30, 2100), (30, 60, 2100), (33, 70, 8200),
    (2, 1100, 530), (9, 1030, 520), (16, 530, 1025), (19, 270, 2100), (150, 130, 1030), (300, 70, 1030),
]  # fmt: skip


@pytest.mark.parametrize(("m", "n", "k"), SIZES)
@pytest.mark.parametrize("turned", ["", "x", "w", "xw"])
def test_kernels(m, n, k, turned):
    x = randn(k, m).T if "x" in turned else randn(m, k)
    w = randn(n, k, seed=1).T if "w" in turned else randn(k, n, seed=1)
    check_kernels("matmul_forward", x, w, n=k)


@pytest.mark.parametrize(
    "size",
    [
        (300, 200, 700),
        (70, 900, 600),
        (60, 30, 2100),
        (20, 90, 8200),
        (128, 128, 128),
        (9, 1030, 520),
        (150, 130, 1030),
    ]
    # Left sides that stay in L2 of 1 and of 2 MB or not, as it is shared.
    + [(150, 300, 1000), (560, 120, 500), (80, 40, 2100), (150, 40, 2100)]
    # One row times a large matrix: slices of rows, or of columns.
    + [(1, 333, 1101), (1, 5003, 70)],
)
@pytest.mark.parametrize("turned", ["", "x", "w"])
def test_same_bits_for_any_number_of_threads(size, turned):
    m, n, k = size
    x = randn(k, m).T if turned == "x" else randn(m, k)
    w = randn(n, k, seed=1).T if turned == "w" else randn(k, n, seed=1)
    before, found = nnkern.get_num_threads(), []
    try:
        for isa in each_isa():
            for threads in (1, 2, 3):
                nnkern.set_num_threads(threads)
                found.append((isa, _cpu.matmul_forward(x, w)))
    finally:
        nnkern.set_num_threads(before)
    for isa, y in found:
        np.testing.assert_array_equal(y, next(first for name, first in found if name == isa), err_msg=isa)


@pytest.mark.parametrize("dtype", DTYPES)
def test_whole_numbers_are_exact(dtype):
    for m, n, k in [(33, 47, 300), (3, 500, 64), (1, 90, 400), (1, 333, 1101), (1, 5003, 70)]:
        x, w = (rng(i).integers(-9, 9, s).astype(dtype) for i, s in enumerate([(m, k), (k, n)]))
        for isa in each_isa():
            np.testing.assert_array_equal(
                _cpu.matmul_forward(x, w), x.astype(np.int64) @ w.astype(np.int64), err_msg=isa
            )


STRIDES = {
    "steps": lambda x: x[::2, ::3],
    "backwards": lambda x: x[::-1, ::-1],
    "broadcast rows": lambda x: np.broadcast_to(x[:1], x.shape),
    "broadcast columns": lambda x: np.broadcast_to(x[:, :1], x.shape),
}


@pytest.mark.parametrize("layout", STRIDES)
@pytest.mark.parametrize("size", [(8, 12, 10), (90, 120, 160)])
def test_strides(layout, size):
    m, n, k = size
    x, w = STRIDES[layout](randn(m, k)), randn(STRIDES[layout](randn(m, k)).shape[1], n, seed=1)
    x.flags.writeable = False
    check_kernels("matmul_forward", x, w, n=k)
    check_kernels("matmul_forward", np.ascontiguousarray(w.T), x.T, n=k)


BATCHES = [
    ((3, 4, 5), (3, 5, 6)), ((3, 4, 5), (5, 6)), ((4, 5), (3, 5, 6)), ((2, 1, 4, 5), (3, 5, 6)), ((2, 3, 4, 5), (5, 6)),
    ((2, 3, 1, 5), (5, 6)), ((5,), (5,)), ((5,), (5, 6)), ((4, 5), (5,)), ((2, 4, 5), (5,)), ((5,), (2, 5, 6)),
    ((0, 4, 5), (5, 6)), ((3, 0, 5), (3, 5, 6)), ((2, 4, 0), (0, 3)), ((7, 40, 50), (7, 50, 60)), ((2, 3, 40, 50), (3, 50, 60)),
]  # fmt: skip


@pytest.mark.parametrize(("s", "t"), BATCHES)
def test_batches(s, t):
    check_kernels("matmul_forward", randn(*s), randn(*t, seed=1), n=s[-1])
    if len(s) > 2:
        x = np.swapaxes(randn(*s[:-3], s[-2], s[-3], s[-1]), -3, -2)
        check_kernels("matmul_forward", x, randn(*t, seed=1), n=s[-1])
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    check_torch(nnkern.matmul, torch.matmul, randn(*s), randn(*t, seed=1), n=s[-1] * 8 + 8)


def test_axes_of_length_one_may_have_any_stride():
    """They stand between axes that do not lie one behind the other, or that are broadcast."""
    x = randn(18, 2, 8, 7)
    for a in (
        x[::2, :1],
        x[:, ::2],
        x[:1, ::2, ::3],
        x[::3, :1, :1],
        np.broadcast_to(x[:1, :1], (5, 1, 8, 7)),
    ):
        for order in ((0, 1, 2, 3), (1, 0, 2, 3), (0, 2, 1, 3)):
            turned = a.transpose(order)
            check_kernels("linear_forward", turned, randn(9, 7), None, None, 0, 1.0, 1.0, n=7)
            check_kernels("matmul_forward", turned, randn(7, 9), n=7)


@pytest.mark.parametrize("activation", range(7))
@pytest.mark.parametrize(
    ("m", "n", "k"), [(1, 9, 20), (4, 9, 20), (40, 50, 30), (3, 100, 500), (64, 33, 400), (5, 1, 9)]
)
def test_linear_epilogues(m, n, k, activation):
    x, w, b, residual = randn(m, k), randn(n, k, seed=1), randn(n, seed=2), randn(m, n, seed=3)
    check_kernels("linear_forward", x, w, b, None, activation, 1.0, 1.0, kind="chain", n=k)
    check_kernels("linear_forward", x, w, None, residual, activation, 0.5, 2.0, kind="chain", n=k)
    check_kernels("linear_forward", x, w, b[::-1], residual, activation, 1.0, 1.0, kind="chain", n=k)


def test_linear_shapes_and_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    for shape in [(7,), (5, 7), (2, 5, 7), (2, 3, 5, 7), (0, 7)]:
        check_torch(
            nnkern.linear,
            torch.nn.functional.linear,
            randn(*shape),
            randn(4, 7, seed=1),
            randn(4, seed=2),
            n=60,
        )
        check_torch(
            lambda x, w: nnkern.linear(x, w),
            torch.nn.functional.linear,
            randn(*shape),
            randn(4, 7, seed=1),
            n=60,
        )
    check_torch(nnkern.linear, torch.nn.functional.linear, randn(3, 2, 0), randn(4, 0), randn(4))
    for x in (randn(7), randn(2, 5, 7)):
        check_torch(nnkern.linear, torch.nn.functional.linear, x, randn(7, seed=1), randn(seed=2), n=60)
        for bias in (randn(seed=2), randn(1, seed=2)):  # one for all features
            check_torch(nnkern.linear, torch.nn.functional.linear, x, randn(4, 7, seed=1), bias, n=60)
            check_torch(nnkern.linear, torch.nn.functional.linear, x, randn(1, 7, seed=1), bias, n=60)


def test_nan_and_inf():
    x, w = randn(20, 30), randn(30, 40, seed=1)
    x[3, 4], w[5, 6] = np.nan, np.inf
    check_kernels("matmul_forward", x, w, n=30)
    zeros = np.zeros((4, 3), np.float32)
    y = np.full((4, 4), np.nan, np.float32)  # what lies in out is never read
    np.testing.assert_array_equal(_cpu.matmul_forward(zeros, zeros.T, y), np.zeros((4, 4)))


def test_out():
    x, w = randn(20, 30), randn(30, 40, seed=1)
    out = np.empty((20, 80), np.float32)[:, ::2]
    assert _cpu.matmul_forward(x, w, out) is out
    assert_close(np.ascontiguousarray(out), x @ w, n=30)
    square = randn(30, 30)
    expected = square @ square
    _cpu.matmul_forward(square, square, square)  # as if the operands had been copied
    assert_close(square, expected, n=30)


@pytest.mark.parametrize(
    ("s", "t"),
    [
        ((4, 5), (5, 3)),
        ((2, 4, 5), (5, 3)),
        ((4, 5), (2, 5, 3)),
        ((5,), (5, 3)),
        ((4, 5), (5,)),
        ((5,), (5,)),
    ],
)
def test_gradients(s, t):
    check_gradient(nnkern.matmul, randn(*s), randn(*t, seed=1))
    x, w = (Tensor(randn(*a, seed=i).astype(np.float64), requires_grad=True) for i, a in enumerate((s, t)))
    nnkern.gradgradcheck(lambda x, w: nnkern.matmul(x, w) ** 2, [x, w])


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "tanh", "gelu", "gelu_tanh", "silu"])
def test_linear_gradients(activation):
    x, w, b = randn(6, 5), randn(4, 5, seed=1), randn(4, seed=2)
    check_gradient(lambda *a: nnkern.linear(*a, activation=activation), x, w, b)
    check_gradient(lambda x, w: nnkern.linear(x.reshape(2, 3, 5), w, activation=activation), x, w)


def test_relatives():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    a, b, v = randn(4, 5), randn(5, 3, seed=1), randn(5, seed=2)
    check_torch(nnkern.mm, torch.mm, a, b, n=20)
    check_torch(nnkern.mv, torch.mv, a, v, n=20)
    check_torch(nnkern.outer, torch.outer, v, randn(3))
    check_torch(nnkern.bmm, torch.bmm, randn(3, 4, 5), randn(3, 5, 2), n=20)
    check_torch(lambda i, x, w: nnkern.addmm(i, x, w, beta=0.5, alpha=2.0),
                lambda i, x, w: torch.addmm(i, x, w, beta=0.5, alpha=2.0), randn(3), a, b, n=40)  # fmt: skip
    check_torch(
        lambda i, x, w: nnkern.baddbmm(i, x, w),
        torch.baddbmm,
        randn(3, 4, 2),
        randn(3, 4, 5),
        randn(3, 5, 2),
        n=20,
    )


ERRORS = [
    (lambda: nnkern.matmul(randn(2, 3), randn(4, 5)), r"matmul: x has 3 columns but w has 4 rows \(x.shape=\(2, 3\), w.shape=\(4, 5\)\)"),
    (lambda: nnkern.matmul(randn(2, 3, 4), randn(3, 4, 5)), r"matmul: the batch axes 2 and 3 do not broadcast"),
    (lambda: nnkern.matmul(randn(3), np.float32(2) * np.ones((), np.float32)), r"matmul: both operands need at least one axis"),
    (lambda: nnkern.linear(randn(2, 3), randn(5, 4)), r"linear: x's last axis must be weight's second.*\(2, 3\).*\(5, 4\)"),
    (lambda: nnkern.linear(randn(2, 3), randn(5, 3), randn(4)), r"linear: bias must have one number per output feature, shape \(5,\)"),
    (lambda: nnkern.linear(randn(2, 3), randn(5, 3), activation="soft"), r"linear: activation 'soft' is not one of"),
    (lambda: nnkern.bmm(randn(2, 3, 4), randn(3, 4, 5)), r"bmm: x holds 2 matrices but w 3"),
    (lambda: nnkern.mm(randn(2, 3, 4), randn(4, 5)), r"mm: x must have 2 axes \(x.shape=\(2, 3, 4\)\)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), ERRORS, ids=[t[:30] for _, t in ERRORS])
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_mixed_dtypes_are_refused():
    with pytest.raises(TypeError, match="matmul: x is float32 but w is float64"):
        nnkern.matmul(randn(2, 3), randn(3, 4).astype(np.float64))
    with pytest.raises(TypeError, match="matmul: x is int64"):
        nnkern.matmul(np.ones((2, 3), np.int64), np.ones((3, 2), np.int32))
    with pytest.raises(TypeError, match="linear: x is float32 but weight is float64"):
        nnkern.linear(randn(2, 3), randn(4, 3).astype(np.float64))
    with pytest.raises(TypeError, match="linear: x is float32 but bias is float64"):
        nnkern.linear(randn(2, 3), randn(4, 3), randn(4).astype(np.float64))


def test_the_reference_is_numpy():
    np.testing.assert_array_equal(
        reference.matmul_forward(np.eye(2), np.array([[1.0, 2], [3, 4]])), [[1, 2], [3, 4]]
    )
    y = reference.linear_forward(
        np.array([[1.0, 2]]), np.array([[3.0, 4]]), np.array([0.5]), np.array([[-20.0]]), 1, 1.0, 1.0
    )
    np.testing.assert_array_equal(y, [[0.0]])


@pytest.mark.parametrize(("m", "n", "k"), [(1, 9, 20), (5, 100, 700), (40, 33, 64), (3, 5, 0), (0, 4, 4)])
def test_packed_matrix(m, n, k):
    for dtype in DTYPES:
        x, w, b = (a.astype(dtype) for a in (randn(2, m, k), randn(n, k, seed=1).T, randn(n, seed=2)))
        for isa in each_isa():
            packed = nnkern.PackedMatrix(w)
            assert_close(nnkern.matmul(x, packed), np.matmul(x, w), n=k, note=isa)
            for activation in (None, "relu", "tanh"):
                expected = reference.linear_forward(
                    x, w.T, b, None, {None: 0, "relu": 1, "tanh": 3}[activation]
                )
                assert_close(nnkern.linear(x, packed, b, activation), expected, kind="chain", n=k, note=isa)


def test_threads_that_pack_together_pack_the_same():
    x, w, before = randn(40, 600), randn(600, 700, seed=1), nnkern.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            nnkern.set_num_threads(threads)
            found.append(nnkern.matmul(x, nnkern.PackedMatrix(w)))
            np.testing.assert_array_equal(found[-1], found[0])
    finally:
        nnkern.set_num_threads(before)
    assert_close(found[0], np.matmul(x, w), n=600)


def test_packed_matrix_takes_strided_rows():
    w = randn(40, 50)
    packed = nnkern.PackedMatrix(w)
    for x in (
        randn(40, 30).T,
        randn(30, 80)[:, ::2],
        randn(30, 40)[::-1],
        randn(30, 40)[:, ::-1],
        randn(80)[::2],
    ):
        assert_close(nnkern.matmul(x, packed), np.matmul(x, w), n=40)
    x = randn(5, 40, 3).transpose(2, 0, 1)
    assert_close(nnkern.matmul(x, packed), np.matmul(x, w), n=40)


def test_packed_matrix_is_an_object():
    import pickle

    w = randn(20, 30)
    packed = nnkern.PackedMatrix(w)
    x, expected = randn(4, 20), nnkern.matmul(randn(4, 20), w)
    w[:] = 0  # a copy
    for isa in each_isa():  # repacks itself
        assert_close(nnkern.matmul(x, packed), expected, n=20, note=isa)
    again = pickle.loads(pickle.dumps(packed))
    assert again.shape == (20, 30) and again.dtype == np.float32
    assert_close(nnkern.matmul(x, again), expected, n=20)
    check_gradient(
        lambda x, b: nnkern.linear(x, nnkern.PackedMatrix(randn(20, 30).astype(np.float64)), b, "relu"),
        x,
        randn(30),
    )
    with pytest.raises(ValueError, match=r"matmul: x's last axis must be w's first.*\(4, 21\).*\(20, 30\)"):
        nnkern.matmul(randn(4, 21), packed)
    with pytest.raises(TypeError, match="PackedMatrix"):
        nnkern.PackedMatrix(None)
    with pytest.raises(ValueError, match="another instruction set"):
        _cpu.matmul_packed_forward(x, randn(7), 20, 30, None, 0)


BILINEAR = [((4, 3), (4, 5), (6, 3, 5)), ((2, 3, 4), (2, 3, 1), (1, 4, 1)), ((3,), (5,), (2, 3, 5)), ((0, 3), (0, 5), (2, 3, 5))]  # fmt: skip


@pytest.mark.parametrize("one, two, weight", BILINEAR, ids=str)
def test_bilinear_equals_torch(one, two, weight):
    torch = pytest.importorskip("torch")
    arrays = [randn(*s, seed=i) for i, s in enumerate((one, two, weight, weight[:1]))]
    check_torch(nnkern.bilinear, torch.nn.functional.bilinear, *arrays, kind="chain", n=60)
    check_torch(nnkern.bilinear, torch.nn.functional.bilinear, *arrays[:3], kind="chain", n=60)
    if arrays[0].size:
        check_gradient(nnkern.bilinear, *arrays)


def test_bilinear_layer_and_errors():
    torch = pytest.importorskip("torch")
    x, y = randn(4, 3), randn(4, 5)
    for bias in (True, False):
        ours, theirs = nnkern.nn.Bilinear(3, 5, 2, bias), torch.nn.Bilinear(3, 5, 2, bias)
        ours.load_state_dict(theirs.state_dict())
        assert_close(ours(x, y).data, theirs(torch.tensor(x), torch.tensor(y)).detach().numpy(), "chain", 15)
        assert repr(ours) == repr(theirs)
    with pytest.raises(
        ValueError, match=r"bilinear: inputs must be \(..., 3\) and \(..., 5\) with equal leading axes"
    ):
        nnkern.bilinear(x, y[:3], randn(2, 3, 5))
    with pytest.raises(ValueError, match=r"bilinear: weight must be \(K, I, J\)"):
        nnkern.bilinear(x, y, randn(3, 5))


@pytest.mark.parametrize("dtype", ("int64", "int32", "uint8"))
def test_whole_numbers_wrap_as_in_numpy(dtype):
    g = np.random.default_rng(3)
    limits = np.iinfo(dtype)
    for xs, ws in (
        ((3, 4), (4, 5)), ((4,), (4,)), ((4,), (4, 2)), ((2, 4), (4,)), ((2, 1, 3, 4), (5, 4, 2)), ((3, 0), (0, 2)),
        ((0, 3), (3, 2)), ((70, 40), (40, 50)),
    ):  # fmt: skip
        x = g.integers(limits.min, limits.max, xs, dtype)
        w = g.integers(limits.min, limits.max, ws, dtype)
        check_kernels("matmul_forward", x, w, kind="exact", dtypes=[np.float32])
        check_kernels(
            "matmul_forward", x[..., ::-1], w[::-1] if w.ndim == 1 else w[..., ::-1, :], kind="exact"
        )
    np.testing.assert_array_equal((Tensor(x) @ Tensor(w)).data, x @ w)
    with pytest.raises(TypeError, match="matmul: w must be .* got int16"):
        nnkern.matmul(x, w.astype(np.int16))
    for a, b in ((bool, bool), (np.int64, np.int32), (np.float32, np.int64)):
        with pytest.raises(TypeError, match="matmul:"):
            nnkern.matmul(np.ones((2, 2), a), np.ones((2, 2), b))


def test_packed_takes_a_strided_bias():
    x, w, b = randn(3, 5), randn(5, 4, seed=1), np.zeros(8, np.float32)[::2]
    packed = nnkern.PackedMatrix(w)
    np.testing.assert_array_equal(nnkern.linear(x, packed, b), nnkern.linear(x, packed, b.copy()))
