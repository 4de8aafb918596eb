"""Joining and splitting: parts are views, copies are exact for every dtype, gradients flow back."""

import numpy as np
import pytest
from support import check_gradient, check_kernels, check_torch, randn

import nnkern as nn
from nnkern import _cpu

try:
    import torch
except ImportError:
    torch = None

ALL_DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")


@pytest.mark.parametrize("dtype", ALL_DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_cat_kernel(axis, dtype):
    parts = [
        (randn(*(2 + (axis % 3 == d) * i for d in range(3)), seed=i) * 50).astype(dtype) for i in range(3)
    ]
    parts[1] = np.asfortranarray(parts[1])
    check_kernels("cat_forward", parts, axis, kind="exact", dtypes=[np.float32])


def test_cat_with_empty_parts_and_errors():
    check_kernels("cat_forward", [randn(2, 0), randn(2, 3), randn(2, 0)], 1, kind="exact")
    for bad, message in [
        ([], "at least one array"),
        ([randn(2, 3), randn(3, 3)], r"tensors\[1\] must have .* except along dim 1"),
        ([randn(2, 3), randn(2)], r"tensors\[1\] must have"),
    ]:
        with pytest.raises(ValueError, match=f"cat: .*{message}"):
            _cpu.cat_forward(bad, 1)
    with pytest.raises(TypeError, match=r"tensors\[1\] is float64"):
        _cpu.cat_forward([randn(2, 3), randn(2, 3, dtype=np.float64)], 1)
    with pytest.raises(ValueError, match="dim 2 does not exist"):
        _cpu.cat_forward([randn(2, 3)], 2)


VIEWS = [
    # name, function, PyTorch's, input shape
    ("narrow", lambda x: nn.narrow(x, 1, 1, 2), lambda x: x.narrow(1, 1, 2), (2, 4)),
    ("split", lambda x: nn.split(x, 3, 1)[1], lambda x: x.split(3, 1)[1], (2, 5)),
    ("split list", lambda x: nn.split(x, [1, 4], 1)[1], lambda x: x.split([1, 4], 1)[1], (2, 5)),
    ("chunk", lambda x: nn.chunk(x, 3, 1)[2], lambda x: x.chunk(3, 1)[2], (2, 5)),
    ("unbind", lambda x: nn.unbind(x, 1)[2], lambda x: x.unbind(1)[2], (2, 5)),
]
COPIES = [
    ("stack", lambda x: nn.stack((x, x), -1), lambda x: torch.stack((x, x), -1), (3, 4)),
    ("cat", lambda x: nn.cat((x, x[:1]), 0), lambda x: torch.cat((x, x[:1]), 0), (3, 4)),
    ("roll", lambda x: nn.roll(x, (2, -1), (0, 1)), lambda x: x.roll((2, -1), (0, 1)), (4, 3)),
    ("roll flat", lambda x: nn.roll(x, 5), lambda x: x.roll(5), (4, 3)),
    ("repeat", lambda x: nn.repeat(x, (2, 1, 3)), lambda x: x.repeat(2, 1, 3), (4, 2)),
    ("tile", lambda x: nn.tile(x, (3,)), lambda x: x.tile((3,)), (4, 2)),
]


@pytest.mark.parametrize(
    "name, f, torch_f, shape", VIEWS + COPIES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_equals_torch_and_differentiates(name, f, torch_f, shape):
    x = randn(*shape)
    check_torch(f, torch_f, x, kind="sum", n=8)
    check_gradient(f, x)
    t = nn.Tensor(x.astype(np.float64), requires_grad=True)
    check_gradient(lambda gy: nn.grad(f(t), t, gy, create_graph=True)[0], randn(*f(x).shape))


@pytest.mark.parametrize("name, f, torch_f, shape", VIEWS, ids=lambda v: v if isinstance(v, str) else "")
def test_views_share_memory(name, f, torch_f, shape):
    x = randn(*shape)
    assert np.shares_memory(x, f(x)) and np.shares_memory(f(nn.Tensor(x, requires_grad=True)).data, x)


def test_split_with_unused_parts_and_changes_in_place():
    x = nn.Tensor(randn(5, 3), requires_grad=True)
    first, _, last = nn.split(x, 2)
    (gx,) = nn.grad(last, x, randn(1, 3))
    assert (gx.data[:4] == 0).all() and (gx.data[4:] == randn(1, 3)).all()
    y = nn.clone(x)
    part = nn.unbind(y, 1)[1]
    part.fill_(7.0)
    assert (y.data[:, 1] == 7).all()
    (gx,) = nn.grad(y, x, np.ones((5, 3), np.float32))
    assert (gx.data[:, 1] == 0).all() and (gx.data[:, ::2] == 1).all()


def test_torch_in_torch_out():
    torch = pytest.importorskip("torch")
    y = nn.cat((torch.ones(2, 3), torch.zeros(1, 3)))
    assert isinstance(y, torch.Tensor) and y.shape == (3, 3)


ERRORS = [
    (lambda x: nn.narrow(x, 1, 3, 2), IndexError, r"narrow: \[3, 5\) does not lie in dim 1"),
    (lambda x: nn.split(x, [1, 2], 1), ValueError, r"split: lengths \[1, 2\] must sum to 4"),
    (lambda x: nn.split(x, [-1, 5], 1), ValueError, "none below 0"),
    (lambda x: nn.split(x, 0), ValueError, "split_size must be positive"),
    (lambda x: nn.chunk(x, 0), ValueError, "chunks must be positive"),
    (lambda x: nn.stack((x, x[:2])), ValueError, r"stack: tensors\[1\] .* \(tensors\[0\].shape=\(3, 4\)"),
    (lambda x: nn.stack(()), ValueError, "stack: needs at least one array"),
    (lambda x: nn.roll(x, (1, 1), (0,)), ValueError, "roll: 2 shifts but 1 dims"),
    (lambda x: nn.repeat(x, (2,)), ValueError, "repeat: 1 sizes"),
]  # fmt: skip


@pytest.mark.parametrize("f", [lambda: nn.split([1.0], 1), lambda: nn.stack([None])])
def test_what_is_no_array_is_named(f):
    with pytest.raises(TypeError, match="(split|stack): expected an array or Tensor, got (list|NoneType)"):
        f()


@pytest.mark.parametrize("f, error, message", ERRORS)
def test_errors_say_what_is_wrong(f, error, message):
    with pytest.raises(error, match=message):
        f(randn(3, 4))


def test_a_negative_start_counts_from_the_end():
    assert nn.narrow(np.arange(5), 0, -2, 2).tolist() == [3, 4]
    with pytest.raises(IndexError, match="narrow"):
        nn.narrow(np.arange(5), 0, -6, 1)
    with pytest.raises(IndexError, match="narrow"):
        nn.narrow(np.arange(5), 0, -2, 3)


def test_chunks_of_nothing():
    assert [c.shape for c in nn.chunk(np.zeros((2, 0)), 3, 1)] == [(2, 0)] * 3


def test_mixed_dtypes_as_in_torch():
    torch = pytest.importorskip("torch")
    kinds = ("float32", "float64", "int64", "int32", "uint8", "bool")
    for a, b in [(a, b) for a in kinds for b in kinds if {a, b} != {"float32", "float64"}]:
        x, y = np.array([[1, 0]], a), np.array([[1, 2]], b)
        for f, torch_f in ((nn.cat, torch.cat), (nn.stack, torch.stack)):
            ours, theirs = f((x, y, x)), torch_f([torch.from_numpy(v) for v in (x, y, x)]).numpy()
            assert ours.dtype == theirs.dtype and ours.tolist() == theirs.tolist()
    x = nn.Tensor(np.ones(2), requires_grad=True)
    (nn.cat((x, nn.Tensor([5]), x)) * 2).sum().backward()
    assert x.grad.tolist() == [4, 4]
    for f, name in ((nn.cat, "cat"), (nn.stack, "stack")):
        with pytest.raises(
            TypeError, match=f"{name}: .*is float64 .*is float32; convert one of them with astype"
        ):
            f((x, np.ones(2, np.float32)))


def test_cat_passes_over_empty_arrays_of_one_dim():
    torch = pytest.importorskip("torch")
    empty, x, y = np.zeros(0, np.float32), randn(2, 3), randn(2, 3)
    for arrays in (
        (empty, x),
        (x, empty),
        (empty, x, empty, y),
        (empty, empty),
        (x[0], empty),
        [empty, *[x] * 20],
    ):
        for dim in range(-1, max(a.ndim for a in arrays)):
            expected = torch.cat([torch.from_numpy(a) for a in arrays], dim).numpy()
            assert np.array_equal(nn.cat(arrays, dim), expected)
            assert np.array_equal(nn.cat([nn.Tensor(a) for a in arrays], dim).data, expected)
    e, t = nn.Tensor(empty, requires_grad=True), nn.Tensor(x, requires_grad=True)
    (nn.cat((e, t), 1) * 2).sum().backward()
    assert e.grad.shape == (0,) and t.grad.tolist() == [[2, 2, 2]] * 2
    with pytest.raises(ValueError, match=r"cat: tensors\[2\] must have the shape of tensors\[1\]"):
        nn.cat((empty, x, x[0]))
