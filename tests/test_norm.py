"""Norms: both layouts and every odd one, sizes around register widths and tiles, large means, running statistics,
gradients of both orders, the layers."""

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


def last(x):
    """x in channels-last memory."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


LAYOUTS = {
    "first": np.ascontiguousarray,
    "last": last,
    "reversed": lambda x: x[::-1],
    "cropped": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "last, every second sample": lambda x: np.repeat(last(x), 2, 0)[::2],
    "turned": lambda x: np.asfortranarray(x),
    "repeated": lambda x: np.broadcast_to(x[:1], x.shape),
}
SHAPES = [
    (64, 33), (4, 5), (7, 1), (2, 64, 31), (2, 3, 4, 5), (3, 17, 7, 7), (2, 3, 100, 100), (5, 40, 3, 4, 5),
    (9, 8, 2, 1), (2, 300, 3, 3), (64, 5, 1, 1),
]  # fmt: skip


def arrays(shape, layout="first"):
    """x, w, b, residual, gy"""
    lay = LAYOUTS[layout]
    x, residual, gy = (lay(randn(*shape, seed=i)) for i in (1, 2, 3))
    x = lay(x + 3) if layout != "repeated" else x
    w, b = randn(shape[1], seed=4), randn(2 * shape[1], seed=5)[::2]
    for a in (x, w, b, residual, gy):
        a.flags.writeable = False
    return x, w, b, residual, gy


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_kernels(shape, layout):
    x, w, b, residual, gy = arrays(shape, layout)
    count, mean, var = x.size // shape[1], randn(shape[1]), np.abs(randn(shape[1], seed=6))
    cases = [(True, w, b, None, False), (True, None, None, residual, True), (False, w, None, None, True)]
    if layout == "repeated":  # no variance: 1 / sqrt(eps) magnifies every rounding error
        cases = cases[2:]
    for training, weight, bias, extra, relu in cases:
        running = (None, None) if training else (mean, var)
        options = (training, 0.1, EPS, relu)
        check_kernels("batch_norm_forward", x, weight, bias, *running, extra, *options, kind="chain", n=9)
        y, m, v = _cpu.batch_norm_forward(x, weight, bias, *running, extra, *options)
        assert y.strides == (x + 0).strides or layout not in ("first", "last") or 1 in shape
        check_kernels(
            "batch_norm_backward", gy, x, weight, m, v, y if relu else None, training, EPS, extra is not None,
            kind="chain", n=count,
        )  # fmt: skip


@pytest.mark.parametrize("layout", [k for k in LAYOUTS if k != "repeated"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_group_norm_kernels(shape, layout):
    x, w, b, _, gy = arrays(shape, layout)
    for groups in {1, shape[1], 4 if shape[1] % 4 == 0 else 1}:
        size = x.size // shape[0] // groups
        if size < 4:  # gradients all but vanish there
            continue
        for weight, bias in ((w, b), (None, None)):
            check_kernels("group_norm_forward", x, weight, bias, groups, EPS, kind="chain", n=9)
            _, m, v = _cpu.group_norm_forward(x, weight, bias, groups, EPS)
            check_kernels(
                "group_norm_backward", gy, x, weight, m, v, groups, EPS, kind="chain", n=x.size // shape[1]
            )


@pytest.mark.parametrize("layout", ["first", "last", "cropped", "turned"])
@pytest.mark.parametrize("size, beta", [(5, 0.75), (4, 0.75), (3, 0.6), (1, 1.0), (40, 0.5)])
def test_local_response_norm_kernels(size, beta, layout):
    for shape in ((2, 11, 5, 7), (1, 3, 200), (2, 33, 3, 3, 3), (3, 1, 4)):
        x, _, _, _, gy = arrays(shape, layout)
        check_kernels("local_response_norm_forward", x, size, 0.3, beta, 1.5, kind="chain", n=size)
        check_kernels("local_response_norm_backward", gy, x, size, 0.3, beta, 1.5, kind="chain", n=size)


@pytest.mark.parametrize("n", SIZES)
def test_sizes_around_register_widths(n):
    for shape in ((2, 3, n), (5, n)):
        x, w, b, _, _ = arrays(shape)
        options = (None, None, None, True, 0.1, EPS, False)
        check_kernels("batch_norm_forward", x, w, b, *options, kind="chain", n=9)
    check_kernels("local_response_norm_forward", randn(2, 3, n), 2, 1.0, 0.75, 1.0, kind="chain", n=3)


@pytest.mark.parametrize("layout", ["first", "last"])
def test_large_mean_costs_no_digits(layout):
    """The statistics are as good as float64's on the same numbers; PyTorch's are no better."""
    x = LAYOUTS[layout](randn(8, 4, 30, 30) + np.float32(1000))
    exact = x.astype(np.float64)
    want = (exact - exact.mean((0, 2, 3), keepdims=True)) / exact.std((0, 2, 3), keepdims=True)
    y, mean, var = _cpu.batch_norm_forward(x, None, None, None, None, None, True, 0.1, 0.0, False)
    np.testing.assert_allclose(mean, exact.mean((0, 2, 3)), rtol=1e-7)
    np.testing.assert_allclose(var, exact.var((0, 2, 3)), rtol=3e-6)
    assert np.abs(y - want).max() < 1e-5
    if torch is not None:
        theirs = torch.nn.functional.batch_norm(torch.from_numpy(x), None, None, training=True, eps=1e-30)
        assert np.abs(y - want).max() <= np.abs(theirs.numpy() - want).max()


def test_an_outlier_costs_no_digits():
    x = randn(4, 2, 40, 40)
    x[0, :, 0, 0] = 1e5
    for v in (x, last(x)):
        _, mean, var = _cpu.batch_norm_forward(v, None, None, None, None, None, True, 0.1, EPS, False)
        exact = x.astype(np.float64)
        np.testing.assert_allclose(mean, exact.mean((0, 2, 3)), rtol=1e-5)
        np.testing.assert_allclose(var, exact.var((0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 3, 200, 200), (40, 32, 30, 30), (300, 64)], ids=str)
def test_same_bits_for_any_thread_count(shape):
    w, b, before = randn(shape[1]), randn(shape[1], seed=1), _cpu.num_threads()
    for lay in (np.asarray, last):
        x, gy = lay(randn(*shape)), lay(randn(*shape, seed=2))
        results = []
        try:
            for threads in (1, 2, 3):
                _cpu.set_num_threads(threads)
                y, mean, var = _cpu.batch_norm_forward(x, w, b, None, None, None, True, 0.1, EPS, True)
                gs = _cpu.batch_norm_backward(gy, x, w, mean, var, y, True, EPS, True)
                groups = _cpu.group_norm_forward(x, w, b, 1, EPS)
                results.append(
                    (y, mean, var, *gs, *groups, *_cpu.group_norm_backward(gy, x, w, *groups[1:], 1, EPS))
                )
        finally:
            _cpu.set_num_threads(before)
        for r in results[1:]:
            for a, e in zip(r, results[0]):
                np.testing.assert_array_equal(a, e)


def test_nan_stays_in_its_channel():
    x = randn(4, 3, 5, 5)
    x[1, 1, 2, 2] = np.nan
    for v in (x, last(x)):
        y = F.batch_norm(v, None, None, training=True, activation="relu")
        assert np.isnan(y[:, 1]).all() and np.isfinite(y[:, [0, 2]]).all()


def test_empty():
    mean, var = randn(3), np.ones(3, np.float32)
    before = mean.copy()
    assert F.batch_norm(randn(0, 3, 4, 4), mean, var, training=True).shape == (0, 3, 4, 4)
    np.testing.assert_array_equal(mean, before)
    assert F.group_norm(randn(0, 4, 2), 2).shape == (0, 4, 2)
    assert F.local_response_norm(randn(2, 3, 0), 3).shape == (2, 3, 0)
    x = Tensor(randn(0, 3, 4), requires_grad=True)
    F.batch_norm(x, None, None, training=True).sum().backward()
    assert x.grad.shape == (0, 3, 4)


@pytest.mark.parametrize("layout", ["first", "last"])
@pytest.mark.parametrize("shape", [(6, 5), (3, 4, 9), (2, 6, 5, 7), (2, 3, 2, 5, 4)], ids=str)
def test_equals_torch(shape, layout):
    theirs = pytest.importorskip("torch").nn.functional
    x, w, b, residual, _ = arrays(shape, layout)
    mean, var = randn(shape[1]), np.abs(randn(shape[1], seed=6))
    stats = [(None, None, True), (mean, var, False)]
    for m, v, training in stats:

        def ours(x, w, b, r, m=m, v=v, training=training, act="relu"):
            m, v = (a if a is None else a.astype(x.dtype) for a in (m, v))
            return F.batch_norm(x, m, v, w, b, training, activation=act, residual=r)

        def torchs(x, w, b, r, m=m, v=v, training=training):
            m, v = (a if a is None else torch.tensor(a, dtype=x.dtype) for a in (m, v))
            return torch.relu(theirs.batch_norm(x, m, v, w, b, training) + r)

        check_torch(ours, torchs, x, w, b, residual, kind="chain", n=x.size)
    check_torch(lambda x, w, b: F.group_norm(x, 1, w, b), lambda x, w, b: theirs.group_norm(x, 1, w, b), x, w, b, kind="chain", n=x.size)  # fmt: skip
    if len(shape) > 2:
        check_torch(lambda x: F.instance_norm(x), theirs.instance_norm, x, kind="chain", n=x.size)
        check_torch(lambda x: F.local_response_norm(x, 3, 0.5), lambda x: theirs.local_response_norm(x, 3, 0.5), x, kind="chain", n=9)  # fmt: skip


def test_gradients():
    x, w, b, residual, _ = arrays((3, 4, 5, 3))
    mean, var = randn(4, dtype=np.float64), np.abs(randn(4, dtype=np.float64)) + 0.5
    check_gradient(lambda x, w, b, r: F.batch_norm(x, None, None, w, b, True, residual=r), x, w, b, residual)
    check_gradient(lambda x, w, b, r: F.batch_norm(x, mean, var, w, b, residual=r), x, w, b, residual)
    check_gradient(lambda x, w, b: F.group_norm(x, 2, w, b), x, w, b)
    check_gradient(lambda x, w, b: F.instance_norm(x, None, None, w, b), x, w, b)
    check_gradient(lambda x: F.local_response_norm(x, 4, 0.7), x)


def test_second_derivatives():
    x, w, b, r = (
        Tensor(randn(*s).astype(np.float64), requires_grad=True) for s in ((3, 4, 3), (4,), (4,), (3, 4, 3))
    )
    mean, var = randn(4, dtype=np.float64), np.abs(randn(4, dtype=np.float64)) + 0.5
    assert gradgradcheck(lambda x, w, b, r: F.batch_norm(x, None, None, w, b, True, residual=r), (x, w, b, r))
    assert gradgradcheck(lambda x, w, b: F.batch_norm(x, mean, var, w, b, activation="relu"), (x, w, b))
    assert gradgradcheck(lambda x, w, b: F.group_norm(x, 2, w, b), (x, w, b))
    assert gradgradcheck(lambda x: F.group_norm(x, 2), (x,))
    assert gradgradcheck(lambda x: F.local_response_norm(x, 3, 0.7), (x,))


@pytest.mark.parametrize("layout", ["first", "last"])
def test_fused_backward_equals_the_plain_one(layout):
    x, w, b, r, gy = (Tensor(a, requires_grad=True) for a in arrays((5, 6, 4, 3), layout))
    for f in (
        lambda: F.batch_norm(x, None, None, w, b, True, activation="relu", residual=r),
        lambda: F.group_norm(x, 3, w, b) + r,
    ):
        fused = F.grad(f(), (x, w, b, r), gy)
        plain = F.grad(f(), (x, w, b, r), gy, create_graph=True)
        for a, e in zip(fused, plain):
            assert_close(a.data, e.data, "chain", 60)


# --- layers


LAYERS = [
    ("BatchNorm1d", (5,), {}, (7, 5)),
    ("BatchNorm1d", (5,), {"momentum": None}, (7, 5, 3)),
    ("BatchNorm2d", (4,), {"affine": False}, (3, 4, 5, 6)),
    ("BatchNorm2d", (4,), {"track_running_stats": False, "bias": False}, (3, 4, 5, 6)),
    ("BatchNorm3d", (4,), {"momentum": 0.3, "eps": 1e-3}, (3, 4, 2, 3, 2)),
    ("InstanceNorm1d", (3,), {}, (2, 3, 9)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (2, 3, 4, 5)),
    ("InstanceNorm2d", (3,), {}, (3, 4, 5)),
    ("InstanceNorm3d", (3,), {"affine": True}, (2, 3, 4, 5, 2)),
    ("GroupNorm", (2, 6), {}, (2, 6, 5, 5)),
    ("GroupNorm", (2, 6), {"affine": False}, (2, 6, 5)),
    ("LocalResponseNorm", (5,), {"alpha": 0.1}, (2, 8, 3, 3)),
]


@needs_torch
@pytest.mark.parametrize("name, args, options, shape", LAYERS)
def test_layers_equal_torch(name, args, options, shape):
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for k, p in theirs.named_parameters():
        p.data = torch.from_numpy(randn(*p.shape))
        dict(ours.named_parameters())[k].data[...] = p.data.numpy()
    for step in range(4):
        if step == 3:
            ours.eval(), theirs.eval()
        x = randn(*shape, seed=step) + 2
        assert_close(ours(Tensor(x)).data, theirs(torch.from_numpy(x)).detach().numpy(), "chain", 9)
        for k, v in theirs.state_dict().items():
            assert_close(ours.state_dict()[k], v.numpy(), "chain", 9, k)
    fresh = getattr(nn, name)(*args, **options)
    fresh.load_state_dict(theirs.state_dict())
    assert_close(fresh.eval()(Tensor(x)).data, ours(Tensor(x)).data, "chain", 9)


def test_layers_fuse_residual_and_activation():
    layer, x, r = nn.BatchNorm2d(3), randn(2, 3, 4, 4), randn(2, 3, 4, 4, seed=1)
    fused = layer(x, residual=r, activation="relu").data
    assert_close(fused, np.maximum(layer(x).data + r, 0), "chain")


def test_running_statistics_of_any_kind_are_written_in_place():
    x = randn(8, 3, 2) + 1
    kinds = [np.zeros(3, np.float32), Tensor(np.zeros(3, np.float32)), np.zeros(6, np.float32)[::2]]
    if torch is not None:
        kinds.append(torch.zeros(3))
    for mean in kinds:
        var = np.ones(3, np.float32)
        F.batch_norm(x, mean, var, training=True, momentum=0.5)
        assert_close(
            np.asarray(mean.data if isinstance(mean, Tensor) else mean), 0.5 * x.mean((0, 2)), "chain"
        )
        assert_close(var, 0.5 + 0.5 * x.var((0, 2), ddof=1), "chain")


def test_reset():
    layer = nn.BatchNorm1d(2)
    layer(randn(5, 2))
    layer.weight.data[...] = 7
    layer.reset_parameters()
    assert [v.tolist() for v in layer.state_dict().values()] == [[1, 1], [0, 0], [0, 0], [1, 1], 0]


def test_instance_norm_changes_no_statistics_when_it_refuses():
    x, mean = randn(2, 3, 4), np.zeros(3, np.float32)
    fixed = np.broadcast_to(np.float32(1), 3)
    with pytest.raises(ValueError, match="instance_norm: running_var is read-only"):
        F.instance_norm(x, mean, fixed)
    with pytest.raises(TypeError, match="instance_norm: running_var is int64"):
        F.instance_norm(x, mean, np.ones(3, int))
    assert not mean.any()


def test_second_derivative_of_a_window_beyond_all_channels():
    x = Tensor(randn(2, 3, 2, dtype=np.float64), requires_grad=True)
    for size in (6, 7, 2**40):
        assert gradgradcheck(lambda x: F.local_response_norm(x, size, alpha=size), [x])  # noqa: B023


def test_errors():
    x = randn(2, 3, 4)
    with pytest.raises(
        ValueError, match=r"batch_norm: training needs more than one value per channel.*\(1, 3\)"
    ):
        nn.BatchNorm1d(3)(randn(1, 3))
    for mean, var, name in (
        (np.zeros(5), np.ones(3), "running_mean"),
        (np.zeros(3), np.ones((3, 1)), "running_var"),
    ):
        with pytest.raises(
            ValueError, match=f"instance_norm: {name} must have one number for each of the 3 channels"
        ):
            F.instance_norm(x, mean, var)
    with pytest.raises(ValueError, match=r"instance_norm: more than one value per channel.*\(2, 3, 1\)"):
        nn.InstanceNorm1d(3)(randn(2, 3, 1))
    with pytest.raises(ValueError, match=r"group_norm: more than one value per channel.*\(1, 3\)"):
        F.group_norm(randn(1, 3), 3)
    with pytest.raises(ValueError, match=r"num_groups=2 must divide the channels .*\(2, 3, 4\)"):
        F.group_norm(x, 2)
    with pytest.raises(ValueError, match=r"weight must have one number for each of the 3 channels.*\(4,\)"):
        F.batch_norm(x, None, None, randn(4), training=True)
    with pytest.raises(ValueError, match="running_mean and running_var are needed"):
        F.batch_norm(x, None, None)
    with pytest.raises(ValueError, match="must be given together"):
        F.batch_norm(x, randn(3), None)
    with pytest.raises(ValueError, match=r"residual must have the shape of input.*\(2, 3, 1\)"):
        F.batch_norm(x, None, None, training=True, residual=x[..., :1])
    with pytest.raises(ValueError, match="activation 'gelu' is not one of"):
        F.batch_norm(x, None, None, training=True, activation="gelu")
    with pytest.raises(ValueError, match="running_mean is read-only"):
        F.batch_norm(x, np.broadcast_to(np.float32(0), 3), np.ones(3, np.float32), training=True)
    with pytest.raises(TypeError, match="input is float32 but weight is float64"):
        F.batch_norm(x, None, None, randn(3, dtype=np.float64), training=True)
    with pytest.raises(ValueError, match=r"input must be \(N, C\)"):
        F.batch_norm(randn(3), None, None, training=True)
    with pytest.raises(ValueError, match="size must be positive, not 0"):
        F.local_response_norm(x, 0)
    with pytest.raises(ValueError, match=r"BatchNorm2d: input must have 4 axes .*\(2, 3, 4\)"):
        nn.BatchNorm2d(3)(x)
    with pytest.raises(ValueError, match="InstanceNorm1d: input must have 4 channels"):
        nn.InstanceNorm1d(4)(x)
    with pytest.raises(ValueError, match="GroupNorm: num_groups=2 must divide num_channels=3"):
        nn.GroupNorm(2, 3)
    with pytest.raises(ValueError, match="gy must have the shape of input"):
        _cpu.batch_norm_backward(x[..., :2], x, None, randn(3), randn(3), None, True, EPS, False)


@pytest.mark.parametrize("shape", [(1, 3), (2, 3, 5), (2, 3, 4, 4)])
def test_gradients_of_inference_do_not_see_x(shape):
    x = randn(*shape)
    x[0, 1] = np.nan
    t = Tensor(x, requires_grad=True)
    y = F.batch_norm(t, np.zeros(3, np.float32), np.full(3, 0.25, np.float32), eps=0.0)
    y.backward(np.ones(shape, np.float32))
    np.testing.assert_array_equal(t.grad.data, np.full(shape, 2, np.float32))


def test_second_derivatives_of_nothing():
    for f in (lambda x: F.group_norm(x, 2), lambda x: F.batch_norm(x, None, None, training=True)):
        x = Tensor(np.zeros((0, 4, 3)), requires_grad=True)
        (gx,) = F.grad(f(x).sum(), (x,), create_graph=True)
        assert F.grad(gx.sum(), (x,), allow_unused=True)[0].shape == (0, 4, 3)
