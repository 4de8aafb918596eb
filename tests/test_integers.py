"""Whole numbers and bools where PyTorch takes them: results and dtypes are its, and what it refuses is refused."""

import itertools

import numpy as np
import pytest
from support import ISAS, assert_close, each_isa

import nnkern
import nnkern.functional as F
from nnkern import Tensor
from nnkern.backends import reference

WHOLE = ("int64", "int32", "uint8", "bool")
PROMOTED = """exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sin cos tan sinh cosh tanh sigmoid erf""".split()
KEPT = "abs square sign neg floor ceil round trunc relu relu6 sum prod amax amin max min".split()
REFUSED = """gelu silu mish softplus elu selu celu leaky_relu hardsigmoid hardswish logsigmoid softshrink hardshrink softmax
mean var std""".split()
LIKE_TORCH = [
    *PROMOTED,
    *KEPT,
    *REFUSED,
    "softsign",
    "tanhshrink",
    "hardtanh",
    "isnan",
    "isfinite",
    "logical_not",
]


def values(dtype):
    low = dtype in ("uint8", "bool")
    return np.array([[1, 0, 3], [0, 1, 2]] if low else [[1, 0, -3], [-1, 7, 100000]], dtype)


def outcome(f, *args):
    try:
        y = f(*args)
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as e:
        return e
    return np.asarray(y[0] if isinstance(y, tuple) else y)


def assert_same(ours, theirs, note):
    if isinstance(theirs, Exception):
        assert isinstance(ours, (TypeError, ValueError)), (note, ours, theirs)
        return
    assert not isinstance(ours, Exception), (note, ours)
    assert ours.dtype == theirs.dtype, (note, ours.dtype, theirs.dtype)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, err_msg=str(note))


@pytest.mark.parametrize("dtype", WHOLE)
def test_functions_of_one_array_like_torch(dtype):
    torch = pytest.importorskip("torch")
    for name in LIKE_TORCH:
        x = values(dtype)
        args = (0,) if name == "softmax" else ()
        theirs = getattr(torch, name, None) or getattr(torch.nn.functional, name)
        expected = outcome(theirs, torch.from_numpy(x), *args)
        assert_same(outcome(getattr(F, name), x, *args), expected, name)
        assert_same(outcome(getattr(F, name), Tensor(x), *args), expected, f"{name} of a Tensor")


BINARY = "add sub mul div pow maximum minimum eq ne lt le gt ge where".split()
OPERANDS = ("float32", "float64", *WHOLE, 2, 2.0, 2.5, 0.5, 1, 0, True)


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_arrays_like_torch(name):
    torch = pytest.importorskip("torch")
    condition = np.array([[True, False, True], [False, True, True]])
    for a, b in itertools.product(("float32", "float64", *WHOLE), OPERANDS):
        if {a, b} == {"float32", "float64"} or (b is True and name in ("sub", "maximum", "minimum")):
            continue
        x = np.array([[1, 0, 3], [0, 1, 2]], a)
        y = np.array([[1, 2, 1], [0, 3, 2]], b) if isinstance(b, str) else b
        t = torch.from_numpy(y) if isinstance(b, str) else torch.tensor(b) if "imum" in name else b
        front = ((condition,), (torch.from_numpy(condition),)) if name == "where" else ((), ())
        expected = outcome(getattr(torch, name), *front[1], torch.from_numpy(x), t)
        assert_same(outcome(getattr(F, name), *front[0], x, y), expected, (name, a, b))


def test_where_between_numbers_like_torch():
    torch = pytest.importorskip("torch")
    condition = np.array([True, False])
    for x, y in itertools.product((1, 0, True, False, 1.5), repeat=2):
        expected = torch.where(torch.from_numpy(condition), x, y).numpy()
        assert_same(outcome(F.where, condition, x, y), expected, (x, y))
        assert_same(outcome(F.where, Tensor(condition), x, y), expected, (x, y))


def test_clamp_like_torch():
    torch = pytest.importorskip("torch")
    limits = ((0, 2), (None, 2), (1, None), (0.5, None), (1, 1.5), (None, 1.0))
    for dtype, (low, high) in itertools.product(WHOLE, limits):
        expected = outcome(torch.clamp, torch.from_numpy(values(dtype)), low, high)
        assert_same(outcome(F.clamp, values(dtype), low, high), expected, (dtype, low, high))


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("n", (1, 17, 1000))
def test_every_isa_and_layout_equals_the_reference(n):
    g = np.random.default_rng(n)
    whole = g.integers(0, 50, (3, n, 2))
    floats = g.standard_normal((3, n, 2)).astype(np.float32)
    assert ISAS
    for _, dtype in itertools.product(each_isa(), WHOLE):
        x = whole.astype(dtype)
        for view in (x, x[::-1, ::2], x.transpose(2, 0, 1), np.broadcast_to(x[:1], x.shape)):
            assert_close(nnkern.exp(view), reference.exp_forward(view), "math", note=dtype)
        for z in (floats, floats.astype(float)):
            for name in ("add", "mul", "div", "maximum", "lt"):
                kernel = getattr(reference, f"{name}_forward")
                assert_close(getattr(nnkern, name)(x, z), kernel(x, z), note=f"{name} {dtype}")
                assert_close(
                    getattr(nnkern, name)(z[..., :1], x), kernel(z[..., :1], x), note=f"{name} {dtype}"
                )
    x = whole.astype(np.uint8).transpose(0, 2, 1)
    assert n == 1 or nnkern.sqrt(x).strides == tuple(4 * s for s in x.strides), "the layout is kept"


def test_gradients_beside_whole_numbers():
    k, mask = np.array([1, 2, 3]), np.array([True, False, True])
    for dtype in (np.float32, np.float64):
        x = Tensor(np.array([4, 5, 6], dtype), requires_grad=True)
        for f, expected in (
            (lambda x: x * k, [1, 2, 3]),
            (lambda x: x * mask, [1, 0, 1]),
            (lambda x: k - x, [-1, -1, -1]),
            (lambda x: x / k, [1, 1 / 2, 1 / 3]),
            (lambda x: k / x, [-1 / 16, -2 / 25, -3 / 36]),
            (lambda x: x**k, [1, 10, 108]),
            (lambda x: nnkern.maximum(x, k + 3), [0.5, 0.5, 0.5]),
            (lambda x: nnkern.where(mask, x, k), [1, 0, 1]),
            (lambda x: x * Tensor(k), [1, 2, 3]),
        ):
            (g,) = nnkern.grad(f(x).sum(), x)
            assert g.dtype == dtype
            np.testing.assert_allclose(g.data, expected, rtol=1e-6)


def test_powers_and_overflow_are_numpys():
    x = np.array([-3, -1, 0, 1, 2, 7])
    np.testing.assert_array_equal(
        nnkern.pow(x, np.array([3, 4, 0, 9, 62, 30])), x ** np.array([3, 4, 0, 9, 62, 30])
    )
    assert nnkern.pow(np.array([-1, -1, 1, 2, 0]), np.array([-1, -2, -5, -1, -1])).tolist() == [
        -1,
        1,
        1,
        0,
        0,
    ]
    assert nnkern.neg(np.array([1, 0], np.uint8)).tolist() == [255, 0]
    with pytest.raises(ValueError, match="pow: whole numbers have no negative powers"):
        nnkern.pow(x, -1)
    assert nnkern.clamp(np.array([5, -5], np.int32), None, 3).tolist() == [3, -5]


def test_composed_functions_do_not_overflow_bytes():
    x = np.array([[250, 3, 10], [0, 1, 2]], np.uint8)
    for y in (F.logsumexp(x, 1), F.logsumexp(Tensor(x), 1).data, F.logsumexp(x.astype(bool), 1)):
        assert y.dtype == np.float32
    np.testing.assert_allclose(F.logsumexp(x, 1), np.logaddexp.reduce(x.astype(float), 1), rtol=1e-6)
    assert F.one_hot(x[1], 4).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]


def test_masked_fill_keeps_the_dtype():
    mask = np.array([True, False, True])
    for dtype in WHOLE:
        y = F.masked_fill(np.ones(3, dtype), mask, 0.0)
        assert y.dtype == dtype
        assert y.tolist() == [0, 1, 0]
    with pytest.raises(TypeError, match="masked_fill: 0.5 does not fit an array of int64"):
        F.masked_fill(np.ones(3, int), mask, 0.5)


@pytest.mark.parametrize("loss", (F.cross_entropy, F.nll_loss))
def test_class_numbers_in_bytes(loss):
    x, target = np.log(np.random.default_rng(0).random((4, 5)) + 0.1), np.array([4, 0, 255, 2], np.uint8)
    for labels in (target, np.repeat(target, 2)[::2]):
        gradients = []
        for given in (labels, labels.astype(np.int64)):
            t = Tensor(x, requires_grad=True)
            y = loss(t, given, ignore_index=255)
            y.backward()
            gradients.append((y.item(), t.grad.tolist()))
        assert gradients[0] == gradients[1]
    with pytest.raises(IndexError, match=r"target\[2\] is 255"):
        loss(x, target)


ERRORS = (
    (lambda: nnkern.sub(np.ones(2, bool), np.ones(2)), TypeError, "sub: bool arrays have no differences"),
    (lambda: nnkern.neg(np.ones(2, bool)), TypeError, "neg: x is bool"),
    (lambda: nnkern.add(np.ones(2, np.float32), np.ones(2)), TypeError, "add: x is float32 but y is float64"),
    (lambda: nnkern.add(np.ones(2, np.uint8), 300), TypeError, "add: the number 300 does not fit"),
    (lambda: Tensor(np.ones(2, int)).add_(0.5), TypeError, "add_: the result is float32 but the tensor .* int64"),
    (lambda: nnkern.exp(np.ones(2, np.int16)), TypeError, "exp: x must be .* got int16"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
