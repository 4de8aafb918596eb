"""max_unpool and fractional max pooling against PyTorch; places out of range; both layouts; gradients."""

import itertools

import numpy as np
import pytest
from support import assert_close, check_kernels, check_torch, randn

import nnkern
from nnkern import Tensor, gradcheck, gradgradcheck, nn


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


# size of x, kernel_size, stride, padding, output_size (None: the usual one)
CASES = [
    ((2, 3, 8, 10), 2, 2, 0, None),
    ((2, 3, 9, 11), 2, 2, 0, (9, 11)),
    ((1, 2, 7, 9), 3, 2, 1, None),
    ((2, 3, 16), 2, 2, 0, None),
    ((1, 2, 4, 6, 8), 2, 2, 0, None),
]


@pytest.mark.parametrize("turn", [np.asarray, channels_last])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_unpool_equals_torch(case, turn):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    shape, kernel, stride, padding, size = case
    n = len(shape) - 2
    pool, unpool = getattr(nnkern, f"max_pool{n}d"), getattr(nnkern, f"max_unpool{n}d")
    theirs = getattr(torch.nn.functional, f"max_unpool{n}d")
    y, index = pool(turn(randn(*shape)), kernel, stride, padding, return_indices=True)
    options = (kernel, stride, padding, size)
    found = unpool(y, index, *options)
    assert_close(found, theirs(torch.tensor(y), torch.tensor(index), *options).numpy(), kind="exact")
    check_kernels("max_unpool_forward", y, index, found.shape[2:], kind="exact")
    check_torch(
        lambda y: unpool(y, index, *options), lambda y: theirs(y, torch.tensor(index), *options), y, kind="exact"
    )  # fmt: skip
    assert_close(unpool(y[0], index[0], *options), found[0], kind="exact")


@pytest.mark.parametrize("turn", [np.asarray, channels_last])
def test_take_and_scatter_equal_the_reference(turn):
    window = ((3, 2), (2, 1), (1, 1, 0, 1), (1, 1))
    x = randn(2, 3, 7, 9)
    for kind in (1, 2):
        y, index = nnkern.backends.load("reference").max_pool_forward(x, *window, False, False, False, kind)
        index = turn(index)
        check_kernels("pool_take_forward", turn(x), index, *window, kind="exact")
        check_kernels("max_pool_backward", y, index, (7, 9), *window, n=9)


def test_gradients():
    y, index = nnkern.max_pool2d(randn(2, 3, 6, 6, dtype=np.float64), 2, return_indices=True)
    x = Tensor(y, requires_grad=True)
    assert gradcheck(lambda x: nnkern.max_unpool2d(x, index, 2), (x,))
    assert gradgradcheck(lambda x: nnkern.max_unpool2d(x, index, 2), (x,))
    x = Tensor(np.random.default_rng(1).permutation(98).reshape(1, 2, 7, 7) * 0.1, requires_grad=True)
    samples = np.full((1, 2, 2), 0.3)
    f = lambda x: nnkern.fractional_max_pool2d(x, 2, 5, None, False, samples)  # noqa: E731
    assert gradcheck(f, (x,))
    assert gradgradcheck(f, (x,))


@pytest.mark.parametrize("turn", [np.asarray, channels_last])
def test_fractional_equals_torch(turn):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    for n, kernel, out in ((2, (2, 3), (5, 7)), (3, 2, (3, 4, 5)), (2, 1, (1, 1))):
        shape = (2, 3, *(9, 12, 10)[:n])
        x, samples = turn(randn(*shape)), np.random.default_rng(2).random((2, 3, n)).astype(np.float32)
        name = f"fractional_max_pool{n}d"
        y, index = getattr(nnkern, name)(x, kernel, out, None, True, samples)
        theirs = getattr(torch.nn.functional, name)(
            torch.tensor(x), kernel, out, None, True, torch.tensor(samples)
        )
        assert_close(y, theirs[0].numpy(), kind="exact")
        np.testing.assert_array_equal(index, theirs[1].numpy())
        kernel, out = np.broadcast_to(kernel, n).tolist(), list(out)
        nan = x.copy()
        nan[0, 0, 1:5, 2:6] = np.nan
        for image in (x, turn(nan)):
            for ignore, places in itertools.product((False, True), repeat=2):
                options = (kernel, out, samples, ignore, places)
                check_kernels("fractional_max_pool_forward", image, *options, kind="exact")
    for half in (0.5, np.float32(0.5), (np.float64(0.5), 0.5)):
        assert nnkern.fractional_max_pool2d(x, 2, output_ratio=half).shape == (2, 3, 4, 6)
    assert nn.FractionalMaxPool2d(np.int64(2), output_ratio=np.float32(0.5))(Tensor(x)).shape == (2, 3, 4, 6)
    assert nn.FractionalMaxPool2d(2, output_size=np.int64(3))(Tensor(x)).shape == (2, 3, 3, 3)
    assert nnkern.fractional_max_pool2d(x[0], 2, output_ratio=(0.5, 0.7)).shape == (3, 4, 8)


# sizes around registers; windows within two registers of a row, and beyond
@pytest.mark.parametrize("shape, kernel, out", [
    ((2, 3, 9, 47), (2, 2), (5, 31)), ((1, 2, 6, 33), (3, 2), (2, 17)), ((1, 2, 5, 17), (1, 1), (5, 17)),
    ((1, 2, 4, 300), (2, 5), (3, 20)), ((1, 3, 3, 90), (2, 40), (2, 33)), ((1, 2, 5, 4, 64), (2, 1, 3), (3, 2, 40)),
])  # fmt: skip
def test_fractional_windows(shape, kernel, out):
    x = np.round(2 * randn(*shape))  # many are equal
    samples = np.random.default_rng(3).random((*shape[:2], len(kernel))).astype(np.float32)
    rough = x.copy()
    rough[np.random.default_rng(4).random(shape) < 0.3] = np.nan
    rough[0, 0] = -np.inf
    for image in (x, rough, channels_last(rough)):
        for ignore in (False, True):
            check_kernels(
                "fractional_max_pool_forward", image, kernel, out, samples, ignore, True, kind="exact"
            )


def test_messages():
    y, index = nnkern.max_pool2d(randn(1, 1, 6, 6), 2, return_indices=True)
    with pytest.raises(IndexError, match="index 99 does not lie in an image of 36 elements"):
        nnkern.max_unpool2d(y, np.full_like(index, 99), 2)
    with pytest.raises(IndexError, match="index -1 does not lie"):
        nnkern.max_unpool2d(y, np.full_like(index, -1), 2)
    with pytest.raises(
        ValueError, match=r"output_size \(8, 8\) must differ from \(6, 6\) by less than the stride"
    ):
        nnkern.max_unpool2d(y, index, 2, output_size=(8, 8))
    with pytest.raises(ValueError, match="input and indices must have the same shape"):
        nnkern.max_unpool2d(y, index[:, :, :2], 2)
    with pytest.raises(TypeError, match="indices must be int64, not float32"):
        nnkern.max_unpool2d(y, y, 2)
    with pytest.raises(ValueError, match="an axis of 6 can't be pooled to 6 by windows of 2"):
        nnkern.fractional_max_pool2d(randn(1, 1, 6, 6), 2, 6)
    for wrong in (1, np.float32(1.5), (0.5, 1)):
        with pytest.raises(ValueError, match="output_ratio must lie between 0 and 1, one or 2 of them"):
            nnkern.fractional_max_pool2d(np.ones((1, 1, 6, 6)), 2, output_ratio=wrong)
    with pytest.raises(ValueError, match="either output_size or output_ratio"):
        nnkern.fractional_max_pool2d(randn(1, 1, 6, 6), 2)
    with pytest.raises(ValueError, match=r"_random_samples must have the shape \(N, C, spatial axes\)"):
        nnkern.fractional_max_pool2d(randn(1, 1, 6, 6), 2, 3, _random_samples=np.zeros((1, 1, 3), np.float32))
    for bad in (-0.1, 1.5, np.nan):
        with pytest.raises(ValueError, match="_random_samples must lie between 0 and 1"):
            nnkern.fractional_max_pool2d(
                randn(1, 1, 6, 6), 2, 3, _random_samples=np.full((1, 1, 2), bad, np.float32)
            )


def test_output_size_is_an_int_or_ints_or_a_shape():
    y, index = nnkern.max_pool2d(randn(2, 3, 7, 7), 2, return_indices=True)
    wanted = nnkern.max_unpool2d(y, index, 2, output_size=(7, 7))
    for size in (7, [7], wanted.shape[1:], wanted.shape):
        assert np.array_equal(nnkern.max_unpool2d(y, index, 2, output_size=size), wanted)
    with pytest.raises(
        ValueError, match=r"max_unpool2d: input and indices .*\(3, 3, 3\), indices.shape=\(1, 3, 3, 3\)"
    ):
        nnkern.max_unpool2d(y[0], index[:1], 2)


def test_errors_name_the_public_function_and_its_arguments():
    x = randn(1, 2, 8, 8)
    y, index = nnkern.max_pool2d(x, 2, return_indices=True)
    for error, text, call in (
        (
            TypeError,
            "max_unpool2d: indices must be int64",
            lambda: nnkern.max_unpool2d(y, index.astype(np.int32), 2),
        ),
        (IndexError, "max_unpool2d: index -1 does not", lambda: nnkern.max_unpool2d(y, index * 0 - 1, 2)),
        (ValueError, "fractional_max_pool2d: an axis of 8", lambda: nnkern.fractional_max_pool2d(x, 2, 9)),
        (
            TypeError,
            "fractional_max_pool2d: input is float32 but _random_samples is float64",
            lambda: nnkern.fractional_max_pool2d(x, 2, 5, _random_samples=np.zeros((1, 2, 2))),
        ),
        (
            ValueError,
            "fractional_max_pool2d: output_ratio must lie between",
            lambda: nnkern.fractional_max_pool2d(x, 2, output_ratio=(0.5, "a")),
        ),
        (
            TypeError,
            "avg_pool2d: divisor_override must be an int",
            lambda: nnkern.avg_pool2d(x, 2, divisor_override=2.5),
        ),
        (TypeError, "max_pool2d: ceil_mode must be a bool", lambda: nnkern.max_pool2d(x, 2, ceil_mode="no")),
        (TypeError, "max_pool2d: input is int64", lambda: nnkern.max_pool2d(x.astype(int), 2)),
        (ValueError, r"avg_pool2d: .*\(input.shape=\(2, 8, 8\)\)", lambda: nnkern.avg_pool2d(x[0], 9)),
        (TypeError, "unfold: input is int64", lambda: nnkern.unfold(x.astype(int), 2)),
        (TypeError, "lp_pool2d: norm_type must be a number, got str", lambda: nnkern.lp_pool2d(x, "2", 2)),
        (TypeError, "group_norm: num_groups must be an int", lambda: nnkern.group_norm(x, 2.0)),
    ):
        with pytest.raises(error, match=f"^{text}"):
            call()


def test_indices_changed_in_place_are_an_error_that_names_the_op():
    x = Tensor(randn(1, 2, 8, 8), requires_grad=True)
    for op, options in (("max_pool", {}), ("fractional_max_pool", {"output_size": 3})):
        y, index = getattr(nnkern, f"{op}2d")(x, 2, return_indices=True, **options)
        index += 1
        with pytest.raises(RuntimeError, match=f"backward of {op} needs an array"):
            y.sum().backward()


def test_layers_are_torchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    for n, shape in ((1, (2, 3, 8)), (2, (2, 3, 8, 6)), (3, (2, 3, 4, 6, 8))):
        ours, theirs = getattr(nn, f"MaxUnpool{n}d")(2), getattr(torch.nn, f"MaxUnpool{n}d")(2)
        assert repr(ours) == repr(theirs)
        y, index = getattr(nn, f"MaxPool{n}d")(2, return_indices=True)(Tensor(randn(*shape)))
        ty = theirs(torch.tensor(y.data), torch.tensor(index.data))
        assert_close(ours(y, index).data, ty.numpy(), kind="exact")
    for n in (2, 3):
        x, samples = randn(1, 2, *(8,) * n), np.full((1, 2, n), 0.4, np.float32)
        name = f"FractionalMaxPool{n}d"
        ours = getattr(nn, name)(2, output_ratio=0.6, _random_samples=samples)
        theirs = getattr(torch.nn, name)(2, output_ratio=0.6, _random_samples=torch.tensor(samples))
        assert repr(ours) == repr(theirs)
        assert_close(ours(Tensor(x)).data, theirs(torch.tensor(x)).numpy(), kind="exact")


@pytest.mark.parametrize("name", ["max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
                                  "adaptive_max_pool3d", "fractional_max_pool2d", "fractional_max_pool3d"])  # fmt: skip
def test_names_that_always_return_indices(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    n = int(name[-2])
    x, options = randn(2, 3, *(7, 6, 8)[:n]), {"kernel_size": 2}
    if "adaptive" in name:
        options = {"output_size": 3}
    if "fractional" in name:
        options |= {"output_size": 3, "_random_samples": np.full((2, 3, n), 0.4, np.float32)}
    ours, theirs = (getattr(f, f"{name}_with_indices") for f in (nnkern.functional, torch.nn.functional))
    y, index = ours(x, **options)
    given = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    for a, b in zip((y, index), theirs(torch.tensor(x), **given)):
        np.testing.assert_array_equal(a, b.numpy())
    with pytest.raises(TypeError):
        ours()
