"""Shape ops: views cost nothing, copies are exact for every layout and dtype, gradients flow back."""

import itertools

import numpy as np
import pytest
from support import SIZES, check_gradient, check_kernels, check_torch, randn

import nnkern as nn
from nnkern import _cpu

try:
    import torch
except ImportError:
    torch = None

ALL_DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")


def values(shape, dtype, seed=0):
    return (randn(*shape, seed=seed) * 50).astype(dtype)


def layouts(x):
    """x's values in memory layouts that a kernel may meet; each item is (name, array equal to x)."""
    yield "contiguous", x
    for order in itertools.islice(itertools.permutations(range(x.ndim)), 1, 8):
        yield f"permuted {order}", np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    yield "reversed", np.ascontiguousarray(x[::-1])[::-1]
    padded = np.zeros((*x.shape[:-1], 2 * x.shape[-1] + 1), x.dtype)
    padded[..., 1::2] = x
    yield "every second", padded[..., 1::2]
    frozen = x.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen


@pytest.mark.parametrize("dtype", ALL_DTYPES)
@pytest.mark.parametrize("shape", [(7,), (5, 9), (3, 4, 5), (2, 3, 17, 19), (3, 1, 4, 2, 5), (130, 67)])
def test_copy_of_every_layout_and_dtype(shape, dtype):
    x = values(shape, dtype)
    for name, layout in layouts(x):
        y = _cpu.copy_forward(layout)
        assert y.flags.c_contiguous, name
        np.testing.assert_array_equal(y, x, err_msg=name)


@pytest.mark.parametrize("n", SIZES)
def test_transposes_around_register_widths(n):
    for m in (1, 2, 3, 4, 5, 8, 16, 17, 33):
        check_kernels("copy_forward", randn(m, n).T, kind="exact")
        check_kernels("copy_forward", randn(2, n, m).transpose(0, 2, 1), kind="exact")


@pytest.mark.parametrize("shape", [(1000, 700), (3, 64, 56, 57), (70001,), (300000,), (5, 3, 200, 200)])
def test_large_copies_and_thread_counts(shape):
    x = randn(*shape)
    before = _cpu.num_threads()
    try:
        for threads in (1, 2, 3):
            _cpu.set_num_threads(threads)
            np.testing.assert_array_equal(_cpu.copy_forward(x.T), x.T)
            np.testing.assert_array_equal(_cpu.copy_forward(x[::-1]), x[::-1])
            np.testing.assert_array_equal(_cpu.copy_forward(x), x)
    finally:
        _cpu.set_num_threads(before)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1, 1)])
def test_copy_of_degenerate_shapes(shape):
    check_kernels("copy_forward", randn(*shape), kind="exact")


def test_copy_keeps_signalling_bits():
    bits = np.arange(0x7F800001, 0x7F800001 + 64 * 64, dtype=np.uint32).reshape(64, 64)  # signalling NaNs
    np.testing.assert_array_equal(_cpu.copy_forward(bits.view(np.float32).T).view(np.uint32), bits.T)


def test_copy_of_broadcast_and_into_strided_out():
    x = randn(5, 1, 7)
    check_kernels("copy_forward", np.broadcast_to(x, (5, 9, 7)), kind="exact")
    check_kernels("copy_forward", np.broadcast_to(np.float32(3), (4, 33)), kind="exact")
    check_kernels("copy_forward", np.broadcast_to(randn(33, 1), (33, 70)), kind="exact")
    base = np.zeros((7, 20, 5), np.float32)
    out = base[:, ::-2, :].transpose(2, 1, 0)
    assert _cpu.copy_forward(np.broadcast_to(x, (5, 10, 7)), out=out) is out
    np.testing.assert_array_equal(base[:, 1::2], np.broadcast_to(x, (5, 10, 7)).transpose(2, 1, 0))
    assert (base[:, ::2] == 0).all()


def test_copy_refuses_a_bad_out():
    x = randn(4, 6)
    with pytest.raises(ValueError, match=r"copy: out has the wrong shape .*\(6, 4\).*\(4, 6\)"):
        _cpu.copy_forward(x, out=np.zeros((6, 4), np.float32))
    with pytest.raises(ValueError, match="copy: out overlaps x"):
        _cpu.copy_forward(x, out=x[::-1])
    with pytest.raises(ValueError, match="read-only"):
        _cpu.copy_forward(x, out=np.broadcast_to(np.float32(0), (4, 6)))
    assert _cpu.copy_forward(x, out=x) is x


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("diagonal", [-9, -2, 0, 1, 3, 9, 2**62])
def test_triangle_kernel(diagonal, upper):
    for shape in ((5, 7), (7, 5), (2, 3, 4, 4), (0, 3), (3, 0)):
        check_kernels("triangle_forward", randn(*shape), diagonal, upper, kind="exact")


# The public functions: against NumPy's names, PyTorch's results, and central differences.

VIEWS = [
    # name, function, PyTorch's, input shape
    ("reshape", lambda x: nn.reshape(x, (4, -1)), lambda x: x.reshape(4, -1), (2, 4, 3)),
    ("permute", lambda x: nn.permute(x, (2, 0, -2)), lambda x: x.permute(2, 0, 1), (2, 4, 3)),
    ("transpose", lambda x: nn.transpose(x, 0, -1), lambda x: x.transpose(0, -1), (2, 4, 3)),
    ("movedim", lambda x: nn.movedim(x, (0, 2), (-1, 0)), lambda x: x.movedim((0, 2), (-1, 0)), (2, 4, 3, 5)),
    ("flatten", lambda x: nn.flatten(x, 1, -2), lambda x: x.flatten(1, -2), (2, 4, 3, 5)),
    ("flatten 0-d", lambda x: nn.flatten(x), lambda x: x.flatten(), ()),
    ("unflatten", lambda x: nn.unflatten(x, 1, (2, -1)), lambda x: x.unflatten(1, (2, -1)), (2, 4, 3)),
    ("squeeze", lambda x: nn.squeeze(x), lambda x: x.squeeze(), (1, 4, 1, 3)),
    ("squeeze dim", lambda x: nn.squeeze(x, (0, 1)), lambda x: x.squeeze((0, 1)), (1, 4, 1, 3)),
    ("unsqueeze", lambda x: nn.unsqueeze(x, -2), lambda x: x.unsqueeze(-2), (4, 3)),
    ("flip", lambda x: nn.flip(x, (0, -1)), lambda x: x.flip((0, -1)), (4, 3, 2)),
    ("diagonal", lambda x: nn.diagonal(x, 1, 0, -1), lambda x: x.diagonal(1, 0, -1), (3, 4, 5)),
    ("diagonal below", lambda x: nn.diagonal(x, -2), lambda x: x.diagonal(-2), (3, 4)),
    ("getitem", lambda x: x[1:, ..., ::2, None, -1], lambda x: x[1:, ..., ::2, None, -1], (3, 2, 5, 4)),
]
COPIES = [
    ("diag_embed", lambda x: nn.diag_embed(x), lambda x: x.diag_embed(), (2, 3)),
    ("diag_embed at", lambda x: nn.diag_embed(x, -1, 0, 2), lambda x: x.diag_embed(-1, 0, 2), (2, 3)),
    ("pixel_shuffle", lambda x: nn.pixel_shuffle(x, 2), lambda x: torch.pixel_shuffle(x, 2), (2, 8, 3, 5)),
    ("pixel_shuffle 3-d", lambda x: nn.pixel_shuffle(x, 3), lambda x: torch.pixel_shuffle(x, 3), (9, 2, 1)),
    (
        "pixel_unshuffle",
        lambda x: nn.pixel_unshuffle(x, 2),
        lambda x: torch.pixel_unshuffle(x, 2),
        (1, 2, 3, 4, 6),
    ),
    (
        "channel_shuffle",
        lambda x: nn.channel_shuffle(x, 3),
        lambda x: torch.channel_shuffle(x, 3),
        (2, 6, 3, 4),
    ),
    ("clone", lambda x: nn.clone(x), lambda x: x.clone(), (3, 4)),
    ("tril", lambda x: nn.tril(x, -1), lambda x: x.tril(-1), (2, 4, 5)),
    ("triu", lambda x: nn.triu(x, 2), lambda x: x.triu(2), (2, 4, 5)),
]
SUMMING = [
    ("broadcast_to", lambda x: nn.broadcast_to(x, (2, 4, 3)), lambda x: x.broadcast_to((2, 4, 3)), (4, 1)),
    ("expand", lambda x: nn.expand(x, (2, -1, 3)), lambda x: x.expand(2, -1, 3), (4, 1)),
]


@pytest.mark.parametrize(
    "name, f, torch_f, shape", VIEWS + COPIES + SUMMING, ids=lambda v: v if isinstance(v, str) else ""
)
def test_equals_torch_and_differentiates(name, f, torch_f, shape):
    x = randn(*shape)
    check_torch(f, torch_f, x, kind="exact" if (name, f, torch_f, shape) not in SUMMING else "sum", n=8)
    check_gradient(f, x)
    t = nn.Tensor(x.astype(np.float64), requires_grad=True)
    check_gradient(lambda gy: nn.grad(f(t), t, gy, create_graph=True)[0], randn(*f(x).shape))


@pytest.mark.parametrize("name, f, torch_f, shape", VIEWS, ids=lambda v: v if isinstance(v, str) else "")
def test_views_share_memory(name, f, torch_f, shape):
    x = randn(*shape)
    y = f(x)
    assert isinstance(y, np.ndarray) and np.shares_memory(x, y)
    t = nn.Tensor(x, requires_grad=True)
    assert np.shares_memory(f(t).data, x)


def test_reshape_of_a_permuted_array():
    x = randn(8, 5, 6)
    np.testing.assert_array_equal(
        nn.reshape(x.transpose(1, 0, 2), (5, 48)), x.transpose(1, 0, 2).reshape(5, 48)
    )
    part = x[:, ::2]
    assert np.shares_memory(nn.reshape(part, (8, 3, 2, 3)), x)  # a view needs no copy here


def test_contiguous():
    x = randn(3, 4)
    assert nn.contiguous(x) is x
    assert nn.contiguous(x.T).flags.c_contiguous
    t = nn.Tensor(x)
    assert t.contiguous() is t and t.transpose(0, 1).contiguous().is_contiguous()


def test_methods_take_numbers_or_a_list():
    t = nn.Tensor(randn(2, 6))
    assert t.reshape(3, 4).shape == t.reshape((3, 4)).shape == (3, 4) and t.reshape(-1).shape == (12,)
    assert t.permute(1, 0).shape == t.permute((1, 0)).shape == (6, 2)
    assert (
        t.expand(3, 2, 6).shape == (3, 2, 6) and t.repeat(2, 1).shape == (4, 6) and t.flip(0).shape == (2, 6)
    )


def test_transposed_properties():
    t = nn.Tensor(randn(2, 3, 4))
    assert t.T.shape == (4, 3, 2) and t.mT.shape == (2, 4, 3) and t.view(6, -1).shape == (6, 4)
    assert np.shares_memory(t.T.data, t.data) and np.shares_memory(t.view(-1).data, t.data)


def test_meshgrid():
    for indexing in ("ij", "xy"):
        arrays = randn(3), randn(4), randn(2)
        for n in (1, 2, 3):
            ours = nn.meshgrid(*arrays[:n], indexing=indexing)
            for a, b in zip(ours, np.meshgrid(*arrays[:n], indexing=indexing)):
                np.testing.assert_array_equal(a, b)


ERRORS = [
    (lambda x: nn.reshape(x, (4, 2)), ValueError, r"reshape: x.shape=\(3, 4\) has 12 elements.*\(4, 2\)"),
    (lambda x: nn.permute(x, (0, 0)), ValueError, "permute: a dim is repeated"),
    (lambda x: nn.permute(x, (0,)), ValueError, r"permute: dims=\(0,\) must name each dim of x"),
    (lambda x: nn.transpose(x, 0, 2), IndexError, "transpose: dim 2 does not exist, x has 2 dimensions"),
    (lambda x: nn.unsqueeze(x, 4), IndexError, "unsqueeze: dim 4"),
    (lambda x: nn.unflatten(x, 1, (3, -1)), ValueError, r"unflatten: dim 1 .* can't be split into \(3, -1\)"),
    (lambda x: nn.flatten(x, 1, 0), ValueError, "start_dim 1 comes after end_dim 0"),
    (lambda x: nn.broadcast_to(x, (3, 5)), ValueError, r"broadcast_to: x.shape=\(3, 4\) .*\(3, 5\)"),
    (lambda x: nn.expand(x, (-1, 3, 4)), ValueError, "expand: -1"),
    (lambda x: nn.pixel_shuffle(x[None], 2), ValueError, r"1 channels must be a multiple of 2 \* 2 .*\(1, 3, 4\)"),
    (lambda x: nn.pixel_shuffle(x, 2), ValueError, "pixel_shuffle: input needs at least 3 dims"),
    (lambda x: nn.pixel_unshuffle(x[None], 2), ValueError, "multiples of 2"),
    (lambda x: nn.channel_shuffle(x[None], 2), ValueError, "a multiple of 2 channels"),
    (lambda x: nn.diagonal(x, 0, 1, 1), ValueError, "diagonal: a dim is repeated"),
    (lambda x: nn.meshgrid(x), ValueError, "meshgrid: arrays must have one dim"),
    (lambda x: nn.meshgrid(x[0], indexing="yx"), ValueError, "'ij' or 'xy'"),
    (lambda x: nn.tril(x[0]), ValueError, "tril: x needs at least two dimensions"),
]  # fmt: skip


@pytest.mark.parametrize("f, error, message", ERRORS)
def test_errors_say_what_is_wrong(f, error, message):
    with pytest.raises(error, match=message):
        f(randn(3, 4))


def test_a_number_may_be_said_to_have_one_dim_as_in_torch():
    x = np.array(5.0)
    for y in (nn.transpose(x, 0, -1), nn.squeeze(x, 0), nn.flip(x, (0,)), nn.movedim(x, -1, 0)):
        assert y.shape == () and y == 5
    with pytest.raises(IndexError, match="flip: dim 1 does not exist, x has 0 dimensions"):
        nn.flip(x, (1,))
    assert nn.topk(x, 0)[0] == 5 and nn.topk(x, 1)[1] == 0


def test_methods_name_what_is_wrong():
    x = nn.Tensor(randn(2, 3))
    for call, error, message in (
        (lambda: x.reshape("a"), TypeError, r"reshape: a shape must be whole numbers, got \('a',\)"),
        (lambda: x.reshape(2.0, 3), TypeError, r"reshape: a shape must be whole numbers, got \(2.0, 3\)"),
        (lambda: x.view(np.int32), TypeError, "reshape: a shape must be whole numbers, got <class"),
        (lambda: x.unsqueeze(None), TypeError, "unsqueeze: a dim must be a whole number, got None"),
        (lambda: x.flip("a"), TypeError, "flip: a dim must be a whole number, got 'a'"),
        (lambda: x.permute(0), ValueError, r"permute: dims=\(0,\) must name each dim"),
        (
            lambda: x.copy_(randn(2)),
            ValueError,
            r"copy_: a value of shape \(2,\) does not fit a tensor of \(2, 3\)",
        ),
    ):
        with pytest.raises(error, match=f"^{message}"):
            call()
    assert x.reshape(np.int64(6)).shape == (6,)
    assert x[0].permute(0).shape == (3,)
