"""Padding in all modes: kernels against the reference in every layout, PyTorch's results, gradients of both orders."""

import numpy as np
import pytest
from support import SIZES, check_gradient, check_kernels, check_torch, randn

import nnkern as F
from nnkern import Tensor, _cpu, gradgradcheck, nn

MODES = ["constant", "reflect", "replicate", "circular"]
PADS = [(), (1, 2), (0, 3, 2, 0), (1, 1, 2, 2, 2, 1), (-1, 2), (-2, -1, 1, -2), (4, -5), (0, 0, 1, 0)]
EDGES = [(4, -7), (-9, 12), (0, 0, 9, 9)]  # constant only


def layouts(x):
    yield x
    yield np.asfortranarray(x)
    yield x[..., ::-1]
    yield np.broadcast_to(x[:1], x.shape)
    if x.ndim > 3:
        yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


@pytest.mark.parametrize("mode", range(4), ids=MODES)
@pytest.mark.parametrize("pads", PADS + EDGES, ids=str)
def test_kernels(pads, mode):
    if mode and pads in EDGES:
        pytest.skip("pads beyond the length are for numbers")
    for shape in [(3, 5, 7), (2, 3, 4, 9), (2, 2, 3, 5, 6)]:
        for x in layouts(randn(*shape)):
            if mode and any(max(p) > n - 1 for p, n in zip(zip(pads[::2], pads[1::2]), shape[::-1])):
                continue
            check_kernels("pad_forward", x, list(pads), mode, 0.5, kind="exact")
            gy = _cpu.pad_forward(x, list(pads), mode, 0.0)
            if mode:
                for g in layouts(randn(*gy.shape, seed=1)):
                    check_kernels("pad_backward", g, list(shape), list(pads), mode, n=27)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("mode", range(4), ids=MODES)
def test_rows_around_register_widths(n, mode):
    for low, high in [(1, 1), (0, 3), (9, 7), (16, 16), (17, 2)]:
        if mode == 0 or max(low, high) < n + (mode > 1):
            x, pads = randn(2, 4, n), [low, high, 1, 1]
            check_kernels("pad_forward", x, pads, mode, np.nan, kind="exact")
            if mode:
                gy = randn(2, 6, n + low + high)
                check_kernels("pad_backward", gy, list(x.shape), pads, mode, n=9 * (low + high + n))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, bool])
def test_other_dtypes(dtype):
    x = (randn(3, 5) > 0).astype(dtype)
    for mode in range(4):
        check_kernels("pad_forward", x, [1, 2, 2, 0], mode, 1.0, kind="exact", dtypes=[np.float32])


def test_a_channels_last_image_stays_one():
    x = np.moveaxis(randn(2, 5, 6, 4), -1, 1)
    for mode in MODES:
        assert F.pad(x, (1, 2, 1, 1), mode).strides[1] == 4


def test_threads_and_special_numbers():
    x = randn(4, 16, 64, 64)
    x[0, 0, 0, 0], x[1, 2, 3, 4], x[0, 0, 1, 1] = np.nan, np.inf, -0.0
    for mode in range(1, 4):
        y, found = _cpu.pad_forward(x, [3, 3, 3, 3], mode, 0.0), []
        before = F.get_num_threads()
        try:
            for threads in (1, 2, 3):
                F.set_num_threads(threads)
                found.append(_cpu.pad_backward(y, x.shape, [3, 3, 3, 3], mode).tobytes())
        finally:
            F.set_num_threads(before)
        assert len(set(found)) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "shape, pads",
    [((2, 5), (1, 2)), ((2, 3, 5), (4, -1)), ((2, 3, 4, 5), (1, 2, 3, 0)), ((3, 4, 5), (-1, -1, 2, 2)),
     ((1, 2, 3, 4, 5), (1, 2, 0, 1, 2, 2)), ((2, 0, 4, 5), (1, 1, 1, 1)), ((2, 3, 4, 5), (-2, 3, 3, -1))],
    ids=str,
)  # fmt: skip
def test_equals_torch(shape, pads, mode):
    torch = pytest.importorskip("torch")
    x = randn(*shape)
    if (mode == "circular" and x.ndim == 2) or (mode in ("reflect", "replicate") and x.size == 0):
        pytest.skip("refused by PyTorch")
    check_torch(lambda a: F.pad(a, pads, mode), lambda a: torch.nn.functional.pad(a, pads, mode), x, n=27)


@pytest.mark.parametrize("mode", MODES)
def test_gradients(mode):
    check_gradient(lambda a: F.pad(a, (2, 1, -1, 2), mode), randn(2, 3, 4, 5))
    x = Tensor(randn(2, 3, 4).astype(np.float64), requires_grad=True)
    assert gradgradcheck(lambda a: F.pad(F.mul(a, a), (2, 1, 1, 0), mode), (x,))


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda: F.pad(randn(2, 5), (-3, -3)), ValueError, r"\(-3, -3\) leaves no valid length along dim 1"),
        (lambda: F.pad(randn(2, 5), (1, 1, 1)), ValueError, r"pad needs \(before, after\).*3 numbers"),
        (lambda: F.pad(randn(2, 5), (5, 0), "reflect"), ValueError, r"reflect padding by \(5, 0\) must be below the length 5 of dim 1 .*\(2, 5\)"),
        (lambda: F.pad(randn(2, 5), (6, 0), "circular"), ValueError, "circular padding.*at most the length 5"),
        (lambda: F.pad(randn(2, 0), (1, 0), "replicate"), ValueError, "replicate padding.*length 0"),
        (lambda: F.pad(randn(2, 5), (1, 1), "mirror"), ValueError, "mode must be one of 'constant', 'reflect'"),
        (lambda: F.pad(randn(2, 5), (1, 1), "reflect", 1.0), ValueError, "takes no value"),
        (lambda: F.pad([1.0], (1, 1)), TypeError, "pad"),
        (lambda: F.pad(randn(2, 5), (1.9, 0)), TypeError, r"pad: pad must be whole numbers, got \(1.9, 0\)"),
        (lambda: F.pad(randn(2, 1), (2, -3)), ValueError, r"pad: -3 crops more than the length 1 of dim 1 .*\(2, 1\)"),
        (lambda: F.pad(np.zeros(1, np.uint8), (1, 0), value=300), ValueError, "pad: value 300 does not fit x, which is uint8"),
        (lambda: F.pad(np.zeros(1, np.uint8), (1, 0), value=-1), ValueError, "value -1 does not fit"),
        (lambda: F.pad(np.zeros(1, np.int64), (1, 0), value=np.nan), ValueError, "value nan does not fit x, which is int64"),
        (lambda: F.pad(np.zeros(1, np.int64), (1, 0), value=2**60 + 1), ValueError, "does not fit"),
        (lambda: F.pad(np.zeros(1, np.int32), (1, 0), value=2**40), ValueError, "does not fit x, which is int32"),
        (lambda: nn.ReflectionPad2d((1, 2, 3)), ValueError, "a number or 4 of them"),
        (lambda: nn.ReflectionPad2d(1)(randn(2, 3)), ValueError, "3 or 4 dims"),
    ],
)  # fmt: skip
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("kind", ["Constant", "Zero", "Reflection", "Replication", "Circular"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_layers(kind, axes):
    torch = pytest.importorskip("torch")
    x = randn(*(2, 3, 4, 5, 6)[: axes + 2])
    value = (2.5,) if kind == "Constant" else ()
    for padding in (1, tuple(range(1, 2 * axes + 1))[::-1] if axes == 1 else (1, 2) * axes):
        name = f"{kind}Pad{axes}d"
        ours, theirs = getattr(nn, name)(padding, *value), getattr(torch.nn, name)(padding, *value)
        np.testing.assert_array_equal(ours(x), theirs(torch.from_numpy(x)).numpy())
        assert repr(ours) == repr(theirs)
