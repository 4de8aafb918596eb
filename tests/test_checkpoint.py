"""checkpoint: values, gradients and random numbers as without it, parameters' gradients included."""

import numpy as np
import pytest
from support import randn

import nnkern
from nnkern import Tensor, nn


def gradients(model, x, run):
    nnkern.manual_seed(3)
    t = Tensor(x, requires_grad=True)
    y = run(model, t)
    (y * y).sum().backward()
    result = [y.data, t.grad.data, *(p.grad.data for p in model.parameters())]
    model.zero_grad()
    return result


@pytest.mark.parametrize("x_needs", (True, False))
def test_a_module_gets_its_gradients(x_needs):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    x = randn(5, 4, dtype=np.float64)

    def around(f):  # the sum gives x a gradient in any case
        return lambda m, t: f(m, t if x_needs else t.detach()) + t.sum() * 0

    plain = gradients(model, x, around(lambda m, t: m(t)))
    for run in (
        nnkern.checkpoint,
        lambda m, t: nnkern.checkpoint(lambda z: nnkern.checkpoint(m, z), t),
        lambda m, t: nnkern.checkpoint(lambda: m(t), use_reentrant=False),
    ):
        for a, b in zip(gradients(model, x, around(run)), plain):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_random_numbers_go_on_as_without_it():
    nnkern.manual_seed(0)
    drop, x = nn.Dropout(0.5), Tensor(np.ones(1000, np.float32), requires_grad=True)
    y = nnkern.checkpoint(drop, x)
    after = nnkern.random.get_state()["state"]["counter"].tolist()
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, y.data)
    assert nnkern.random.get_state()["state"]["counter"].tolist() == after


def test_what_was_computed_before():
    w = Tensor(randn(3, dtype=np.float64), requires_grad=True)
    doubled = w * 2
    x = Tensor(randn(3, seed=1, dtype=np.float64), requires_grad=True)

    def block(z):
        return z * doubled * w, z + doubled

    def total(f):
        a, b = f(x)
        return (a * a).sum() + (b * b).sum() + (doubled * doubled).sum()

    expected = nnkern.grad(total(block), (x, w), retain_graph=True)
    for g, e in zip(
        nnkern.grad(total(lambda z: nnkern.checkpoint(block, z)), (x, w), retain_graph=True), expected
    ):
        np.testing.assert_allclose(g.data, e.data, rtol=1e-12)
    x.grad = w.grad = None
    total(lambda z: nnkern.checkpoint(block, z)).backward(retain_graph=True)
    np.testing.assert_allclose(w.grad.data, expected[1].data, rtol=1e-12)

    def second(f):
        gx, gw = nnkern.grad(total(f), (x, w), create_graph=True)
        return nnkern.grad((gx * gx).sum() + (gw * gw).sum(), (x, w), retain_graph=True)

    for f in (
        lambda z: nnkern.checkpoint(block, z),
        lambda z: nnkern.checkpoint(lambda a, b: block(a), z, doubled),
    ):
        for g, e in zip(second(f), second(block)):
            np.testing.assert_allclose(g.data, e.data, rtol=1e-12)


def test_hooks_run_once():
    w = Tensor(np.ones(2), requires_grad=True)
    doubled = w * 2
    calls = []
    w.register_hook(lambda g: calls.append("w"))
    doubled.register_hook(lambda g: calls.append("doubled"))
    nnkern.checkpoint(lambda z: z * w * doubled, Tensor(np.ones(2))).sum().backward()
    assert calls == ["doubled", "w"]
    assert w.grad.tolist() == [4, 4]


def test_second_derivatives_and_no_grad():
    layer = nn.Linear(3, 2).double()
    x = Tensor(randn(4, 3, dtype=np.float64), requires_grad=True)

    def second(f):
        (g,) = nnkern.grad(nnkern.tanh(f(x)).sum(), x, create_graph=True)
        return nnkern.grad((g * g).sum(), (x, layer.weight))

    for a, b in zip(second(lambda z: nnkern.checkpoint(layer, z)), second(layer)):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12)
    with nnkern.no_grad():
        assert not nnkern.checkpoint(layer, x).requires_grad
    assert not nnkern.checkpoint(lambda z: z * 2, x.detach()).requires_grad


def test_load_state_dict_names_every_problem_and_changes_nothing():
    layer = nn.BatchNorm1d(2)
    before = {k: v.copy() for k, v in layer.state_dict().items()}
    wrong = {
        **before,
        "running_mean": np.ones(2) + 1,
        "weight": np.ones(2, complex),
        "num_batches_tracked": np.array(0.5),
    }
    with pytest.raises(
        RuntimeError, match=r"weight is complex128 but float32(.|\n)*num_batches_tracked is float64"
    ):
        layer.load_state_dict(wrong)
    for k, v in layer.state_dict().items():
        np.testing.assert_array_equal(v, before[k])
    with pytest.raises(TypeError, match="load_state_dict: a dict of arrays is needed, got str"):
        layer.load_state_dict("model.pt")


def test_load_state_dict_takes_bfloat16():
    torch = pytest.importorskip("torch")
    layer = nn.Linear(2, 1)
    layer.load_state_dict(
        {"weight": torch.tensor([[0.5, -2.0]], dtype=torch.bfloat16), "bias": torch.ones(1)}
    )
    assert layer.weight.tolist() == [[0.5, -2.0]]
