"""Convolution in all directions: every option crossed with PyTorch's, both layouts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import assert_close, check_kernels, check_torch, each_isa, randn

import nnkern
from nnkern import Tensor, _cpu, gradcheck, gradgradcheck, nn

# x, w, stride, padding (low, high per axis), dilation, groups
CASES = [
    ((2, 3, 8, 9), (5, 3, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((2, 4, 8, 9), (6, 2, 3, 2), (2, 1), (1, 0, 2, 1), (1, 2), 2),  # nothing is symmetric
    ((3, 16, 14, 14), (32, 16, 3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 1),
    ((2, 8, 7, 7), (20, 8, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((2, 8, 7, 7), (20, 8, 1, 1), (2, 2), (0, 0, 0, 0), (1, 1), 1),  # most of the input has no gradient
    ((1, 3, 30, 31), (8, 3, 7, 7), (2, 2), (3, 3, 3, 3), (1, 1), 1),
    ((2, 6, 9, 9), (12, 1, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 6),  # depthwise, two filters each
    ((2, 5, 31, 33), (20, 5, 3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 1),  # whole tiles of pixels two apart
    ((1, 40, 19, 23), (50, 40, 5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 1),
    ((2, 4, 12, 12), (5, 4, 3, 3), (3, 3), (2, 2, 2, 2), (2, 2), 1),
    ((2, 3, 5, 5), (4, 3, 3, 3), (4, 4), (1, 1, 1, 1), (1, 1), 1),  # stride beyond the filter
    ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((1, 2, 1, 1), (3, 2, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),  # the filter is larger than the image
    ((2, 300, 5, 5), (20, 300, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),  # several depth blocks
    ((5, 33, 13, 13), (35, 33, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((2, 4, 20), (6, 2, 5), (2,), (2, 1), (2,), 2),
    ((2, 4, 5, 6, 7), (6, 2, 2, 3, 3), (1, 2, 1), (1, 0, 1, 1, 0, 2), (1, 1, 2), 2),
    ((0, 3, 8, 8), (4, 3, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),  # no images
    ((5, 300, 7, 7), (40, 300, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),  # tiles across images, deep
    ((2, 12, 7, 7), (9, 4, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 3),
    ((4, 20, 24, 24), (30, 20, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),  # weights' sums in slices
]
MODES = ("zeros", "reflect", "replicate", "circular")


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def depth(case):
    return int(np.prod(case[1][1:]))


def result_size(case):
    x, w, stride, padding, dilation, _ = case
    return tuple(
        (x[2 + i] + padding[2 * i] + padding[2 * i + 1] - dilation[i] * (w[2 + i] - 1) - 1) // stride[i] + 1
        for i in range(len(stride))
    )


def fits(case, mode):
    size = case[0][2:]
    return mode == 0 or all(max(case[3][2 * i : 2 * i + 2]) < n for i, n in enumerate(size))


@pytest.mark.parametrize("layout", ["first", "last", "strided"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels_equal_the_reference(case, layout):
    x_shape, w_shape, *_ = case
    turn = {"first": np.asarray, "last": channels_last, "strided": lambda a: a.repeat(2, -1)[..., ::-2]}[
        layout
    ]
    x, w, b = turn(randn(*x_shape)), randn(*w_shape, seed=1), randn(w_shape[0], seed=2)
    gy = turn(randn(x_shape[0], w_shape[0], *result_size(case), seed=3))
    for mode in range(4) if layout == "first" or len(x_shape) == 4 else (0,):
        if not fits(case, mode):
            continue
        options = (*case[2:], mode)
        check_kernels("conv_forward", x, w, b, None, *options, 0, 0, n=depth(case))
        check_kernels("conv_input_grad", gy, w, None, x_shape[2:], *options, 0, n=depth(case) * w_shape[0])
        check_kernels(
            "conv_weight_grad", gy, x, w_shape[2:], *options, 0, n=gy.size // max(1, gy.shape[1]) + 1
        )


def bordered(x):
    """The same numbers between NaN."""
    wide = np.full((*x.shape[:2], x.shape[2] + 2, x.shape[3] + 4), np.nan, x.dtype)
    wide[..., 1:-1, 2:-2] = x
    return wide[..., 1:-1, 2:-2]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "size",
    [(1, 1), (2, 3), (5, 7), (3, 8), (4, 15), (6, 16), (5, 17), (4, 18), (7, 31), (3, 33), (2, 40), (133, 5)],
)
def test_depthwise_planes_equal_the_reference(size, stride):
    """3 x 3 filters read rows in place; nothing comes from where no window goes, nor from between the rows."""
    for pads in ((1, 1, 1, 1), (0, 1, 2, 0), (3, 0, 0, 3), (0, 0, 0, 0)):
        padded = [n + pads[2 * i] + pads[2 * i + 1] for i, n in enumerate(size)]
        if min(padded) < 3:
            continue
        out = tuple((n - 3) // stride + 1 for n in padded)
        for filters in (3, 6):
            options = ((stride, stride), pads, (1, 1), 3, 0)
            x, gy, w = randn(2, 3, *size), randn(2, filters, *out, seed=1), randn(filters, 1, 3, 3, seed=2)
            x[:, :, (out[0] - 1) * stride - pads[0] + 3 :] = np.nan
            x[..., (out[1] - 1) * stride - pads[2] + 3 :] = np.nan
            for name, n, a in (
                ("conv_forward", 9, (x, w, randn(filters, seed=3), None, *options, 1, 4)),
                ("conv_input_grad", 18, (gy, w, randn(3), size, *options, 4)),
                ("conv_weight_grad", 2 * out[0] * out[1], (gy, x, (3, 3), *options, 4)),
            ):
                check_kernels(name, *a, n=n)
                between = [bordered(v) if v is x or v is gy else v for v in a]
                for _ in each_isa():
                    np.testing.assert_array_equal(getattr(_cpu, name)(*between), getattr(_cpu, name)(*a))


@pytest.mark.parametrize("activation", range(7))
def test_bias_residual_and_activation_are_fused(activation):
    x, w, b = randn(2, 9, 7, 7), randn(18, 9, 3, 3, seed=1), randn(18, seed=2)
    residual = randn(2, 18, 7, 7, seed=3)
    options = ((1, 1), (1, 1, 1, 1), (1, 1), 1, 0, activation, 0)
    for turn in (np.asarray, channels_last):
        for r in (None, residual, channels_last(residual)):
            check_kernels("conv_forward", turn(x), w, b, r, *options, kind="chain", n=81)


def test_the_result_has_the_layout_of_the_input():
    x, w = randn(2, 8, 6, 6), randn(4, 8, 3, 3)
    assert nnkern.conv2d(x, w).flags.c_contiguous
    y = nnkern.conv2d(channels_last(x), w)
    assert y.strides[1] == y.itemsize and np.moveaxis(y, 1, -1).flags.c_contiguous


@pytest.mark.parametrize("case", CASES[:10] + CASES[15:17], ids=str)
def test_integers_are_exact(case):
    g = np.random.default_rng(1)
    x = g.integers(-3, 4, case[0]).astype(np.float32)
    w = g.integers(-3, 4, case[1]).astype(np.float32)
    gy = g.integers(-3, 4, (case[0][0], case[1][0], *result_size(case))).astype(np.float32)
    check_kernels("conv_forward", x, w, None, None, *case[2:], 0, 0, 1, kind="exact")
    check_kernels("conv_input_grad", gy, w, None, case[0][2:], *case[2:], 0, 1, kind="exact")
    check_kernels("conv_weight_grad", gy, x, case[1][2:], *case[2:], 0, 1, kind="exact")


@pytest.mark.parametrize("case", [c for c in CASES if c[0][0]], ids=str)
def test_equals_torch(case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    x_shape, w_shape, stride, padding, dilation, groups = case
    n = len(stride)
    pads = tuple((padding[2 * i], padding[2 * i + 1]) for i in range(n))
    flat = [p for pair in reversed(pads) for p in pair]
    ours, theirs = getattr(nnkern, f"conv{n}d"), getattr(torch.nn.functional, f"conv{n}d")
    check_torch(
        lambda x, w, b: ours(x, w, b, stride, pads, dilation, groups),
        lambda x, w, b: theirs(torch.nn.functional.pad(x, flat), w, b, stride, 0, dilation, groups),
        randn(*x_shape), randn(*w_shape, seed=1), randn(w_shape[0], seed=2),
        n=max(depth(case) * w_shape[0], int(np.prod(result_size(case))) * x_shape[0]),
    )  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_cross_of_options_equals_torch(data):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    draw = lambda *a: data.draw(st.integers(*a))  # noqa: E731
    n, groups = draw(1, 3), draw(1, 3)
    x = randn(draw(1, 3), groups * draw(1, 5), *(draw(1, 9) for _ in range(n)))
    w = randn(groups * draw(1, 5), x.shape[1] // groups, *(draw(1, 4) for _ in range(n)), seed=1)
    stride, dilation = [draw(1, 4) for _ in range(n)], [draw(1, 3) for _ in range(n)]
    padding = [draw(0, 4) for _ in range(n)]
    if any(m + 2 * p < d * (k - 1) + 1 for m, p, d, k in zip(x.shape[2:], padding, dilation, w.shape[2:])):
        with pytest.raises(ValueError, match="reaches over"):
            getattr(nnkern, f"conv{n}d")(x, w, None, stride, padding, dilation, groups)
        return
    ours, theirs = getattr(nnkern, f"conv{n}d"), getattr(torch.nn.functional, f"conv{n}d")
    check_torch(
        lambda x, w: ours(x, w, None, stride, padding, dilation, groups),
        lambda x, w: theirs(x, w, None, stride, padding, dilation, groups),
        x, w, n=100 * (x.size + w.size),  # few terms may cancel: the result's scale is then not theirs
    )  # fmt: skip


@pytest.mark.parametrize("mode", MODES[1:])
def test_padding_modes_equal_torch(mode):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    names = {"reflect": "reflect", "replicate": "replicate", "circular": "circular"}

    def theirs(x, w):
        return torch.nn.functional.conv2d(torch.nn.functional.pad(x, (2, 2, 1, 1), mode=names[mode]), w)

    for turn in (np.asarray, channels_last):
        check_torch(
            lambda x, w: nnkern.conv2d(x, w, padding=(1, 2), padding_mode=mode),
            theirs,
            turn(randn(2, 3, 6, 7)),
            randn(4, 3, 3, 3, seed=1),
            n=200,
        )


def test_named_paddings():
    x, w = randn(1, 2, 11), randn(3, 2, 4)
    full = np.stack([sum(np.convolve(x[0, c], k[c, ::-1]) for c in range(2)) for k in w])
    assert_close(nnkern.conv1d(x, w, padding="full")[0], full, n=8)
    assert_close(nnkern.conv1d(x, w, padding="valid")[0], full[:, 3:-3], n=8)
    assert_close(nnkern.conv1d(x, w, padding="causal")[0], full[:, :-3], n=8)
    assert_close(nnkern.conv1d(x, w, padding="same")[0], full[:, 2:-1], n=8)
    assert_close(nnkern.conv1d(x, w, padding="same_lower")[0], full[:, 1:-2], n=8)
    for stride in (1, 2, 3, 4):
        assert nnkern.conv1d(x, w, stride=stride, padding="same").shape == (1, 3, -(-11 // stride))
    with pytest.raises(
        ValueError, match="conv2d: padding 'causal' is not one of valid, same, same_lower, full"
    ):
        nnkern.conv2d(randn(1, 2, 5, 5), randn(2, 2, 3, 3), padding="causal")


@pytest.mark.parametrize("n", [1, 2, 3])
def test_transposed_equals_torch(n):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    ours, theirs = getattr(nnkern, f"conv_transpose{n}d"), getattr(torch.nn.functional, f"conv_transpose{n}d")
    x, w, b = randn(2, 4, *(3, 5, 4)[:n]), randn(4, 3, *(3, 4, 2)[:n], seed=1), randn(6, seed=2)
    for args in ((1, 0, 0, 2, 1), (2, 1, 1, 2, 1), (3, 1, 2, 2, 2), (1, 0, 1, 2, 2), (2, 0, 2, 2, 3)):
        check_torch(lambda *a, o=args: ours(*a, *o), lambda *a, o=args: theirs(*a, *o), x, w, b, n=200)
    padding = [0, 1, 0][:n]
    size = [
        2 * m - 2 * p + k - 1 for m, p, k in zip(x.shape[2:], padding, w.shape[2:])
    ]  # one more than the least
    y = ours(x, w, stride=2, output_size=size, padding=padding)
    layer = getattr(torch.nn, f"ConvTranspose{n}d")(4, 3, w.shape[2:], 2, padding, bias=False)
    layer.weight.data = torch.tensor(w)
    assert_close(y, layer(torch.tensor(x), output_size=size).detach().numpy(), n=100)
    assert ours(x, w, stride=2, padding="same").shape[2:] == tuple(2 * m for m in x.shape[2:])


@pytest.mark.parametrize("pad", [0, 2])
def test_conv_tbc_equals_torch(pad):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    check_torch(
        lambda *a: nnkern.conv_tbc(*a, pad), lambda *a: torch.nn.functional.conv_tbc(*a, pad),
        randn(9, 2, 5), randn(3, 5, 4, seed=1), randn(4, seed=2), n=200,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"conv_tbc: input must be .*input.shape=\(2, 3\)"):
        nnkern.conv_tbc(randn(2, 3), randn(3, 5, 4), None)


def test_unbatched_and_other_arrays():
    x, w = randn(3, 8, 8), randn(4, 3, 3, 3)
    y = nnkern.conv2d(x, w, residual=randn(4, 6, 6))
    assert y.shape == (4, 6, 6)
    np.testing.assert_array_equal(nnkern.conv2d(x, w), nnkern.conv2d(x[None], w)[0])
    assert nnkern.conv_transpose2d(randn(4, 5, 5), w).shape == (3, 7, 7)
    assert nnkern.conv2d_input_grad((3, 8, 8), w, randn(4, 6, 6)).shape == (3, 8, 8)
    assert nnkern.conv2d_weight_grad(x, w.shape, randn(4, 6, 6)).shape == w.shape
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: no torch arrays")
    assert isinstance(nnkern.conv2d(torch.tensor(x), torch.tensor(w)), torch.Tensor)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layout", [np.asarray, channels_last])
def test_first_and_second_derivatives(layout, mode):
    x = Tensor(layout(randn(2, 4, 5, 4).astype(np.float64)), requires_grad=True)
    w = Tensor(randn(6, 2, 3, 2, seed=1).astype(np.float64), requires_grad=True)
    b = Tensor(randn(6, seed=2).astype(np.float64), requires_grad=True)
    r = Tensor(randn(2, 6, 3, 5, seed=3).astype(np.float64), requires_grad=True)
    options = {"stride": (2, 1), "padding": (1, (1, 1)), "groups": 2, "padding_mode": mode}

    def f(x, w, b, r):
        return nnkern.conv2d(x, w, b, **options, residual=r)

    assert gradcheck(f, (x, w, b, r)) and gradgradcheck(f, (x, w, b, r))
    assert gradcheck(lambda *a: nnkern.conv2d(*a, **options, activation="relu"), (x, w, b))
    assert gradcheck(lambda *a: nnkern.conv2d(*a, **options, activation="gelu"), (x, w, b))
    y = Tensor(randn(2, 6, 3, 4, seed=4).astype(np.float64), requires_grad=True)
    t = Tensor(randn(4, seed=5).astype(np.float64), requires_grad=True)

    def turned(y, w, t):
        return nnkern.conv_transpose2d(y, w, t, (2, 1), 1, (1, 0), groups=2)

    assert gradcheck(turned, (y, w, t)) and gradgradcheck(turned, (y, w, t))


X, W = np.ones((1, 2, 6, 6)), np.ones((2, 3, 3, 3))
TRANSPOSED = [
    (
        {"groups": 3},
        r"groups=3 must be positive and divide the 2 channels of input \(input.shape=\(1, 2, 6, 6\)",
    ),
    ({"groups": 0}, "groups=0 must be positive"),
    ({"bias": np.ones(2)}, r"bias must have one number per channel of the result, shape \(3,\)"),
    ({"dilation": 0}, "dilation must be positive"),
    ({"padding": -1}, "padding can't be negative"),
    ({"stride": 2**31}, "the result would have the size"),
    ({"input": X[:, :, :0]}, "no axis but the batch may be empty"),
]


@pytest.mark.parametrize(("options", "text"), TRANSPOSED, ids=[t for _, t in TRANSPOSED])
def test_errors_of_transposed_convolution_are_about_its_own_arguments(options, text):
    with pytest.raises(ValueError, match=f"^conv_transpose2d: {text}"):
        nnkern.conv_transpose2d(**{"input": X, "weight": W, **options})


def test_dtypes_of_transposed_convolution():
    for wrong in ("weight", "bias"):
        given = {"input": X, "weight": W, "bias": np.ones(3)}
        given[wrong] = given[wrong].astype(np.float32)
        with pytest.raises(TypeError, match=f"^conv_transpose2d: input is float64 but {wrong} is float32"):
            nnkern.conv_transpose2d(**given)
    for dtype in (np.int64, np.int8):
        with pytest.raises(
            TypeError, match="^conv_transpose2d: input is int.*; float32 or float64 is needed"
        ):
            nnkern.conv_transpose2d(X.astype(dtype), W.astype(dtype))
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to mix with")
    assert nnkern.conv_transpose2d(X, torch.tensor(W)).dtype == np.float64


def test_sizes_that_do_not_begin_as_the_arrays_do():
    gy, w = np.ones((1, 4, 4, 4)), np.ones((4, 2, 3, 3))
    for size in ((3, 2, 6, 6), (1, 7, 6, 6)):
        with pytest.raises(ValueError, match=r"conv2d_input_grad: input_size .* must begin with \(1, 2\)"):
            nnkern.conv2d_input_grad(size, w, gy)
    with pytest.raises(ValueError, match=r"conv2d_input_grad: input_size \(3, 6, 6\) must begin with \(2,\)"):
        nnkern.conv2d_input_grad((3, 6, 6), w, gy[0])
    assert nnkern.conv2d_input_grad((1, 4, 6, 6), w, gy, groups=2).shape == (1, 4, 6, 6)
    for size in ((9, 2, 3, 3), (4, 9, 3, 3), (4, 1, 3, 3)):
        with pytest.raises(
            ValueError, match="conv2d_weight_grad: weight_size .* must begin with the channels"
        ):
            nnkern.conv2d_weight_grad(X, size, gy)
    assert nnkern.conv2d_weight_grad(X, (4, 1, 3, 3), gy, groups=2).shape == (4, 1, 3, 3)


def test_sizes_are_whole_numbers_of_any_kind():
    one, two = np.int64(1), np.int32(2)
    w = np.ones((4, 2, 3, 3))
    for ours, plain in (
        ({"stride": two}, {"stride": 2}), ({"padding": (one, two)}, {"padding": (1, 2)}), ({"padding": one}, {"padding": 1}),
        ({"padding": ((one, 2), two)}, {"padding": ((1, 2), 2)}), ({"dilation": (two, one)}, {"dilation": (2, 1)}),
    ):  # fmt: skip
        np.testing.assert_array_equal(nnkern.conv2d(X, w, **ours), nnkern.conv2d(X, w, **plain))
    assert repr(nn.Conv2d(3, 4, np.int64(3), padding=(one, one))) == repr(nn.Conv2d(3, 4, 3, padding=1))
    assert repr(nn.ConvTranspose2d(3, 4, two, two, one, one)) == repr(nn.ConvTranspose2d(3, 4, 2, 2, 1, 1))
    for wrong in (
        {"stride": (1.9, 1.9)},
        {"padding": (1.9, 1)},
        {"padding": ((1.9, 1), 1)},
        {"dilation": 1.5},
    ):
        with pytest.raises(TypeError, match=f"conv2d: {next(iter(wrong))} must be"):
            nnkern.conv2d(X, w, **wrong)
    for wrong in ("stride", "padding", "dilation"):
        with pytest.raises(ValueError, match=f"conv2d: {wrong} must not be beyond 2\\^31, got {2**62}"):
            nnkern.conv2d(X, w, **{wrong: 2**62})
    with pytest.raises(ValueError, match="conv2d: stride must be positive"):
        nnkern.conv2d(X, w, stride=0, padding="same")


def test_layers_refuse_unknown_padding():
    with pytest.raises(ValueError, match="Conv2d: padding_mode 'foo' is not one of 'zeros'"):
        nn.Conv2d(3, 4, 3, padding_mode="foo")
    with pytest.raises(ValueError, match="Conv2d: padding 'causal' is not one of valid"):
        nn.Conv2d(3, 4, 3, padding="causal")
    assert nn.Conv1d(3, 4, 3, padding="causal").padding == "causal"


def test_errors():
    x, w = randn(2, 3, 8, 8), randn(16, 4, 3, 3)
    with pytest.raises(
        ValueError, match=r"conv2d: input has 3 channels but weight takes 4 .*\(2, 3, 8, 8\).*\(16, 4, 3, 3\)"
    ):
        nnkern.conv2d(x, w)
    with pytest.raises(ValueError, match="conv2d: groups=2 must divide"):
        nnkern.conv2d(x, randn(4, 3, 3, 3), groups=2)
    with pytest.raises(ValueError, match="reaches over 9 elements but the padded axis has 8"):
        nnkern.conv2d(x, randn(4, 3, 3, 9))
    with pytest.raises(ValueError, match=r"conv2d: input must have 4 axes \(or 3"):
        nnkern.conv2d(x[0, 0], w)
    with pytest.raises(
        ValueError, match=r"bias must have one number per channel of the result, shape \(5,\)"
    ):
        nnkern.conv2d(x, randn(5, 3, 3, 3), randn(4))
    with pytest.raises(ValueError, match="residual must have the shape of the result"):
        nnkern.conv2d(x, randn(5, 3, 3, 3), residual=x)
    with pytest.raises(TypeError, match="conv2d: input is float32 but weight is float64"):
        nnkern.conv2d(x, w[:, :3].astype(np.float64))
    with pytest.raises(TypeError, match="conv2d"):
        nnkern.conv2d(None, w)
    for bad in ({"stride": 0}, {"dilation": 0}, {"padding": -1}, {"stride": (1, 2, 3)}, {"padding_mode": "mirror"},
                {"activation": "tan"}, {"algorithm": "magic"}, {"padding": ((1, 2, 3), 1)}, {"groups": 0},
                {"padding": 9, "padding_mode": "reflect"}, {"dilation": 2**62}, {"padding": 2**62}):  # fmt: skip
        with pytest.raises(ValueError, match="conv2d"):
            nnkern.conv2d(x, w[:, :3], **bad)
    with pytest.raises(ValueError, match="conv_transpose2d: input has 3 channels but weight takes 16"):
        nnkern.conv_transpose2d(x, w)
    with pytest.raises(ValueError, match="conv_transpose2d: stride must be positive"):
        nnkern.conv_transpose2d(x, randn(3, 4, 3, 3), stride=(1, 0))
    with pytest.raises(ValueError, match="output_padding"):
        nnkern.conv_transpose2d(x, randn(3, 4, 3, 3), output_padding=1)
    with pytest.raises(ValueError, match=r"output_size \(30, 30\) must lie between"):
        nnkern.conv_transpose2d(x, randn(3, 4, 3, 3), output_size=(30, 30))


IMAGES, FILTERS = randn(2, 3, 8, 8), randn(4, 3, 3, 3)
PUBLIC_WORDS = (
    (lambda: nnkern.conv2d(IMAGES, FILTERS, groups=1.0), TypeError, "conv2d: groups must be an int, got float"),
    (lambda: nnkern.conv2d(IMAGES, FILTERS, residual=1.0), TypeError, "conv2d: residual must be a float32, .* got float"),
    (lambda: nnkern.conv2d(IMAGES, FILTERS, padding_mode=["zeros"]), ValueError, r"conv2d: padding_mode \['zeros'\] is not one of"),
    (lambda: nnkern.conv_transpose2d(IMAGES, FILTERS[:3], groups=1.0), TypeError, "conv_transpose2d: groups must be an int"),
    (
        lambda: nnkern.conv2d(IMAGES[0], FILTERS, residual=randn(4, 6, 5)),
        ValueError,
        r"conv2d: residual must .* \(residual.shape=\(4, 6, 5\), result.shape=\(4, 6, 6\)\)",
    ),
    (lambda: nnkern.conv2d(IMAGES[0, :2], FILTERS), ValueError, r"conv2d: .* \(input.shape=\(2, 8, 8\), weight"),
    (lambda: nnkern.conv2d_input_grad(8, FILTERS, IMAGES), TypeError, "conv2d_input_grad: input_size must be a tuple of ints, not int"),
    (
        lambda: nnkern.conv2d_weight_grad(IMAGES, FILTERS, IMAGES),
        TypeError,
        "conv2d_weight_grad: weight_size must be a tuple of ints, not ndarray",
    ),
)  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), PUBLIC_WORDS, ids=[t for *_, t in PUBLIC_WORDS])
def test_errors_are_in_the_callers_words(call, error, text):
    with pytest.raises(error, match=f"^{text}"):
        call()


def test_output_size_is_an_int_or_ints_or_a_shape():
    for n in (1, 2, 3):
        x, w = randn(2, 3, *[4] * n), randn(3, 5, *[3] * n)
        transposed = getattr(nnkern, f"conv_transpose{n}d")
        wanted = transposed(x, w, stride=2, output_padding=1)
        for size in (10, [10], (10,) * n, wanted.shape[1:], wanted.shape):
            assert np.array_equal(transposed(x, w, stride=2, output_size=size), wanted)
        with pytest.raises(
            ValueError, match=f"conv_transpose{n}d: output_size must be an int or {n} of them"
        ):
            transposed(x, w, stride=2, output_size=(1, *wanted.shape))


def test_a_row_that_grows_at_its_end_keeps_its_layout():
    x, w = randn(2, 3, 9), randn(3, 5, 2)
    options = {"dilation": 3, "output_padding": 2}  # more than the stride: zeros are appended to x
    y = nnkern.conv_transpose1d(channels_last(x), w, **options)
    assert channels_last(y).strides == y.strides
    assert_close(y, nnkern.conv_transpose1d(x, w, **options))
    assert gradcheck(
        lambda x: nnkern.conv_transpose1d(x, Tensor(w.astype(float)), **options),
        [Tensor(randn(2, 3, 4, dtype=np.float64), requires_grad=True)],
    )


LAYERS = (
    (lambda: nn.Conv2d(3, 8, (3, 3, 3)), ValueError, r"Conv2d: kernel_size must be an int or 2 of them, not \(3, 3, 3\)"),
    (lambda: nn.Conv2d(3, 8, 3, stride=None), TypeError, "Conv2d: stride must be an int or 2 of them, not None"),
    (lambda: nn.Conv2d(3, 8, 3, padding=1.5), TypeError, "Conv2d: padding must be a name, an int, or 2 ints or"),
    (lambda: nn.Conv1d(3, 8, 3, padding=(1, 2)), ValueError, "Conv1d: padding must be a name, an int, or 1 ints or"),
    (lambda: nn.Conv2d(4, 8, 3, groups=2.0), TypeError, "Conv2d: groups must be an int, got float"),
    (lambda: nn.ConvTranspose1d(3, 8, 3, padding="causal"), ValueError, "ConvTranspose1d: padding 'causal' is not one"),
    (lambda: nn.ConvTranspose2d(3, 8, 3, output_padding=None), TypeError, "ConvTranspose2d: output_padding must be"),
    (lambda: nn.AvgPool1d((2, 2)), ValueError, r"AvgPool1d: kernel_size must be an int or 1 of them, not \(2, 2\)"),
    (lambda: nn.MaxUnpool2d(2.5), TypeError, "MaxUnpool2d: kernel_size must be an int or 2 of them, not 2.5"),
    (lambda: nn.FractionalMaxPool2d(2, output_ratio=1.5), ValueError, "FractionalMaxPool2d: output_ratio must lie between"),
    (lambda: nn.GroupNorm(2.0, 4), TypeError, "GroupNorm: num_groups must be a whole number, got 2.0"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), LAYERS, ids=[t for *_, t in LAYERS])
def test_layers_refuse_options_when_they_are_made(call, error, text):
    with pytest.raises(error, match=f"^{text}"):
        call()


def test_layers_take_one_number_in_a_tuple_and_pairs():
    layer = nn.Conv2d(3, 4, (3,), [2], (1,))
    assert (layer.kernel_size, layer.stride, layer.padding) == ((3, 3), (2, 2), (1, 1))
    assert layer(IMAGES).shape == (2, 4, 4, 4)
    assert nn.Conv2d(3, 4, 3, padding=((1, 2), (0, 1)))(IMAGES).shape == (2, 4, 9, 7)
    assert nn.Conv1d(3, 4, 3, padding=np.array([[1, 2]])).padding == ((1, 2),)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_layers_are_torchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    for name, args, x in (
        ("Conv1d", (4, 6, 3, 2, 1), randn(2, 4, 9)),
        ("Conv2d", (4, 6, (3, 2), 1, "same", 1, 2), randn(2, 4, 9, 7)),
        ("Conv2d", (4, 6, 3, 1, 1, 1, 1, False, "reflect"), randn(2, 4, 9, 7)),
        ("Conv3d", (4, 6, 2), randn(2, 4, 5, 6, 7)),
        ("ConvTranspose1d", (4, 6, 3, 2, 1, 1), randn(2, 4, 9)),
        ("ConvTranspose2d", (4, 6, 3, 2, 1, 1, 2), randn(2, 4, 5, 6)),
        ("ConvTranspose3d", (4, 6, 2), randn(2, 4, 3, 4, 2)),
    ):
        ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
        assert repr(ours) == repr(theirs)
        ours.load_state_dict(theirs.state_dict())
        assert list(ours.state_dict()) == list(theirs.state_dict())
        assert_close(ours(Tensor(x)).data, theirs(torch.tensor(x)).detach().numpy(), n=100)
