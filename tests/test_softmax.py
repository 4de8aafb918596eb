"""Softmax and its logarithm along every axis, with Inf and NaN, around register widths; gradients of both orders."""

import numpy as np
import pytest
from support import SIZES, check_kernels, check_torch, randn

import nnkern as F
from nnkern import Tensor, _cpu, gradgradcheck, nn

SHAPES = [(10,), (7, 10), (3, 17, 5), (2, 3, 40, 1), (5, 1000), (), (0, 4), (4, 0)]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_axis_and_layout(shape, log):
    x = np.asarray(5 * randn(*shape), np.float32)
    for axis in range(-len(shape), len(shape)) if shape else (0, -1):
        for v in (x, np.asarray(randn(*shape[::-1])).T, x[::-1] if shape else x):
            check_kernels("softmax_forward", v, axis, log, kind="chain", n=10)
            y = _cpu.softmax_forward(v, axis, log)
            check_kernels(
                "softmax_backward", np.asarray(randn(*v.shape, seed=2)), y, axis, log, kind="chain", n=1000
            )


@pytest.mark.parametrize("n", SIZES)
def test_sizes_around_register_widths(n):
    for log in (False, True):
        check_kernels("softmax_forward", randn(3, n), 1, log, kind="chain", n=10)
        check_kernels("softmax_forward", randn(3, n), 0, log, kind="chain", n=10)


@pytest.mark.parametrize("log", [False, True])
def test_arrays_written_past_the_caches(log):
    x, gy = randn(65, 33003), randn(65, 33003, seed=1)  # 8 MB and rows that begin between registers
    y = _cpu.softmax_forward(x, 1, log)
    for a, e in ((x, y), (gy, _cpu.softmax_backward(gy, y, 1, log))):
        few = (
            _cpu.softmax_forward(a[7:9], 1, log) if a is x else _cpu.softmax_backward(a[7:9], y[7:9], 1, log)
        )
        np.testing.assert_array_equal(e[7:9], few)
    check_kernels("softmax_forward", x, 1, log, kind="chain", n=10, dtypes=[np.float32])
    check_kernels("softmax_backward", gy, y, 1, log, kind="chain", n=33003, dtypes=[np.float32])


@pytest.mark.parametrize("log", [False, True])
def test_special_numbers(log):
    x = randn(6, 40)
    x[0, 3], x[1, 5], x[2, 6], x[3] = np.inf, -np.inf, np.nan, -np.inf
    x[4] += 1e4
    for axis, v in ((1, x), (0, np.ascontiguousarray(x.T))):
        check_kernels("softmax_forward", v, axis, log, kind="chain", n=40)
        assert np.isfinite(_cpu.softmax_forward(x[4:], 1, log)).all()


def test_errors():
    x = randn(2, 3)
    with pytest.raises(IndexError, match=r"softmax: dim 2 does not exist .*\(2, 3\)"):
        F.softmax(x, 2)
    with pytest.raises(TypeError, match="log_softmax: x is int64"):
        F.log_softmax(np.arange(3))
    with pytest.raises(ValueError, match=r"gy must have the shape of y .*\(2,\).*\(2, 3\)"):
        _cpu.softmax_backward(x[:, 0], x, 1, False)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_equals_torch(name, dim):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(F, name), getattr(torch, name)
    check_torch(lambda a: ours(a, dim), lambda a: theirs(a, dim), randn(4, 5, 6), kind="chain", n=6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_second_derivatives(name):
    x = Tensor(randn(3, 4).astype(np.float64), requires_grad=True)
    assert gradgradcheck(lambda a: getattr(F, name)(a, 1), (x,))


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmin_equals_torch(dim):
    f = pytest.importorskip("torch").nn.functional
    check_torch(lambda a: F.softmin(a, dim), lambda a: f.softmin(a, dim), randn(4, 5, 6), kind="chain", n=6)


def test_dtype_is_converted_first():
    for f in (F.softmax, F.log_softmax, F.softmin):
        assert f(np.arange(3), 0, dtype=np.float32).dtype == np.float32
        assert f(randn(3), 0, np.float64).dtype == np.float64


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("shape", [(), (3,), (3, 4), (3, 4, 5), (2, 3, 4, 5)])
def test_without_a_dim_it_is_the_one_that_torch_takes(shape):
    torch = pytest.importorskip("torch")
    x = randn(*shape)
    for name, layer in (("softmax", "Softmax"), ("log_softmax", "LogSoftmax"), ("softmin", "Softmin")):
        theirs = getattr(torch.nn.functional, name)(torch.tensor(x))
        for y in (getattr(F, name)(x), getattr(F, name)(x, None), getattr(nn, layer)()(x)):
            np.testing.assert_allclose(y, theirs, rtol=1e-6, atol=1e-6)
        assert getattr(F, name)(torch.tensor(x)).shape == shape


def test_a_dtype_of_torch_will_do():
    torch = pytest.importorskip("torch")
    for name in ("softmax", "log_softmax", "softmin"):
        for x in (randn(3), torch.ones(3), Tensor(randn(3))):
            assert str(getattr(F, name)(x, 0, dtype=torch.float64).dtype).endswith("float64")
    assert F.sinusoidal_positions(2, 2, dtype=torch.float64).dtype == np.float64
    with pytest.raises(TypeError, match="dtype must be one that NumPy has, .* got torch.bfloat16"):
        F.softmax(randn(3), 0, dtype=torch.bfloat16)


def test_gumbel_softmax_samples_the_classes():
    F.manual_seed(3)
    p = np.array([0.1, 0.6, 0.3])
    y = F.gumbel_softmax(np.tile(np.log(p), (20000, 1)), tau=0.7, hard=True)
    assert set(np.unique(y)) == {0.0, 1.0} and (y.sum(1) == 1).all()
    np.testing.assert_allclose(y.mean(0), p, atol=0.02)
    soft = F.gumbel_softmax(randn(4, 5, 6), dim=1)
    assert soft.dtype == np.float32
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-6)
    with pytest.raises(ValueError, match="tau must be greater than 0"):
        F.gumbel_softmax(p, tau=0)
    with pytest.raises(TypeError, match="expected an array or Tensor, got list"):
        F.softmax([1.0, 2.0], dtype=np.float32)


def test_hard_samples_have_the_soft_gradient():
    x = randn(3, 4)
    grads = []
    for hard in (False, True):
        F.manual_seed(5)
        t = Tensor(x.copy(), requires_grad=True)
        y = F.gumbel_softmax(t, 0.5, hard, dim=0)
        y.backward(randn(3, 4, seed=1))
        grads.append(t.grad.numpy())
    np.testing.assert_array_equal(y.detach().numpy().sum(0), 1)
    np.testing.assert_array_equal(*grads)


def test_torch_tensors_give_torch_tensors():
    torch = pytest.importorskip("torch")
    x = torch.tensor(randn(3, 4))
    for f in (F.softmax, F.log_softmax, F.softmin, F.logsumexp):
        y = f(x, 1)
        assert isinstance(y, torch.Tensor)
        np.testing.assert_array_equal(y.numpy(), f(x.numpy(), 1))
