"""unfold and fold: against the reference and PyTorch, adjoint to one another, one to three axes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import assert_close, check_kernels, check_torch, each_isa, randn

import nnkern
from nnkern import Tensor, _cpu, gradcheck, gradgradcheck, nn

# x, kernel, stride, padding (low, high per axis), dilation
CASES = [
    ((2, 3, 8, 9), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    ((2, 3, 8, 9), (3, 2), (2, 1), (1, 0, 2, 1), (1, 2)),  # nothing is symmetric
    ((2, 3, 16, 16), (4, 4), (4, 4), (0, 0, 0, 0), (1, 1)),  # patches that do not overlap
    ((1, 2, 9, 9), (2, 2), (4, 3), (0, 0, 0, 0), (1, 1)),  # some of the image is in no window
    ((1, 2, 1, 1), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),  # windows larger than the image
    ((1, 1, 2, 3), (1, 1), (1, 1), (5, 4, 3, 6), (1, 1)),  # windows that meet no image
    ((2, 2, 5, 4), (2, 2), (1, 3), (4, 4, 4, 4), (3, 5)),
    ((1, 40, 30, 33), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),  # several chunks
    ((2, 4, 20), (5,), (2,), (2, 1), (2,)),
    ((2, 2, 5, 6, 7), (2, 3, 3), (1, 2, 1), (1, 0, 1, 1, 0, 2), (1, 1, 2)),
    ((0, 3, 8, 8), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),  # no images
]
LAYOUTS = {
    "contiguous": np.asarray,
    "strided": lambda a: a.repeat(2, -1)[..., ::-2],
    "channels last": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1),
}


def pairs(padding):
    return tuple(zip(padding[::2], padding[1::2]))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels_equal_the_reference(case, layout):
    shape, *options = case
    x = LAYOUTS[layout](randn(*shape))
    check_kernels("unfold_forward", x, *options, kind="exact")
    y = LAYOUTS[layout](randn(*_cpu.unfold_forward(x, *options).shape, seed=1))
    check_kernels("fold_forward", y, shape[2:], *options, n=int(np.prod(options[0])))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_cross_of_options_equals_torch(data):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    draw = lambda *a: tuple(data.draw(st.integers(*a)) for _ in range(2))  # noqa: E731
    x = randn(*draw(1, 3), *draw(1, 9))
    kernel, dilation, padding, stride = draw(1, 4), draw(1, 3), draw(0, 4), draw(1, 4)
    if any(m + 2 * p < d * (k - 1) + 1 for m, p, d, k in zip(x.shape[2:], padding, dilation, kernel)):
        with pytest.raises(ValueError, match="unfold: the window reaches over"):
            nnkern.unfold(x, kernel, dilation, padding, stride)
        return
    F = torch.nn.functional
    check_torch(
        lambda x: nnkern.unfold(x, kernel, dilation, padding, stride),
        lambda x: F.unfold(x, kernel, dilation, padding, stride),
        x, n=16,
    )  # fmt: skip
    y = randn(*nnkern.unfold(x, kernel, dilation, padding, stride).shape, seed=1)
    check_torch(
        lambda y: nnkern.fold(y, x.shape[2:], kernel, dilation, padding, stride),
        lambda y: F.fold(y, x.shape[2:], kernel, dilation, padding, stride),
        y, n=16,
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES[:-1], ids=str)
def test_adjoint_and_derivatives(case):
    shape, kernel, stride, padding, dilation = case
    x = randn(*shape, dtype=np.float64)
    options = (kernel, dilation, pairs(padding), stride)
    y = nnkern.unfold(x, *options)
    v = randn(*y.shape, dtype=np.float64, seed=1)
    assert np.isclose((y * v).sum(), (nnkern.fold(v, shape[2:], *options) * x).sum())
    if x.size < 500:
        t = Tensor(x, requires_grad=True)
        assert gradcheck(lambda t: nnkern.unfold(t, *options), (t,))
        assert gradgradcheck(lambda t: nnkern.unfold(t, *options).square(), (t,))


def test_convolution_is_a_product_with_the_columns():
    x, w = randn(2, 3, 9, 8, dtype=np.float64), randn(5, 3, 3, 3, dtype=np.float64, seed=1)
    columns = nnkern.unfold(x, 3, padding=1, stride=2)
    y = (w.reshape(5, -1) @ columns).reshape(2, 5, 5, 4)
    assert_close(nnkern.conv2d(x, w, padding=1, stride=2), y, n=27)


def test_the_mean_of_windows_gives_the_image_back():
    x = randn(2, 3, 10, 12)
    for named in ("valid", "same", "full", 2):
        there = lambda a: nnkern.unfold(a, (3, 4), 1, named, 1)  # noqa: B023, E731
        back = lambda a: nnkern.fold(a, (10, 12), (3, 4), 1, named, 1)  # noqa: B023, E731
        assert_close(back(there(x)) / back(there(np.ones_like(x))), x, n=12)


def test_unbatched_numbers_and_layers():
    x = randn(3, 8, 8)
    np.testing.assert_array_equal(nnkern.unfold(x, 3), nnkern.unfold(x[None], (3, 3))[0])
    assert nnkern.fold(nnkern.unfold(x, 3), 8, 3).shape == x.shape
    assert nnkern.unfold(x, (3,)).shape == (3, 24, 6)  # one axis, batched
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    for name, args in (("Unfold", (3, 1, (1, 2), 2)), ("Fold", ((8, 8), 3, 1, 1, 1))):
        assert repr(getattr(nn, name)(*args)) == repr(getattr(torch.nn, name)(*args))
    t = Tensor(x[None])
    assert nn.Fold((8, 8), 3, padding=1)(nn.Unfold(3, padding=1)(t)).shape == (1, 3, 8, 8)
    assert isinstance(nnkern.unfold(torch.tensor(x), 3), torch.Tensor)


def test_same_bits_for_any_number_of_threads():
    x = randn(2, 33, 40, 40)
    options = ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    before = nnkern.get_num_threads()
    try:
        for _ in each_isa():
            found = []
            for threads in (1, 2, 3):
                nnkern.set_num_threads(threads)
                y = _cpu.unfold_forward(x, *options)
                found.append((y, _cpu.fold_forward(y, (40, 40), *options)))
            for other in found[1:]:
                for a, b in zip(found[0], other):
                    np.testing.assert_array_equal(a, b)
    finally:
        nnkern.set_num_threads(before)


def test_nan_stays_where_it_is():
    x = np.zeros((1, 1, 5, 5), np.float32)
    x[0, 0, 2, 2] = np.nan
    y = nnkern.unfold(x, 3, padding=1)
    assert np.isnan(y).sum() == 9
    assert np.isnan(nnkern.fold(y, 5, 3, padding=1)).sum() == 1


def test_sizes_are_whole_numbers_of_any_kind():
    x, two = randn(1, 2, 6, 6), np.int64(2)
    y = nnkern.unfold(x, two, stride=(two, 1))
    np.testing.assert_array_equal(y, nnkern.unfold(x, 2, stride=(2, 1)))
    np.testing.assert_array_equal(
        nnkern.fold(y, np.int32(6), two, stride=(two, 1)), nnkern.fold(y, 6, 2, stride=(2, 1))
    )
    for wrong in (2.5, (2.5, 2)):
        with pytest.raises(TypeError, match="unfold: kernel_size must be an int or 2 of them"):
            nnkern.unfold(x, wrong)
        with pytest.raises(TypeError, match="fold: output_size must be an int or 2 of them"):
            nnkern.fold(y, wrong, 2)


def test_errors():
    x = randn(2, 3, 8, 8)
    with pytest.raises(
        ValueError,
        match=r"unfold: the window reaches over 9 elements but the padded axis has 8 \(input.shape=\(2, 3, 8, 8\)",
    ):
        nnkern.unfold(x, (3, 9))
    with pytest.raises(ValueError, match=r"unfold: input must have 4 axes \(or 3.*\(8, 8\)"):
        nnkern.unfold(x[0, 0], 3)
    with pytest.raises(ValueError, match=r"fold: input must be \(N, C \* 9, 36\).*input.shape=\(2, 27, 35\)"):
        nnkern.fold(randn(2, 27, 35), 8, 3)
    with pytest.raises(ValueError, match=r"fold: input must be \(N, C \* 9, 36\)"):
        nnkern.fold(randn(2, 26, 36), 8, 3)
    with pytest.raises(ValueError, match="fold: input must have 3 axes"):
        nnkern.fold(x, 8, 3)
    with pytest.raises(TypeError, match="unfold"):
        nnkern.unfold(np.ones((1, 1, 5, 5), np.int64), 3)
    with pytest.raises(TypeError, match="unfold"):
        nnkern.unfold(None, 3)
    for bad in ({"stride": 0}, {"dilation": 0}, {"padding": -1}, {"stride": (1, 2, 3)}, {"padding": 2**62},
                {"dilation": 2**62}, {"padding": "causal"}):  # fmt: skip
        with pytest.raises(ValueError, match="unfold"):
            nnkern.unfold(x, 3, **bad)
    for size in ((-1, 8), (0, 8), (8, 8, 8)):
        with pytest.raises(ValueError, match="fold"):
            nnkern.fold(randn(2, 27, 36), size, (3, 3))
