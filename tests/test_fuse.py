"""fuse_conv_bn: the same results with no BatchNorm left, or an error."""

import dataclasses

import numpy as np
import pytest
from support import randn

from nnkern import Tensor, nn


def settled(model):
    """Statistics and affine parameters that are not the neutral ones."""
    for m in model.modules():
        if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            n = m.running_mean.shape[0]
            m.running_mean.data[...] = randn(n, seed=1)
            m.running_var.data[...] = 0.5 + np.abs(randn(n, seed=2))
            if m.weight is not None:
                m.weight.data[...], m.bias.data[...] = randn(n, seed=3), randn(n, seed=4)
    return model


def kinds(model):
    return [type(m).__name__ for m in model.modules()]


class Block(nn.Module):
    def __init__(self, used_twice=False):
        super().__init__()
        self.bn = nn.BatchNorm2d(8)  # registered first: order says nothing
        self.conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.used_twice = used_twice

    def forward(self, x):
        y = self.conv(x)
        return self.bn(y, residual=y if self.used_twice else x, activation="relu")


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"groups": 2}])
def test_neighbours_in_a_sequential(n, options):
    conv, norm = getattr(nn, f"Conv{n}d"), getattr(nn, f"BatchNorm{n}d")
    model = settled(
        nn.Sequential(conv(4, 6, 3, **options), norm(6), nn.ReLU(), conv(6, 2, 1), norm(2, affine=False))
    )
    x = Tensor(randn(2, 4, *(7, 6, 5)[:n]))
    fused = nn.fuse_conv_bn(model)
    assert kinds(fused) == ["Sequential", kinds(model)[1], "Folded", "ReLU", kinds(model)[1], "Folded"]
    assert not fused.training and model.training and kinds(model)[2].startswith("BatchNorm")
    np.testing.assert_allclose(fused(x).data, model.eval()(x).data, rtol=1e-4, atol=1e-4)


def test_an_example_shows_what_feeds_what():
    x = Tensor(randn(2, 8, 6, 6))
    model = settled(nn.Sequential(Block(), nn.ReLU(), Block()))
    assert kinds(nn.fuse_conv_bn(model)) == kinds(model)  # nothing tells
    fused = nn.fuse_conv_bn(model, x)
    assert not any(k.startswith("BatchNorm") for k in kinds(fused))
    np.testing.assert_allclose(fused(x).data, model.eval()(x).data, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="fuse_conv_bn: the results would change"):
        nn.fuse_conv_bn(settled(nn.Sequential(Block(used_twice=True))), x)


class Wrapped(nn.Module):
    """A block that is used twice, and what wraps its results."""

    def __init__(self, wrap):
        super().__init__()
        self.conv, self.bn, self.wrap = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), wrap

    def forward(self, x):
        y = self.conv(x)
        return self.wrap(self.bn(y), y)


@dataclasses.dataclass
class Pair:
    a: Tensor
    b: Tensor


WRAPS = {
    "tuple": lambda a, b: (a, b),
    "dict": lambda a, b: {"a": a, "b": [b, None]},
    "dataclass": Pair,
    "ndarray": lambda a, b: b.detach().numpy(),
    "bools": lambda a, b: b > 0,
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_results_are_compared_whatever_holds_them(wrap):
    with pytest.raises(ValueError, match="fuse_conv_bn: the results would change"):
        nn.fuse_conv_bn(settled(Wrapped(WRAPS[wrap])), Tensor(randn(2, 8, 6, 6)))


def test_a_norm_of_two_names_is_folded():
    model, x = settled(Block()), Tensor(randn(2, 8, 6, 6))
    model.other = model.bn
    fused = nn.fuse_conv_bn(model, x)
    assert fused.bn is fused.other and type(fused.bn).__name__ == "Folded"
    np.testing.assert_allclose(fused(x).data, model.eval()(x).data, rtol=1e-4, atol=1e-4)


def test_frozen_parameters_stay_frozen():
    model = nn.Sequential(
        nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)
    )
    model[0].weight.requires_grad = model[2].weight.requires_grad = False
    trained = {name: p.requires_grad for name, p in nn.fuse_conv_bn(model).named_parameters()}
    assert trained == {"0.weight": False, "0.bias": True, "2.weight": False, "2.bias": False}


def test_what_is_shared_or_has_no_statistics_stays():
    conv = nn.Conv2d(8, 8, 3, padding=1)
    shared = settled(nn.Sequential(conv, nn.BatchNorm2d(8), conv, nn.BatchNorm2d(8)))
    x = Tensor(randn(2, 8, 6, 6))
    for fused in (nn.fuse_conv_bn(shared), nn.fuse_conv_bn(shared, x)):
        assert kinds(fused) == kinds(shared)
    loose = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8, track_running_stats=False))
    assert kinds(nn.fuse_conv_bn(loose)) == kinds(loose)


class Doubled(nn.Conv2d):
    def forward(self, x, residual=None, activation=None):
        return super().forward(x) * 2


class Fused(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.conv, self.bn, self.how = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), how

    def forward(self, x):
        return self.bn(
            self.conv(x, residual=x) if self.how == "residual" else self.conv(x, activation="relu")
        )


def changed_pair(how):
    conv, norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
    if how == "parametrised":
        nn.utils.parametrizations.spectral_norm(conv)
    elif how == "hook of conv":
        conv.register_forward_hook(lambda m, args, y: y * 2)
    elif how == "hook of norm":
        norm.register_forward_hook(lambda m, args, y: y * 2)
    elif how == "subclass":
        conv = Doubled(8, 8, 3, padding=1)
    else:
        conv.forward = lambda x: nn.Conv2d.forward(conv, x) * 2
    return settled(nn.Sequential(conv, norm))


@pytest.mark.parametrize("how", ["parametrised", "hook of conv", "hook of norm", "subclass", "own forward"])
def test_layers_that_do_something_else_stay(how):
    model, x = changed_pair(how), Tensor(randn(2, 8, 6, 6))
    expected = model.eval()(x).data
    for fused in (nn.fuse_conv_bn(model), nn.fuse_conv_bn(model, x)):
        assert kinds(fused) == kinds(model)
        np.testing.assert_array_equal(fused(x).data, expected)


@pytest.mark.parametrize("how", ["residual", "activation"])
def test_a_convolution_that_does_more_stays(how):
    model, x = settled(Fused(how)), Tensor(randn(2, 8, 6, 6))
    assert kinds(nn.fuse_conv_bn(model, x)) == kinds(model)


def test_a_removed_hook_is_no_hook():
    model = changed_pair("hook of conv")
    model[0]._hooks.post.clear()
    assert kinds(nn.fuse_conv_bn(model)) == ["Sequential", "Conv2d", "Folded"]
