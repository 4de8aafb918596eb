"""Parameters computed from others: weight_norm and spectral_norm against PyTorch, and the machinery below them."""

import copy

import numpy as np
import pytest
from support import assert_close, randn

import nnkern
from nnkern import Tensor, nn, optim
from nnkern.nn.utils import parametrizations, parametrize

try:
    import torch
except ImportError:
    torch = None
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed: nothing to compare with")


def both(name, *args):
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def compare(ours, theirs, *shape):
    """Names, values, result and gradients are PyTorch's."""
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    x, gy = randn(*shape), None
    y, ty = ours(Tensor(x)), theirs(torch.tensor(x))
    assert_close(y.data, ty.detach().numpy(), "chain", 60)
    gy = randn(*y.shape, seed=3)
    y.backward(gy)
    ty.backward(torch.tensor(gy))
    for (n, p), (tn, tp) in zip(ours.named_parameters(), theirs.named_parameters()):
        assert n == tn
        assert_close(p.grad.data, tp.grad.numpy(), "chain", 60, n)
    for (n, b), (_, tb) in zip(ours.state_dict().items(), theirs.state_dict().items()):
        assert_close(np.asarray(b), tb.numpy(), "chain", 60, n)


@needs_torch
@pytest.mark.parametrize("dim", [0, 1, -1, None])
@pytest.mark.parametrize(
    "name, args, shape", [("Linear", (5, 7), (3, 5)), ("Conv2d", (3, 4, 3), (2, 3, 6, 6))]
)
def test_weight_norm_equals_torch(name, args, shape, dim):
    ours, theirs = both(name, *args)
    before = ours.weight.data.copy()
    assert parametrizations.weight_norm(ours, dim=dim) is ours
    torch.nn.utils.parametrizations.weight_norm(theirs, dim=dim)
    assert_close(ours.weight.data, before, "chain")
    compare(ours, theirs, *shape)


@needs_torch
@pytest.mark.parametrize(
    "name, args, shape",
    [
        ("Linear", (5, 7), (3, 5)),
        ("Conv2d", (3, 4, 3), (2, 3, 6, 6)),
        ("ConvTranspose2d", (3, 4, 3), (2, 3, 6, 6)),
    ],
)
def test_spectral_norm_equals_torch(name, args, shape):
    ours, theirs = both(name, *args)
    parametrizations.spectral_norm(ours)
    torch.nn.utils.parametrizations.spectral_norm(theirs)
    compare(ours, theirs, *shape)
    compare(ours.eval(), theirs.eval(), *shape)


@needs_torch
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_recurrent_layers_use_what_is_parametrized(kind):
    ours, theirs = both(kind, 4, 6, 2)
    for module, tools, base in (
        (ours, (parametrize, parametrizations), nn.Module),
        (theirs, (torch.nn.utils.parametrize, torch.nn.utils.parametrizations), torch.nn.Module),
    ):
        tools[1].weight_norm(module, "weight_hh_l0")
        tools[1].weight_norm(module, "weight_ih_l1")
        twice = type("Twice", (base,), {"forward": lambda self, b: 2 * b})
        tools[0].register_parametrization(module, "bias_ih_l0", twice())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    x = randn(5, 3, 4)
    y, ty = ours(Tensor(x))[0], theirs(torch.tensor(x))[0]
    assert_close(y.data, ty.detach().numpy(), "chain", 60)
    gy = randn(*y.shape, seed=3)
    y.backward(gy)
    ty.backward(torch.tensor(gy))
    for (n, p), (_, tp) in zip(ours.named_parameters(), theirs.named_parameters()):
        assert_close(p.grad.data, tp.grad.numpy(), "chain", 200, n)


def test_spectral_norm_finds_the_largest_singular_value():
    layer = parametrizations.spectral_norm(nn.Linear(20, 30), n_power_iterations=50)
    for _ in range(20):
        weight = layer.weight.data
    assert abs(np.linalg.svd(weight)[1][0] - 1) < 1e-4
    for name in ("_u", "_v"):
        assert abs(np.linalg.norm(layer.parametrizations.weight[0]._buffers[name].data) - 1) < 1e-5
    bias = parametrizations.spectral_norm(nn.Linear(3, 4), "bias").bias
    assert abs(np.linalg.norm(bias.data) - 1) < 1e-5


class Symmetric(nn.Module):
    def forward(self, x):
        return (x + x.T) * 0.5


class Doubled(nn.Module):
    def forward(self, x):
        return x * 2

    def right_inverse(self, y):
        return y / 2


def test_the_machinery():
    layer = nn.Linear(4, 4)
    before = layer.weight.data.copy()
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert type(layer).__name__ == "ParametrizedLinear" and isinstance(layer, nn.Linear)
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    np.testing.assert_allclose(layer.weight.data, (before + before.T) / 2)
    assert [n for n, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    parametrize.register_parametrization(layer, "weight", Doubled())
    np.testing.assert_allclose(layer.weight.data, before + before.T)
    assert parametrize.is_parametrized(layer, "weight") and not parametrize.is_parametrized(layer, "bias")
    parametrize.register_parametrization(layer, "bias", Doubled())
    bias = layer.bias.data.copy()
    layer.bias = Tensor(bias + 1)
    np.testing.assert_allclose(layer.bias.data, bias + 1, rtol=1e-6)
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(twin.weight.data, layer.weight.data)
    optim.SGD(twin.parameters(), lr=0.1).step()
    parametrize.remove_parametrizations(layer, "bias")
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and not parametrize.is_parametrized(layer)
    np.testing.assert_allclose(layer.weight.data, before + before.T)
    assert list(layer.state_dict()) == ["bias", "weight"] and isinstance(layer.weight, nn.Parameter)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    original = layer.parametrizations.weight.original.data.copy()
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    np.testing.assert_array_equal(layer.weight.data, original)


def test_cached_computes_once():
    layer = parametrizations.weight_norm(nn.Linear(3, 2))
    assert layer.weight is not layer.weight
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight


def test_a_buffer_may_be_parametrised():
    layer = nn.BatchNorm1d(3)
    parametrize.register_parametrization(layer, "running_mean", Doubled())
    assert "parametrizations.running_mean.original" in layer.state_dict()
    assert all("original" not in n for n, _ in layer.named_parameters())
    parametrize.remove_parametrizations(layer, "running_mean")
    assert "running_mean" in dict(layer.named_buffers())


def test_training_moves_the_originals():
    nnkern.manual_seed(0)
    for norm in (parametrizations.weight_norm, parametrizations.spectral_norm):
        layer, x, y = norm(nn.Linear(5, 1)), randn(64, 5), randn(64, 1)
        steps = optim.SGD(layer.parameters(), lr=0.05)
        losses = []
        for _ in range(20):
            loss = nnkern.mse_loss(layer(Tensor(x)), Tensor(y))
            losses.append(loss.item())
            steps.zero_grad()
            loss.backward()
            steps.step()
        assert losses[-1] < losses[0]


def test_errors():
    layer = nn.Linear(3, 2)
    with pytest.raises(IndexError, match=r"weight_norm: dim 7 does not exist \(weight.shape=\(2, 3\)\)"):
        parametrizations.weight_norm(layer, dim=7)
    assert layer(randn(1, 3)).shape == (1, 2) and type(layer) is nn.Linear
    with pytest.raises(ValueError, match="Linear has no parameter or buffer 'weights' to parametrise"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weights", Doubled())
    with pytest.raises(ValueError, match=r"gives float32 \(4,\) for float32 \(2, 2\); pass unsafe=True"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", nn.Flatten(0))
    with pytest.raises(ValueError, match=r"Linear.weight is not parametrised"):
        parametrize.remove_parametrizations(nn.Linear(2, 2), "weight")
    with pytest.raises(ValueError, match="weight has 2 originals, not one"):
        parametrize.remove_parametrizations(parametrizations.weight_norm(nn.Linear(2, 2)), "weight", False)
    with pytest.raises(IndexError, match=r"spectral_norm: dim 2 does not exist \(weight.shape=\(2, 2\)\)"):
        parametrizations.spectral_norm(nn.Linear(2, 2), dim=2)
    with pytest.raises(ValueError, match="n_power_iterations must be positive, got 0"):
        parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
    with pytest.raises(ValueError, match="ReLU has no parameter 'weight' to normalise"):
        parametrizations.spectral_norm(nn.ReLU())
