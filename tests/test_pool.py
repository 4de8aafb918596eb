"""Pooling over one to three axes: every option against PyTorch, both layouts, NaN, ties, gradients of gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import assert_close, check_gradient, check_kernels, check_torch, randn

import nnkern
from nnkern import Tensor, _cpu, gradcheck, gradgradcheck, nn
from nnkern.backends import reference

# size of x, kernel_size, stride, padding (low, high per axis), dilation, ceil_mode
CASES = [
    ((2, 3, 8, 9), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False),
    ((2, 3, 33, 41), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), False),
    ((2, 5, 14, 70), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False),
    ((2, 3, 9, 10), (3, 2), (2, 1), (1, 0, 0, 1), (1, 2), True),  # nothing is symmetric
    ((1, 2, 11, 40), (5, 3), (3, 3), (2, 2, 1, 1), (1, 1), True),  # a stride without a fast path
    ((2, 3, 9, 27), (3, 3), (2, 2), (0, 0, 0, 0), (1, 1), False),  # a row of results in one register
    ((2, 2, 7, 15), (2, 2), (1, 1), (1, 0, 1, 0), (1, 1), False),
    ((2, 2, 7, 150), (2, 3), (2, 2), (1, 0, 0, 1), (1, 1), True),  # in several
    ((2, 2, 6, 101), (3, 2), (2, 1), (1, 1, 0, 1), (1, 1), False),
    ((1, 2, 3, 700), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False),  # in too many
    ((2, 3, 12, 37), (2, 3), (1, 2), (0, 1, 2, 2), (2, 2), False),  # taps that skip elements
    ((1, 2, 9, 9), (2, 2), (4, 4), (0, 0, 0, 0), (1, 1), False),  # elements that no window sees
    ((1, 3, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), False),
    ((1, 2, 40, 40), (17, 16), (5, 2), (8, 8, 8, 8), (1, 1), False),  # more than 256 taps: int32 winners
    ((2, 17, 64), (3,), (2,), (1, 0), (1,), True),
    ((1, 2, 4, 530), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False),  # rows longer than what is made at a time
    ((1, 2, 1060), (4,), (2,), (1, 2), (2,), False),
    ((1, 2, 23, 20), (9, 2), (1, 2), (4, 4, 1, 0), (1, 1), False),  # fewer rows in scratch than in a window
    ((2, 18, 5, 6, 33), (2, 3, 2), (1, 2, 2), (1, 0, 1, 1, 0, 1), (1, 1, 1), True),
    ((3, 4, 9, 28), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False),  # two registers of floats, several planes
    ((2, 3, 6, 16), (3, 2), (1, 1), (0, 0, 1, 1), (1, 1), False),  # more results than elements
    ((2, 3, 8, 33), (3, 3), (2, 2), (0, 0, 1, 1), (1, 1), False),  # a window across three registers
    ((2, 2, 9, 64), (4, 3), (1, 2), (1, 2, 0, 0), (1, 1), False),
    ((2, 2, 4, 64), (2, 3), (1, 1), (0, 1, 1, 1), (1, 1), False),
    ((2, 3, 2), (3,), (2,), (0, 0), (1,), True),  # ceil_mode: the kernel is larger than the image
    ((0, 3, 8, 8), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False),  # no images
    # adaptive: kernel_size is the size of the result
    ((2, 3, 7, 7), (1, 1), (), (), (), False),
    ((2, 3, 7, 10), (3, 4), (), (), (), False),
    ((2, 3, 12, 32), (4, 16), (), (), (), False),  # divisible
    ((1, 2, 5, 6, 7), (6, 4, 7), (), (), (), False),  # more results than elements
]


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


LAYOUTS = {"first": np.asarray, "last": channels_last, "strided": lambda a: a.repeat(2, -1)[..., ::-2]}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels_equal_the_reference(case, layout):
    shape, kernel, stride, padding, dilation, ceil_mode = case
    x, options = LAYOUTS[layout](randn(*shape)), (kernel, stride, padding, dilation)
    ties = np.round(x)
    for image in (x, ties):
        for index in range(3):
            check_kernels("max_pool_forward", image, *options, ceil_mode, False, False, index, kind="exact")
        check_kernels("max_pool_forward", image, *options, ceil_mode, True, False, 1, kind="exact")
    y, winner = reference.max_pool_forward(x, *options, ceil_mode, False, False, 1)
    gy, n = LAYOUTS[layout](randn(*y.shape, seed=1)), int(np.prod(kernel))
    if layout == "last":
        winner = channels_last(winner)
    check_kernels("max_pool_backward", gy, winner, shape[2:], *options, n=n)
    for include, divisor in ((True, 0), (False, 0), (False, 3)):
        check_kernels("avg_pool_forward", x, *options, ceil_mode, include, divisor, n=n)
        check_kernels("avg_pool_backward", gy, shape[2:], *options, include, divisor, n=n)


def torch_case(case):
    """A case as the public functions take it."""
    shape, kernel, stride, padding, dilation, ceil_mode = case
    n = len(shape) - 2
    pads = tuple((padding[2 * i], padding[2 * i + 1]) for i in range(n))
    return n, kernel, stride, pads, dilation, ceil_mode


SLIDING = [c for c in CASES if c[2] and c[0][0]]


@pytest.mark.parametrize("case", SLIDING, ids=str)
def test_max_pool_equals_torch(case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    n, kernel, stride, pads, dilation, ceil_mode = torch_case(case)
    ours, theirs = getattr(nnkern, f"max_pool{n}d"), getattr(torch.nn.functional, f"max_pool{n}d")
    low = [p[0] for p in pads]
    if any(a != b for a, b in pads):
        if ceil_mode:
            pytest.skip("PyTorch has no asymmetric padding, and padding it in beforehand changes ceil_mode")
        flat = [p for pair in reversed(pads) for p in pair]

        def torchs(x):
            return theirs(torch.nn.functional.pad(x, flat, value=-np.inf), kernel, stride, 0, dilation)
    else:

        def torchs(x):
            return theirs(x, kernel, stride, low, dilation, ceil_mode)

        x = np.round(randn(*case[0]))
        y, index = ours(x, kernel, stride, low, dilation, ceil_mode, True)
        ty, tindex = theirs(torch.tensor(x), kernel, stride, low, dilation, ceil_mode, True)
        np.testing.assert_array_equal(y, ty)
        np.testing.assert_array_equal(index, tindex)  # of equal elements the first
    check_torch(lambda x: ours(x, kernel, stride, pads, dilation, ceil_mode), torchs, randn(*case[0]), n=9)
    lowest = getattr(nnkern, f"min_pool{n}d")
    check_torch(
        lambda x: lowest(x, kernel, stride, pads, dilation, ceil_mode),
        lambda x: -torchs(-x),
        randn(*case[0]),
        n=9,
    )


@pytest.mark.parametrize("case", [c for c in SLIDING if set(c[4]) == {1}], ids=str)
@pytest.mark.parametrize("include", [True, False])
def test_avg_pool_equals_torch(case, include):
    n, kernel, stride, pads, _, ceil_mode = torch_case(case)
    low = [p[0] for p in pads]  # PyTorch's padding is symmetric
    for divisor in (None, 5) if n > 1 else (None,):
        extra = () if divisor is None else (divisor,)
        check_function(
            f"avg_pool{n}d", randn(*case[0]), kernel, stride, low, ceil_mode, include, *extra, n=64
        )


def test_asymmetric_average_counts_its_padding():
    x = np.ones((1, 1, 4))
    assert nnkern.avg_pool1d(x, 2, 2, ((1, 0),)).tolist() == [[[0.5, 1.0]]]
    assert nnkern.avg_pool1d(x, 2, 2, ((1, 0),), count_include_pad=False).tolist() == [[[1.0, 1.0]]]
    assert nnkern.avg_pool1d(np.arange(5.0)[None], 2, 1, dilation=3).tolist() == [[1.5, 2.5]]
    assert nnkern.max_pool2d(np.ones((1, 1, 7, 7)), 3, 2, "same").shape == (1, 1, 4, 4)


def check_function(name, x, *options, **how):
    """nnkern's function of this name equals torch.nn.functional's."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    ours, theirs = getattr(nnkern, name), getattr(torch.nn.functional, name)
    check_torch(lambda x: ours(x, *options), lambda x: theirs(x, *options), x, **how)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_adaptive_and_lp_equal_torch(n):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    x = randn(2, 3, *(11, 6, 7)[:n])
    for size in (1, 2, 4, 6, (3, 5, 7)[:n], *(((None, 3), (5, None)) if n == 2 else ())):
        check_function(f"adaptive_avg_pool{n}d", x, size, n=64)
        check_function(f"adaptive_max_pool{n}d", x, size, n=64)
        _, index = getattr(nnkern, f"adaptive_max_pool{n}d")(x, size, True)
        _, theirs = getattr(torch.nn.functional, f"adaptive_max_pool{n}d")(torch.tensor(x), size, True)
        np.testing.assert_array_equal(index, theirs)
    for p, options in ((2, (2,)), (3.0, (3, 2, True)), (1, (2, 1))):
        check_function(f"lp_pool{n}d", np.abs(x) + 0.5, p, *options, kind="chain", n=27)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_lp_pool_of_zeros_and_infinite_norms(n):
    x = np.round(randn(2, 3, *(12, 6, 4)[:n]))
    x[:, 0] = 0
    for p in (1, 2, np.inf, -np.inf):
        check_function(f"lp_pool{n}d", x, p, 2, kind="chain", n=8)
    with pytest.raises(ValueError, match=f"lp_pool{n}d: norm_type must not be 0"):
        getattr(nnkern, f"lp_pool{n}d")(x, 0, 2)


def test_sizes_are_whole_numbers_of_any_kind():
    x, two = randn(1, 2, 6, 6), np.int64(2)
    np.testing.assert_array_equal(nnkern.max_pool2d(x, two), nnkern.max_pool2d(x, 2))
    np.testing.assert_array_equal(nnkern.avg_pool2d(x, (two, 3), [two, two]), nnkern.avg_pool2d(x, (2, 3), 2))
    np.testing.assert_array_equal(nn.AdaptiveAvgPool2d(two)(Tensor(x)).data, nnkern.adaptive_avg_pool2d(x, 2))
    assert repr(nn.AvgPool1d(two, padding=np.int64(1))) == repr(nn.AvgPool1d(2, padding=1))
    assert repr(nn.MaxUnpool2d(two)) == repr(nn.MaxUnpool2d(2))
    for f, wrong in ((nnkern.max_pool2d, (2.9, 2.9)), (nnkern.avg_pool2d, 2.5), (nnkern.adaptive_avg_pool2d, (2.7, 2.7)),
                     (nnkern.adaptive_max_pool2d, 2.7)):  # fmt: skip
        with pytest.raises(TypeError, match=f"{f.__name__}: .*_size must be an int or 2 of them"):
            f(x, wrong)
    for f in (nnkern.max_pool2d, nnkern.adaptive_avg_pool2d):
        with pytest.raises(ValueError, match=f"{f.__name__}: .*_size must not be beyond 2\\^31"):
            f(x, 2**40)


def test_an_empty_stride_is_the_default():
    x = randn(1, 2, 6, 6)
    for f in (nnkern.max_pool2d, nnkern.avg_pool2d, lambda x, *a: nnkern.lp_pool2d(x, 2, *a)):
        for nothing in ([], ()):
            np.testing.assert_array_equal(f(x, 2, nothing), f(x, 2))


def test_adaptive_avg_pool_without_channels():
    for n in (1, 2, 3):
        x = Tensor(randn(1, 0, *(4, 5, 6)[:n]), requires_grad=True)
        y = getattr(nnkern, f"adaptive_avg_pool{n}d")(x, 2)
        assert y.shape == (1, 0, *(2, 2, 2)[:n])
        y.sum().backward()
        assert x.grad.shape == x.shape


def test_global_pools():
    for x in (randn(2, 5, 7, 6), channels_last(randn(2, 5, 7, 6)), randn(2, 3, 4, 5, 6), randn(3, 2, 300)):
        axes = tuple(range(2, x.ndim))
        assert_close(nnkern.global_avg_pool(x), x.mean(axes, keepdims=True), n=x[0, 0].size)
        np.testing.assert_array_equal(nnkern.global_max_pool(x), x.max(axes, keepdims=True))
    check_gradient(nnkern.global_max_pool, randn(2, 3, 4, 5))
    check_gradient(nnkern.global_avg_pool, randn(2, 3, 4, 5))


def test_the_result_has_the_layout_of_the_input():
    x = channels_last(randn(2, 8, 6, 6))
    for f in (nnkern.max_pool2d, nnkern.avg_pool2d, nnkern.min_pool2d):
        assert f(randn(2, 8, 6, 6), 2).flags.c_contiguous
        y = f(x, 2)
        assert y.strides[1] == y.itemsize and np.moveaxis(y, 1, -1).flags.c_contiguous
    t = Tensor(x, requires_grad=True)
    y = nnkern.max_pool2d(t, 3, 2, 1)
    y.backward(np.ones(y.shape, np.float32))
    assert t.grad.data.strides[1] == x.itemsize


def test_unbatched():
    x = randn(3, 9, 8)
    for f in (nnkern.max_pool2d, nnkern.avg_pool2d, nnkern.min_pool2d):
        np.testing.assert_array_equal(f(x, 3, 2, 1), f(x[None], 3, 2, 1)[0])
    y, index = nnkern.max_pool2d(x, 2, return_indices=True)
    assert y.shape == index.shape == (3, 4, 4)
    assert nnkern.adaptive_avg_pool2d(x, 1).shape == (3, 1, 1)


@pytest.mark.parametrize("size", [*range(1, 36), 63, 64, 65])
def test_nan_is_the_same_in_every_lane(size):
    x = randn(1, 2, 3, size)
    x[0, 0, 1, size // 2] = np.nan
    x[0, 1, :, -1] = np.nan
    x[0, 1, 0, 0], x[0, 1, 2, 0] = np.inf, -np.inf
    for options in (
        ((1, 2), (1, 1), (0, 0, 1, 1)),
        ((3, 3), (2, 2), (1, 1, 1, 1)),
        ((3, 3), (2, 2), (0,) * 4),
        ((2, 2), (2, 2), (0,) * 4),
        ((2, 1), (1, 1), (0,) * 4),
    ):
        for image in (x, channels_last(x), np.ascontiguousarray(x.transpose(0, 3, 2, 1))):
            for ignore in (False, True):
                for index in range(3):
                    arguments = (*options, (1, 1), False, False, ignore, index)
                    if all(m >= k - any(options[2]) for m, k in zip(image.shape[2:], options[0])):
                        check_kernels("max_pool_forward", image, *arguments, kind="exact")
    infinite = np.full((1, 1, 4, 5), -np.inf, np.float32)
    for stride in (1, 2):
        for ignore in (False, True):
            check_kernels(
                "max_pool_forward",
                infinite,
                (2, 2),
                (stride, stride),
                (0,) * 4,
                (1, 1),
                False,
                False,
                ignore,
                2,
                kind="exact",
            )


def test_nan_policy():
    x = np.array([[1.0, np.nan, 3.0, 2.0, np.nan, np.nan]])
    np.testing.assert_array_equal(nnkern.max_pool1d(x, 2), [[np.nan, 3, np.nan]])
    np.testing.assert_array_equal(nnkern.max_pool1d(x, 2, nan="ignore"), [[1, 3, np.nan]])
    np.testing.assert_array_equal(nnkern.min_pool1d(x, 2, nan="ignore"), [[1, 2, np.nan]])
    with pytest.raises(ValueError, match="nan 'skip' is not one of"):
        nnkern.max_pool1d(x, 2, nan="skip")


def distinct(*shape):
    """No two elements are nearer than 0.1: differences of finite size see the same winners."""
    n = int(np.prod(shape))
    return (np.random.default_rng(3).permutation(n) * 0.1).reshape(shape)


@pytest.mark.parametrize("layout", ["first", "last"])
def test_gradients_and_their_gradients(layout):
    turn = LAYOUTS[layout]
    for f, shape in (
        (lambda x: nnkern.max_pool2d(x, 3, 2, 1), (2, 3, 7, 6)),
        (lambda x: nnkern.max_pool2d(x, 2, return_indices=True)[0], (1, 2, 6, 4)),
        (lambda x: nnkern.min_pool1d(x, 3, 1), (2, 2, 7)),
        (lambda x: nnkern.avg_pool2d(x, 3, 2, 1, True, False), (2, 3, 6, 6)),
        (lambda x: nnkern.avg_pool3d(x, 2, 1, 1), (1, 2, 3, 4, 3)),
        (lambda x: nnkern.max_pool2d(x, 3, 2, ceil_mode=True), (1, 2, 2, 4)),
        (lambda x: nnkern.adaptive_max_pool2d(x, (2, 3)), (1, 2, 5, 4)),
        (lambda x: nnkern.adaptive_avg_pool2d(x, (2, 3)), (1, 2, 5, 4)),
        (lambda x: nnkern.lp_pool2d(x, 3, 2), (1, 2, 4, 4)),
    ):  # fmt: skip
        x = Tensor(turn(distinct(*shape) + 1), requires_grad=True)
        assert gradcheck(f, (x,))
        assert gradgradcheck(f, (x,))


def test_bits_do_not_depend_on_threads():
    before = _cpu.num_threads()
    for x in (randn(3, 40, 57, 61), channels_last(randn(3, 40, 57, 61))):
        found = []
        try:
            for threads in (1, 2, 3):
                _cpu.set_num_threads(threads)
                t = Tensor(x, requires_grad=True)
                y = nnkern.max_pool2d(t, 3, 2, 1) + nnkern.avg_pool2d(t, 3, 2, 1)
                y.backward(y.data)
                found.append((y.data.tobytes(), t.grad.data.tobytes()))
        finally:
            _cpu.set_num_threads(before)
        assert found[0] == found[1] == found[2]


def test_inputs_may_be_read_only_and_broadcast():
    x = randn(1, 1, 6, 6)
    x.flags.writeable = False
    np.testing.assert_array_equal(nnkern.max_pool2d(x, 2), nnkern.max_pool2d(x.copy(), 2))
    wide = np.broadcast_to(x, (2, 3, 6, 6))
    np.testing.assert_array_equal(nnkern.avg_pool2d(wide, 2), nnkern.avg_pool2d(wide.copy(), 2))
    flipped = randn(2, 3, 6, 6)[:, ::-1, ::-1, ::-1]
    np.testing.assert_array_equal(nnkern.max_pool2d(flipped, 2), nnkern.max_pool2d(flipped.copy(), 2))


def test_messages():
    x = randn(2, 3, 8, 8)
    with pytest.raises(
        ValueError, match=r"max_pool2d: padding must lie between 0 and half .* \(3\), not be 2"
    ):
        nnkern.max_pool2d(x, 3, padding=2)
    with pytest.raises(
        ValueError, match=r"reaches over 9 elements but the padded axis has 8 \(input.shape=\(2, 3, 8, 8\)"
    ):
        nnkern.avg_pool2d(x, 9)
    with pytest.raises(ValueError, match="must be positive"):
        nnkern.max_pool2d(x, 2, 0)
    with pytest.raises(ValueError, match="kernel_size must be an int or 2 of them"):
        nnkern.max_pool2d(x, (2, 2, 2))
    with pytest.raises(ValueError, match="no axis but the batch may be empty"):
        nnkern.max_pool2d(np.ones((2, 0, 8, 8)), 2)
    with pytest.raises(ValueError, match=r"input must have 4 axes \(or 3, without the batch\)"):
        nnkern.max_pool2d(np.ones((8, 8)), 2)
    with pytest.raises(ValueError, match="divisor_override must not be 0"):
        nnkern.avg_pool2d(x, 2, divisor_override=0)
    with pytest.raises(ValueError, match="output_size must be a positive int or 2 of them"):
        nnkern.adaptive_avg_pool2d(x, (1, 2, 3))
    with pytest.raises(TypeError, match="max_pool2d"):
        nnkern.max_pool2d(x.astype(np.int64), 2)
    with pytest.raises(TypeError, match="max_pool2d: input must not be None"):
        nnkern.max_pool2d(None, 2)
    with pytest.raises(ValueError, match="gy has 5 elements along an axis that pools to 4"):
        _cpu.max_pool_backward(
            randn(2, 3, 5, 4), np.zeros((2, 3, 5, 4), np.uint8), (8, 8), (2, 2), (2, 2), (0,) * 4, (1, 1)
        )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_any_options_equal_the_reference(data):
    n = data.draw(st.integers(1, 3))
    size = [data.draw(st.integers(1, 40 if i == n - 1 else 8)) for i in range(n)]
    kernel, stride, dilation, padding = [], [], [], []
    for m in size:
        k, d = data.draw(st.integers(1, min(m, 5))), data.draw(st.integers(1, 2))
        d = d if d * (k - 1) < m else 1
        reach = d * (k - 1) + 1
        kernel.append(k), dilation.append(d), stride.append(data.draw(st.integers(1, 4)))
        padding += [data.draw(st.integers(0, reach // 2)) for _ in range(2)] if d == 1 else [0, 0]
    channels = data.draw(st.integers(1, 20))
    turn = LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))]
    x = turn(np.round(randn(2, channels, *size)))
    options = (tuple(kernel), tuple(stride), tuple(padding), tuple(dilation), data.draw(st.booleans()))
    smallest, ignore, index = data.draw(st.booleans()), data.draw(st.booleans()), data.draw(st.integers(0, 2))
    check_kernels("max_pool_forward", x, *options, smallest, ignore, index, kind="exact")
    check_kernels("avg_pool_forward", x, *options, data.draw(st.booleans()), 0, n=125)


def test_layers_are_torchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    for name, args, x in (
        ("MaxPool1d", (3, 2, 1), randn(2, 4, 9)),
        ("MaxPool2d", ((3, 2), 2, 1), randn(2, 4, 9, 7)),
        ("MaxPool3d", (2,), randn(2, 4, 5, 6, 7)),
        ("AvgPool1d", (3, 2, 1), randn(2, 4, 9)),
        ("AvgPool2d", (3, 2, 1, True, False), randn(2, 4, 9, 7)),
        ("AvgPool3d", (2,), randn(2, 4, 5, 6, 7)),
        ("LPPool1d", (2, 3), randn(2, 4, 9)),
        ("LPPool2d", (2, 2, 1), randn(2, 4, 9, 7)),
        ("LPPool3d", (2, 2), randn(2, 4, 5, 6, 7)),
        ("AdaptiveMaxPool1d", (5,), randn(2, 4, 9)),
        ("AdaptiveMaxPool2d", ((5, 3),), randn(2, 4, 9, 7)),
        ("AdaptiveMaxPool3d", (2,), randn(2, 4, 5, 6, 7)),
        ("AdaptiveAvgPool1d", (5,), randn(2, 4, 9)),
        ("AdaptiveAvgPool2d", ((5, None),), randn(2, 4, 9, 7)),
        ("AdaptiveAvgPool3d", (1,), randn(2, 4, 5, 6, 7)),
    ):
        ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
        assert repr(ours) == repr(theirs)
        assert_close(ours(Tensor(x)).data, theirs(torch.tensor(x)).numpy(), n=100)
