"""layer_norm and rms_norm, alone and behind an addition: shapes, layouts, large means, gradients of both orders, layers."""

import numpy as np
import pytest
from support import SIZES, assert_close, check_gradient, check_kernels, check_torch, randn

import nnkern as F
from nnkern import Tensor, _cpu, gradgradcheck, nn

try:
    import torch
except ImportError:
    torch = None
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed: nothing to compare with")

EPS = 1e-5
LAYOUTS = {
    "dense": np.ascontiguousarray,
    "reversed": lambda x: x[::-1],
    "cropped": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "turned": np.asfortranarray,
    "repeated": lambda x: np.broadcast_to(x[:1], x.shape),
}
# shape, axes that are normalised
SHAPES = [
    ((33, 192), 1), ((3, 7, 33), 1), ((4, 3, 5), 2), ((5, 2, 3, 4), 3), ((40, 9), 1), ((9,), 1), ((3, 4), 2), ((70, 5), 1),
    ((3, 9000), 1),
]  # fmt: skip


def arrays(shape, axes, layout="dense"):
    """x, residual, w, b, gy, gh"""
    lay, inner = LAYOUTS[layout], shape[len(shape) - axes :]
    x, residual, gy, gh = (lay(randn(*shape, seed=i)) for i in range(4))
    x = lay(x + 2)
    w, b = randn(*inner, seed=4), np.repeat(randn(*inner, seed=5), 2, -1)[..., ::2]
    for a in (x, residual, w, b, gy, gh):
        a.flags.writeable = False
    return x, residual, w, b, gy, gh


@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape, axes", SHAPES, ids=str)
def test_kernels(shape, axes, layout, rms):
    if layout == "repeated" and len(shape) == axes == 1:
        return  # no variance: 1 / sqrt(eps) magnifies every rounding error
    x, residual, w, b, gy, gh = arrays(shape, axes, layout)
    inner = shape[len(shape) - axes :]
    b = None if rms else b
    for r, weight, bias, g in ((None, w, b, None), (residual, w, b, gh), (residual, None, None, None)):
        check_kernels("layer_norm_forward", x, r, weight, bias, inner, EPS, rms, kind="chain", n=9)
        _, h, statistics = _cpu.layer_norm_forward(x, r, weight, bias, inner, EPS, rms)
        h = x if r is None else h
        check_kernels("layer_norm_backward", gy, h, weight, statistics, g, inner, rms, kind="chain", n=x.size)


@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_sizes_around_register_widths(n, rms):
    x, _, w, b, gy, _ = arrays((6, n), 1)
    b = None if rms else b
    check_kernels("layer_norm_forward", x, None, w, b, n, EPS, rms, kind="chain", n=9)
    _, _, statistics = _cpu.layer_norm_forward(x, None, w, b, n, EPS, rms)
    if n > 3:  # gradients all but vanish there
        check_kernels("layer_norm_backward", gy, x, w, statistics, None, n, rms, kind="chain", n=n)


def test_large_mean_costs_no_digits():
    x = randn(16, 5000) + np.float32(1000)
    exact = x.astype(np.float64)
    want = (exact - exact.mean(1, keepdims=True)) / exact.std(1, keepdims=True)
    y = F.layer_norm(x, 5000, eps=0.0)
    assert np.abs(y - want).max() < 1e-5
    if torch is not None:
        theirs = torch.nn.functional.layer_norm(torch.from_numpy(x), (5000,), eps=0.0)
        assert np.abs(y - want).max() <= np.abs(theirs.numpy() - want).max()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_special_numbers_stay_in_their_row(value):
    x = randn(5, 40)
    x[2, 7] = value
    assert np.isnan(F.layer_norm(x, 40)[2]).all() and np.isfinite(F.layer_norm(x, 40)[[0, 1, 3, 4]]).all()
    check_kernels("layer_norm_forward", x, None, None, None, 40, EPS, True, kind="chain", n=9)


def test_rows_without_variance_are_zero():
    x = np.full((3, 70), 0.1, np.float32)
    assert np.abs(F.layer_norm(x, 70)).max() < 1e-4
    np.testing.assert_array_equal(F.rms_norm(np.zeros((3, 70)), 70), 0)


@pytest.mark.parametrize("shape", [(3000, 64), (100, 4096)], ids=str)
def test_same_bits_for_any_thread_count(shape):
    x, residual, w, b, gy, gh = arrays(shape, 1)
    results, before = [], _cpu.num_threads()
    try:
        for threads in (1, 2, 3):
            _cpu.set_num_threads(threads)
            y, h, s = _cpu.layer_norm_forward(x, residual, w, b, shape[1], EPS, False)
            results.append((y, h, s, *_cpu.layer_norm_backward(gy, h, w, s, gh, shape[1], False)))
    finally:
        _cpu.set_num_threads(before)
    for r in results[1:]:
        for a, e in zip(r, results[0]):
            np.testing.assert_array_equal(a, e)


def test_large_results_go_past_the_cache():
    x, residual, w, b, gy, gh = arrays((2100, 2048), 1)
    check_kernels(
        "layer_norm_forward", x, residual, w, b, 2048, EPS, False, kind="chain", n=9, dtypes=(np.float32,)
    )
    _, h, s = _cpu.layer_norm_forward(x, residual, w, b, 2048, EPS, False)
    check_kernels("layer_norm_backward", gy, h, w, s, gh, 2048, False, kind="chain", n=2048, dtypes=(np.float32,))  # fmt: skip


@needs_torch
@pytest.mark.parametrize("shape, axes", SHAPES, ids=str)
def test_equals_torch(shape, axes):
    x, _, w, b, _, _ = arrays(shape, axes, "cropped")
    theirs, inner = torch.nn.functional, shape[len(shape) - axes :]
    for eps in (1e-5, 0.1):
        check_torch(lambda x, w, b, e=eps: F.layer_norm(x, inner, w, b, e), lambda x, w, b, e=eps: theirs.layer_norm(x, inner, w, b, e), x, w, b, kind="chain", n=x.size)  # fmt: skip
    check_torch(lambda x: F.layer_norm(x, inner), lambda x: theirs.layer_norm(x, inner), x, kind="chain", n=x.size)  # fmt: skip
    check_torch(lambda x, w: F.layer_norm(x, inner, w), lambda x, w: theirs.layer_norm(x, inner, w), x, w, kind="chain", n=x.size)  # fmt: skip
    for eps in (None, 0.1):
        check_torch(lambda x, w, e=eps: F.rms_norm(x, inner, w, e), lambda x, w, e=eps: theirs.rms_norm(x, inner, w, e), x, w, kind="chain", n=x.size)  # fmt: skip
    check_torch(lambda x: F.rms_norm(x, inner), lambda x: theirs.rms_norm(x, inner), x, kind="chain", n=x.size)  # fmt: skip


@needs_torch
@pytest.mark.parametrize("rms", [False, True])
def test_addition_equals_torch(rms):
    def ours(x, r, w):
        y, h = F.add_rms_norm(x, r, 7, w, 1e-3) if rms else F.add_layer_norm(x, r, 7, w, None, 1e-3)
        return y * 2 + h

    def plain(x, r, w):
        h = x + r
        f = torch.nn.functional
        return (f.rms_norm(h, (7,), w, 1e-3) if rms else f.layer_norm(h, (7,), w, None, 1e-3)) * 2 + h

    check_torch(ours, plain, randn(5, 7), randn(5, 7, seed=1), randn(7), kind="chain", n=9)


def test_either_result_of_the_addition_may_stay_unused():
    x, r, w, b, gy, _ = (Tensor(a, requires_grad=True) for a in arrays((5, 7), 1))
    y, h = F.add_layer_norm(x, r, 7, w, b)
    gx, gr = F.grad(h, (x, r), gy.data, retain_graph=True)
    np.testing.assert_array_equal(gx.data, gy.data)
    np.testing.assert_array_equal(gr.data, gy.data)
    (gx,) = F.grad(y, (x,), gy.data)
    (expected,) = F.grad(F.layer_norm(x + r, 7, w, b), (x,), gy.data)
    assert_close(gx.data, expected.data, "chain")


def test_gradients():
    x, r, w, b, _, _ = arrays((3, 4, 5), 2)
    check_gradient(lambda x, w, b: F.layer_norm(x, (4, 5), w, b), x, w, b)
    check_gradient(lambda x, w: F.rms_norm(x, (4, 5), w), x, w)
    check_gradient(lambda x, r, w, b: F.add(*F.add_layer_norm(x, r, (4, 5), w, b)), x, r, w, b)
    check_gradient(lambda x, r: F.add(*F.add_rms_norm(x, r, (4, 5))), x, r)


def test_second_derivatives():
    x, r, w, b = (
        Tensor(randn(*s, dtype=np.float64), requires_grad=True) for s in ((2, 3, 4), (2, 3, 4), (4,), (4,))
    )
    assert gradgradcheck(lambda x, w, b: F.layer_norm(x, 4, w, b), (x, w, b))
    assert gradgradcheck(lambda x: F.layer_norm(x, (3, 4)), (x,))
    assert gradgradcheck(lambda x, w: F.rms_norm(x, 4, w), (x, w))
    assert gradgradcheck(lambda x, r, w, b: F.add(*F.add_layer_norm(x, r, 4, w, b)), (x, r, w, b))


def test_fused_backward_equals_the_plain_one():
    x, r, w, b, gy, _ = (Tensor(a, requires_grad=True) for a in arrays((5, 6, 7), 1))
    for f, inputs in (
        (lambda: F.add(*F.add_layer_norm(x, r, 7, w, b)), (x, r, w, b)),
        (lambda: F.rms_norm(x, (6, 7)), (x,)),
        (lambda: F.add(*F.add_rms_norm(x, r, 7, w)), (x, r, w)),
    ):
        fused = F.grad(f(), inputs, gy.data)
        plain = F.grad(f(), inputs, gy.data, create_graph=True)
        for a, e in zip(fused, plain):
            assert_close(a.data, e.data, "chain", 30)


def test_empty():
    assert F.layer_norm(randn(0, 5), 5).shape == (0, 5)
    assert F.rms_norm(randn(2, 0), 0).shape == (2, 0)
    x, w = Tensor(randn(0, 5), requires_grad=True), Tensor(randn(5), requires_grad=True)
    F.layer_norm(x, 5, w).sum().backward()
    assert x.grad.shape == (0, 5)
    np.testing.assert_array_equal(w.grad.data, 0)


LAYERS = [
    ("LayerNorm", (7,), {}),
    ("LayerNorm", ((3, 7),), {"eps": 1e-3}),
    ("LayerNorm", ([7],), {"bias": False}),
    ("LayerNorm", (7,), {"elementwise_affine": False}),
    ("RMSNorm", (7,), {}),
    ("RMSNorm", ((3, 7),), {"eps": 1e-3}),
    ("RMSNorm", (7,), {"elementwise_affine": False}),
]


@needs_torch
@pytest.mark.parametrize("name, args, options", LAYERS, ids=str)
def test_layers_equal_torch(name, args, options):
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    for v in theirs.parameters():
        torch.nn.init.normal_(v)
    ours.load_state_dict(theirs.state_dict())
    x = randn(4, 3, 7)
    assert_close(ours(Tensor(x)).data, theirs(torch.tensor(x)).detach().numpy(), "chain", 9)
    ours.reset_parameters()
    assert all((v == (k == "weight")).all() for k, v in ours.state_dict().items())
    assert repr(ours).startswith(f"{name}(({'3, 7' if len(ours.normalized_shape) > 1 else '7,'}), eps=")


def test_errors():
    x = randn(2, 3, 4)
    with pytest.raises(
        ValueError, match=r"layer_norm: the last dims of input must be normalized_shape=\(3,\)"
    ):
        F.layer_norm(x, 3)
    with pytest.raises(
        ValueError, match=r"rms_norm: the last dims .* normalized_shape=\(5, 2, 3, 4\).*\(2, 3, 4\)"
    ):
        F.rms_norm(x, (5, 2, 3, 4))
    with pytest.raises(ValueError, match=r"last dims of input must be normalized_shape=\(\)"):
        F.layer_norm(x, ())
    with pytest.raises(ValueError, match=r"weight must have the shape normalized_shape.*\(3,\)"):
        F.layer_norm(x, 4, randn(3))
    with pytest.raises(ValueError, match=r"bias must have the shape normalized_shape.*\(3, 4\)"):
        F.layer_norm(x, 4, None, randn(3, 4))
    with pytest.raises(ValueError, match=r"residual must have the shape of input.*\(3, 4\)"):
        F.add_layer_norm(x, x[0], 4)
    with pytest.raises(TypeError, match="input is float32 but weight is float64"):
        F.layer_norm(x, 4, randn(4, dtype=np.float64))
    with pytest.raises(TypeError, match="layer_norm: input is int64"):
        F.layer_norm(np.arange(4), 4)
    with pytest.raises(ValueError, match="gy must have the shape of x"):
        _cpu.layer_norm_backward(x[..., :2], x, None, randn(2, 6), None, 4, False)
    with pytest.raises(ValueError, match="statistics must be two numbers per row"):
        _cpu.layer_norm_backward(x, x, None, randn(2, 5), None, 4, False)


def test_second_derivatives_of_nothing():
    x = Tensor(np.zeros((2, 0)), requires_grad=True)
    (gx,) = F.grad(F.layer_norm(x, 0).sum(), (x,), create_graph=True)
    assert F.grad(gx.sum(), (x,), allow_unused=True)[0].shape == (2, 0)
