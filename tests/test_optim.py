"""Optimisers: 20 steps equal torch.optim's for crosses of options; kernels equal the reference; states travel."""

import itertools

import numpy as np
import pytest
from support import DTYPES, assert_close, each_isa, randn

from nnkern import Tensor, _cpu, backends
from nnkern.optim import SGD, Adam, AdamW

SHAPES = [(3, 5), (33,), (), (2, 3, 4), (1000,)]

SGD_OPTIONS = [
    {"lr": 0.1, "momentum": m, "weight_decay": wd, "maximize": up, **more}
    for m, wd, up in itertools.product((0.0, 0.9), (0.0, 0.1), (False, True))
    for more in ({}, {"dampening": 0.3}, {"nesterov": True})
    if m > 0 or not more
]
ADAM_OPTIONS = [
    {"lr": 0.01, "weight_decay": wd, "amsgrad": ams, "maximize": up, "betas": betas}
    for wd, ams, up in itertools.product((0.0, 0.1), (False, True), (False, True))
    for betas in ((0.9, 0.999), (0.5, 0.9))
]
CASES = [("SGD", o) for o in SGD_OPTIONS] + [(n, o) for n in ("Adam", "AdamW") for o in ADAM_OPTIONS]


def make(dtype):
    return [
        Tensor(np.array(randn(*s, dtype=dtype, seed=i)), requires_grad=True) for i, s in enumerate(SHAPES)
    ]


def set_grads(params, step, skip=None):
    for i, p in enumerate(params):
        g = randn(*p.shape, dtype=p.dtype, seed=100 * step + i)
        p.grad = None if i == skip else Tensor(np.asarray(g))


def optimizer(name):
    return {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}[name]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_equals_torch(name, options, dtype):
    torch = pytest.importorskip("torch")
    params = make(dtype)
    theirs = [torch.tensor(p.numpy(), requires_grad=True) for p in params]
    ours_opt, their_opt = optimizer(name)(params, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(20):
        set_grads(params, step, skip=2 if step in (0, 7) else None)
        for p, t in zip(params, theirs):
            t.grad = None if p.grad is None else torch.tensor(p.grad.numpy())
        ours_opt.step()
        their_opt.step()
    for p, t in zip(params, theirs):
        assert_close(p.numpy(), t.detach().numpy(), "chain", 20, f"{name} {options}")


def layouts(shape, dtype, seed):
    x = randn(*shape, dtype=dtype, seed=seed)
    yield x
    yield np.asfortranarray(x)
    yield np.repeat(x, 2, -1)[..., ::2]
    yield x[::-1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", ["sgd_step", "adam_step"])
def test_kernels_equal_the_reference_in_any_layout(kernel, dtype):
    roles, options = (
        (3, (0.1, 0.9, 0.0, 0.1, True, False, False)),
        (3.0, 0.1, 0.9, 0.99, 1e-8, 0.1, True, True, False),
    )
    count, options = roles if kernel == "sgd_step" else (5, options)
    for n, combination in itertools.product((1, 7, 8, 33), itertools.product(range(4), repeat=2)):
        for _ in each_isa():
            arrays = []
            for r in range(count):
                layout = combination[0] if r % 2 else combination[1]
                arrays.append([np.abs(list(layouts((n, 3), dtype, r))[layout]) if r >= 3 else
                               list(layouts((n, 3), dtype, r))[layout]])  # fmt: skip
            expected = [[a.copy() for a in role] for role in arrays]
            getattr(backends.load("reference"), kernel)(*expected, *options)
            getattr(_cpu, kernel)(*arrays, *options)
            for a, e in zip(arrays, expected):
                assert_close(a[0], e[0], "chain")


def test_threads_do_not_change_the_result():
    before = _cpu.num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            _cpu.set_num_threads(threads)
            p = Tensor(randn(100_003), requires_grad=True)
            opt = Adam([p])
            for step in range(2):
                set_grads([p], step)
                opt.step()
            results.append(p.numpy().tobytes())
    finally:
        _cpu.set_num_threads(before)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_state_travels_to_torch_and_back(name):
    torch = pytest.importorskip("torch")
    options = {"lr": 0.05, "momentum": 0.9} if name == "SGD" else {"lr": 0.05, "amsgrad": True}
    params = make(np.float32)
    first = optimizer(name)(params, **options)
    set_grads(params, 0)
    first.step()
    saved = first.state_dict()
    assert saved["param_groups"][0]["params"] == [0, 1, 2, 3, 4]
    theirs = [torch.tensor(p.numpy(), requires_grad=True) for p in params]
    their_opt = getattr(torch.optim, name)(theirs, lr=1.0)
    as_tensors = {k: {n: torch.tensor(v) for n, v in s.items()} for k, s in saved["state"].items()}
    their_opt.load_state_dict({"state": as_tensors, "param_groups": saved["param_groups"]})
    second = optimizer(name)(params, lr=1.0)
    second.load_state_dict(their_opt.state_dict())
    assert second.param_groups[0]["lr"] == 0.05
    set_grads(params, 1)
    for p, t in zip(params, theirs):
        t.grad = torch.tensor(p.grad.numpy())
    second.step()
    their_opt.step()
    for p, t in zip(params, theirs):
        assert_close(p.numpy(), t.detach().numpy(), "chain")


def test_zero_grad_closure_and_groups():
    a, b = Tensor(randn(3), requires_grad=True), Tensor(randn(4), requires_grad=True)
    opt = SGD([{"params": [a]}, {"params": b, "lr": 0.0}], lr=1.0)
    before = [a.numpy().copy(), b.numpy().copy()]

    def closure():
        set_grads([a, b], 3)
        return "loss"

    assert opt.step(closure) == "loss"
    assert_close(a.numpy(), before[0] - a.grad.numpy())
    assert_close(b.numpy(), before[1], "exact")
    opt.zero_grad(set_to_none=False)
    assert (a.grad.numpy() == 0).all()
    opt.zero_grad()
    assert a.grad is None and b.grad is None
    opt.step()  # nothing to do


def test_errors():
    a = Tensor(randn(3), requires_grad=True)
    for bad, error, message in [
        (lambda: SGD(a), TypeError, "an iterable of Tensors"),
        (lambda: SGD([]), ValueError, "no parameters"),
        (lambda: SGD([a, a]), ValueError, "more than once"),
        (lambda: SGD([Tensor(randn(3))]), ValueError, "must be a leaf that requires grad"),
        (lambda: SGD([np.zeros(3)]), TypeError, r"params\[0\] is ndarray"),
        (lambda: SGD([a], lr=-1), ValueError, "lr must be >= 0, got -1"),
        (lambda: SGD([a], nesterov=True), ValueError, "nesterov needs momentum"),
        (lambda: Adam([a], betas=(1.0, 0.9)), ValueError, r"betas\[0\]"),
        (lambda: Adam([{"params": [a], "beta": 1}]), ValueError, "unknown options"),
        (lambda: SGD(None), TypeError, "SGD: params must be an iterable of Tensors, got NoneType"),
        (lambda: SGD([a], lr="0.1"), TypeError, "SGD: lr must be a number, got str"),
        (lambda: SGD([a], lr=None), TypeError, "SGD: lr must be a number, got NoneType"),
        (lambda: Adam([a], betas=0.9), TypeError, "Adam: betas must be two numbers, got 0.9"),
        (lambda: Adam([a], betas=(0.9,)), TypeError, r"Adam: betas must be two numbers, got \(0.9,\)"),
        (lambda: Adam([{"lr": 0.1}]), TypeError, "Adam: a group must be a dict with 'params'"),
        (
            lambda: Adam([a]).add_param_group(3),
            TypeError,
            "Adam: a group must be a dict with 'params', got 3",
        ),
        (lambda: Adam([a]).load_state_dict({}), TypeError, "Adam: load_state_dict takes a dict with 'state'"),
    ]:
        with pytest.raises(error, match=message):
            bad()
    p, options = randn(4), (0.1, 0.0, 0.0, 0.0, False, False, False)
    frozen = p.copy()
    frozen.flags.writeable = False
    for params, grads, error, message in [
        ([p], [randn(5)], ValueError, r"grads\[0\] must have the shape of its parameter .*\(4,\).*\(5,\)"),
        ([p], [p], ValueError, r"grads\[0\] shares memory with params\[0\]"),
        ([p], [], ValueError, "1 params but 0 grads"),
        ([p], [randn(4, dtype=np.float64)], TypeError, r"params\[0\] is float32 but grads\[0\] is float64"),
        ([frozen], [p], ValueError, r"params\[0\] is read-only"),
    ]:
        with pytest.raises(error, match=f"sgd_step: {message}"):
            _cpu.sgd_step(params, grads, [], *options)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_step_of_adam_is_lr(dtype):
    """m' / sqrt(v') is the sign of g, to the last digits: 1 - beta2 = 0.001 must not be taken in float32."""
    g = randn(1000, dtype=dtype) + dtype(3)
    for isa in each_isa():
        p = Tensor(np.zeros(1000, dtype), requires_grad=True)
        p.grad = Tensor(g)
        Adam([p], lr=0.5, eps=0.0).step()
        np.testing.assert_allclose(p.numpy(), -0.5, rtol=8 * np.finfo(dtype).eps, err_msg=isa)
