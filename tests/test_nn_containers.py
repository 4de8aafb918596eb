"""Containers of modules and parameters, and the output layers of many classes: PyTorch's behaviour and state_dict."""

import copy
import pickle

import numpy as np
import pytest
from support import assert_close, randn

import nnkern
from nnkern import Tensor, nn, optim


def test_lists_of_modules_like_torch():
    a, b, c, d = (nn.Linear(2, 2) for _ in range(4))
    layers = nn.ModuleList([a, b])
    layers.insert(1, c)
    layers += [d]
    assert list(layers) == [a, c, b, d]
    assert list(layers.state_dict())[::2] == ["0.weight", "1.weight", "2.weight", "3.weight"]
    assert layers.pop(1) is c
    assert layers.pop() is d
    assert c not in layers
    assert b in layers
    assert list(layers) == [a, b]
    with pytest.raises(TypeError, match="ModuleList: several modules are needed, got int"):
        layers.extend(3)
    model = nn.Sequential(a, nn.ReLU())
    assert isinstance(model.insert(1, b)[1:], nn.Sequential)
    assert [type(m).__name__ for m in model] == ["Linear", "Linear", "ReLU"]


def test_dicts_of_modules():
    named = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.ReLU()})
    b = named["b"]
    assert named.pop("b") is b
    assert list(named) == ["a"]
    assert not hasattr(named, "b")
    named.clear()
    assert len(named) == 0
    with pytest.raises(KeyError):
        named["a"]
    with pytest.raises(KeyError):
        del named["training"]
    assert named.training


def test_parameter_list():
    w, b = nn.Parameter(randn(2, 3)), randn(3)
    listed = nn.ParameterList([w, b])
    listed.append(Tensor(randn(1)))
    assert listed[0] is w
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in listed)
    assert [n for n, _ in listed.named_parameters()] == ["0", "1", "2"]
    assert {k: v.shape for k, v in listed.state_dict().items()} == {"0": (2, 3), "1": (3,), "2": (1,)}
    listed[-1] = randn(4)
    assert listed[2].shape == (4,)
    assert len(listed[1:]) == 2
    assert isinstance(listed[1:], nn.ParameterList)
    del listed[1]
    assert len(listed) == 2
    assert list(listed.state_dict()) == ["0", "1"]
    again = pickle.loads(pickle.dumps(copy.deepcopy(listed)))
    np.testing.assert_array_equal(again[0].data, w.data)
    assert "(0): float32 parameter of shape (2, 3)" in repr(listed)
    with pytest.raises(TypeError, match="several parameters are needed, got Parameter"):
        nn.ParameterList(w)
    with pytest.raises(IndexError, match="ParameterList: index 5 is out of range for 2 parameters"):
        listed[5]
    with pytest.raises(TypeError):
        listed.append(None)


def test_parameter_dict():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = nn.ParameterDict({"left": randn(3, 2), "right": nn.Parameter(randn(3, 2, seed=1))})

        def forward(self, x, side):
            return x @ self.p[side]

    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["p.left", "p.right"]
    net(Tensor(randn(4, 3)), "left").sum().backward()
    assert net.p["left"].grad is not None
    assert net.p["right"].grad is None
    assert net.p.get("up") is None
    assert net.p.setdefault("up", randn(2)) is net.p["up"]
    assert sorted(net.p.keys()) == ["left", "right", "up"]
    assert net.p.pop("up").shape == (2,)
    other = Net()
    other.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(other.p["right"].data, net.p["right"].data)


def both_adaptive(torch, **options):
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 30, [4, 12], 2.0, **options).double()
    ours = nn.AdaptiveLogSoftmaxWithLoss(8, 30, [4, 12], 2.0, **options, dtype=np.float64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("head_bias", (False, True))
@pytest.mark.parametrize("target", ([0, 3, 5, 29, 11, 12, 4], [1, 2], [20], [29, 29, 5]))
def test_adaptive_log_softmax_like_torch(head_bias, target):
    torch = pytest.importorskip("torch")
    ours, theirs = both_adaptive(torch, head_bias=head_bias)
    x = randn(len(target), 8, dtype=np.float64)
    t, tx = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = ours(t, np.array(target)), theirs(tx, torch.tensor(target))
    np.testing.assert_allclose(y.output.data, expected.output.detach(), rtol=1e-12)
    y.loss.backward()
    expected.loss.backward()
    np.testing.assert_allclose(y.loss.item(), expected.loss.item(), rtol=1e-12)
    np.testing.assert_allclose(t.grad.data, tx.grad, rtol=1e-10, atol=1e-14)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters()):
        assert (p.grad is None) == (q.grad is None), name
        if p.grad is not None:
            np.testing.assert_allclose(p.grad.data, q.grad, rtol=1e-10, atol=1e-14, err_msg=name)
    np.testing.assert_allclose(ours.log_prob(t).data, theirs.log_prob(tx).detach(), rtol=1e-12)
    np.testing.assert_array_equal(ours.predict(t).data, theirs.predict(tx))
    single = ours(Tensor(x[0]), np.array(target[0]))
    assert single.output.shape == ()
    np.testing.assert_allclose(single.output.item(), y.output.data[0], rtol=1e-12)


def test_adaptive_log_softmax_refuses():
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 30, [4, 12])
    for cutoffs in ([], [0, 3], [5, 5], [7, 3], [30], [2.5]):
        with pytest.raises(ValueError, match="cutoffs must be rising whole numbers"):
            nn.AdaptiveLogSoftmaxWithLoss(8, 30, cutoffs)
    with pytest.raises(ValueError, match=r"target\[1\] is 30, but there are 30 classes"):
        layer(nnkern.randn(2, 8), np.array([0, 30]))
    with pytest.raises(ValueError, match=r"target \(N,\)"):
        layer(nnkern.randn(2, 8), np.array([0]))
    with pytest.raises(TypeError, match="whole numbers, got float64"):
        layer(nnkern.randn(1, 8), np.array([0.0]))


def test_adaptive_log_softmax_learns():
    nnkern.manual_seed(0)
    x, target = randn(64, 16), np.random.default_rng(0).integers(0, 50, 64)
    layer = nn.AdaptiveLogSoftmaxWithLoss(16, 50, [10, 25], 2.0)
    optimiser = optim.Adam(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = layer(Tensor(x), target).loss
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3


@pytest.mark.parametrize("out_features", ((), (4,), (2, 3)))
@pytest.mark.parametrize("bias", (False, True))
def test_linear_cross_entropy_loss_like_torch(out_features, bias):
    torch = pytest.importorskip("torch")
    if not hasattr(torch.nn, "LinearCrossEntropyLoss"):
        pytest.skip("this PyTorch has no LinearCrossEntropyLoss")
    theirs = torch.nn.LinearCrossEntropyLoss(
        5, 10, out_features=out_features, bias=bias, label_smoothing=0.1
    ).double()
    ours = nn.LinearCrossEntropyLoss(
        5, 10, out_features=out_features, bias=bias, label_smoothing=0.1, dtype=np.float64
    )
    ours.load_state_dict(theirs.state_dict())
    x = randn(3, 5, dtype=np.float64)
    target = np.random.default_rng(1).integers(0, 10, (3, *out_features))
    target.flat[0] = -100
    y, expected = ours(Tensor(x), target), theirs(torch.tensor(x), torch.tensor(target))
    y.backward()
    expected.backward()
    np.testing.assert_allclose(y.item(), expected.item(), rtol=1e-12)
    for p, q in zip(ours.parameters(), theirs.parameters()):
        np.testing.assert_allclose(p.grad.data, q.grad, rtol=1e-10, atol=1e-15)


def test_arguments_that_torch_models_pass():
    assert isinstance(nn.ConvTranspose2d(2, 3, 3, padding_mode="zeros"), nn.Module)
    with pytest.raises(ValueError, match="ConvTranspose2d: padding_mode must be 'zeros', got 'reflect'"):
        nn.ConvTranspose2d(2, 3, 3, padding_mode="reflect")
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    assert len(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).layers) == 2
    assert list(nn.ModuleDict(modules={"a": nn.ReLU()})) == ["a"]
    assert list(nn.ParameterDict(parameters={"a": randn(2)})) == ["a"]


def test_shared_children_are_visited_once():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2)
            self.again = self.a
            self.nothing = None
            self.add_module("empty", None)

    net, seen = Net(), []
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "Net"]
    assert [n for n, _ in net.named_children()] == ["a"]


def test_deepcopy_keeps_hooks():
    calls = []
    layer = nn.Sequential(nn.Linear(2, 2))
    layer[0].register_forward_hook(lambda module, args, y: calls.append(module))
    copied = copy.deepcopy(layer)
    x = nnkern.randn(1, 2)
    copied(x)
    assert calls == [copied[0]]
    copied[0].register_forward_hook(lambda module, args, y: y * 0)
    assert layer(x).data.any()
    assert not copied(x).data.any()
    assert len(pickle.loads(pickle.dumps(layer))) == 1


RELU_NETS = {
    "linear": (
        lambda: nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(inplace=True)),
        (6, 5),
    ),
    "conv": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.ReLU()), (3, 2, 8, 8)),
    "pool": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2)), (3, 2, 8, 8)),
    "pool of padded rows": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 4, 3), nn.ReLU(True), nn.MaxPool1d(3, 2, padding=1, ceil_mode=True)
        ),
        (3, 2, 10),
    ),
    "pool of steps of 1": (
        lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.MaxPool1d(2, 1)),
        (3, 2, 9),
    ),
    "norm": (lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.ReLU()), (3, 2, 9)),
}


@pytest.mark.parametrize("name", RELU_NETS)
def test_sequential_leaves_relu_to_the_layer_before(name):
    """The same as one after another: results, gradients, second derivatives."""
    make, shape = RELU_NETS[name]
    model = make().double()
    leaves = [Tensor(randn(*shape, dtype=np.float64), requires_grad=True), *model.parameters()]

    def in_turn(x):
        for layer in model:
            x = layer(x)
        return x

    y, expected = model(leaves[0]), in_turn(leaves[0])
    assert_close(y.data, expected.data, n=16)
    assert (y.data >= 0).all()
    g = Tensor(randn(*y.shape, dtype=np.float64, seed=1))
    for ours, theirs in zip(nnkern.grad(y, leaves, g), nnkern.grad(expected, leaves, g)):
        assert_close(ours.data, theirs.data, n=64)
    nnkern.gradgradcheck(lambda x, *_: model(x), leaves)


def test_sequential_leaves_relu_before_a_pool_that_gives_more_than_the_largest():
    """Indices of equal zeros differ from those of what they were; a hook sees what its layer gets."""
    conv, x = nn.Conv1d(1, 2, 1), Tensor(randn(3, 1, 8))
    y, i = nn.Sequential(conv, nn.ReLU(), nn.MaxPool1d(4, return_indices=True))(x)
    expected = nnkern.ops.max_pool1d(nnkern.ops.relu(conv(x)), 4, return_indices=True)
    np.testing.assert_array_equal(y.data, expected[0].data)
    np.testing.assert_array_equal(i.data, expected[1].data)
    seen = []
    model = nn.Sequential(conv, nn.ReLU(), nn.MaxPool1d(4))
    model[2].register_forward_hook(lambda m, args, y: seen.append(float(args[0].data.min())))
    model(x)
    assert seen == [0]
    with nnkern.no_grad():
        np.testing.assert_array_equal(nn.Sequential(conv, nn.ReLU(), nn.MaxPool1d(4))(x).data, y.data)


def test_sequential_leaves_relu_alone_where_it_would_be_missed():
    class Own(nn.Linear):
        def forward(self, x):
            return super().forward(x)

    seen = []
    x = Tensor(randn(4, 3))
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    handle = model[0].register_forward_hook(lambda m, args, y: seen.append(float(y.data.min())))
    model(x)
    assert seen[0] < 0  # what the layer gives, not the ReLU
    handle.remove()
    model[1].register_forward_hook(lambda m, args, y: seen.append(float(y.data.min())))
    model(x)
    assert seen[1] == 0
    own = nn.Sequential(Own(3, 3), nn.ReLU())
    assert float(own(x).data.min()) == 0
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    model[1].forward = lambda x: x * 0 + 7
    assert (model(x).data == 7).all()
    model[0].forward = lambda x: x
    del model[1].__dict__["forward"]
    np.testing.assert_array_equal(model(x).data, np.maximum(x.data, 0))
