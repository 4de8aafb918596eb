"""Layers: PyTorch's names, layouts, values and training steps; registration, state, hooks, repr, errors."""

import copy
import pickle

import numpy as np
import pytest
from support import assert_close, randn

import nnkern
from nnkern import Tensor, nn

try:
    import torch
except ImportError:
    torch = None
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed: nothing to compare with")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.body = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU())
        self.tied = self.first
        self.scale = nn.Parameter(np.ones(4, np.float32))
        self.register_buffer("mean", np.zeros(4, np.float32))
        self.register_buffer("cache", np.zeros(2, np.float32), persistent=False)

    def forward(self, x):
        return self.body(self.first(x)) * self.scale


def test_registration_and_walking():
    net = Net()
    names = ["scale", "first.weight", "first.bias", "body.0.weight"]
    assert [n for n, _ in net.named_parameters()] == names
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert len(list(net.parameters())) == 4 and all(p.requires_grad for p in net.parameters())
    assert [n for n, _ in net.named_buffers()] == ["mean", "cache"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "body", "body.0", "body.1"]
    assert [n for n, _ in net.named_children()] == ["first", "body"]
    assert net.get_submodule("body.0") is net.body[0]
    assert list(net.state_dict()) == [
        "scale",
        "mean",
        "first.weight",
        "first.bias",
        "body.0.weight",
        "tied.weight",
        "tied.bias",
    ]
    net.scale = None
    assert "scale" not in dict(net.named_parameters()) and net.scale is None
    del net.body
    assert "body" not in dict(net.named_children()) and not hasattr(net, "body")
    net.first = nn.Parameter(randn(2))  # another kind under the same name
    assert "first" in dict(net.named_parameters()) and "first" not in dict(net.named_children())


def test_registration_errors():
    net = Net()
    with pytest.raises(TypeError, match="Net.scale must be a Parameter or None, not Tensor"):
        net.scale = Tensor(randn(4))
    with pytest.raises(TypeError, match="Net.first must be a Module or None, not int"):
        net.first = 3
    with pytest.raises(TypeError, match="Net.mean must be a Tensor"):
        net.mean = 3
    with pytest.raises(KeyError, match="already has an attribute 'training'"):
        net.register_buffer("training", None)
    with pytest.raises(KeyError, match="can't be 'a.b'"):
        net.add_module("a.b", nn.ReLU())
    with pytest.raises(AttributeError, match="no submodule 'nope'"):
        net.get_submodule("body.nope")

    class Forgets(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) before setting Forgets.layer"):
        Forgets()


def test_modes_and_dtypes():
    net = Net()
    assert net.training and not net.eval().body[1].training and net.train().body[1].training
    net.double()
    assert all(p.dtype == np.float64 for p in net.parameters()) and net.mean.dtype == np.float64
    assert net.to("cpu").to(np.float32).first.weight.dtype == np.float32
    with pytest.raises(ValueError, match="device 'cuda' is not available"):
        net.to("cuda")
    with pytest.raises(TypeError, match="float32 or float64, not int64"):
        net.to(np.int64)
    assert nn.PReLU(2, dtype=np.float64).weight.dtype == np.float64 and nn.PReLU().weight.dtype == np.float32
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    seen = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen[-1] == "Net" and seen[0] == "Linear"
    net.scale.grad = Tensor(randn(4))
    net.zero_grad(set_to_none=False)
    assert (net.scale.grad.data == 0).all()
    net.zero_grad()
    assert net.scale.grad is None


def test_load_state_dict_lists_every_problem_and_changes_nothing():
    net = Net()
    before = {k: v.copy() for k, v in net.state_dict().items()}
    state = {k: v + 1 for k, v in before.items()}
    del state["mean"], state["tied.bias"]
    state["extra"] = randn(1)
    state["first.bias"] = randn(5)
    with pytest.raises(RuntimeError) as e:
        net.load_state_dict(state)
    for part in (
        "missing: mean, tied.bias",
        "unexpected: extra",
        r"first.bias has shape (5,) but (4,) is needed",
    ):
        assert part in str(e.value)
    for k, v in net.state_dict().items():
        np.testing.assert_array_equal(v, before[k])
    del state["first.bias"]
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["mean", "first.bias", "tied.bias"] and result.unexpected_keys == ["extra"]
    np.testing.assert_array_equal(net.scale.data, before["scale"] + 1)
    with pytest.raises(TypeError, match="load_state_dict: scale: expected an array"):
        net.load_state_dict({"scale": "x"}, strict=False)


def test_loading_keeps_parameters_and_dtype():
    net = Net()
    weight = net.first.weight
    net.load_state_dict({k: v.astype(np.float64) for k, v in Net().state_dict().items()})
    assert net.first.weight is weight and weight.dtype == np.float32


def test_copies_and_pickles():
    net = Net()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.first.weight is other._parameters.get("w", other.first._parameters["weight"])
        assert other.first is not net.first and other.tied is other.first
        np.testing.assert_array_equal(other.first.weight.data, net.first.weight.data)
        other.first.weight.data[...] = 9
        assert not (net.first.weight.data == 9).any()


def test_save_and_load_a_model(tmp_path):
    a, b = Net(), Net()
    nnkern.save(a.state_dict(), tmp_path / "net.safetensors")
    b.load_state_dict(nnkern.load(tmp_path / "net.safetensors"))
    for k, v in a.state_dict().items():
        np.testing.assert_array_equal(v, b.state_dict()[k])


def test_containers():
    seq = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    assert (
        len(seq) == 3 and isinstance(seq[-1], nn.Sigmoid) and [type(m) for m in seq[:2]] == [nn.ReLU, nn.Tanh]
    )
    seq[1] = nn.Identity()
    del seq[0]
    assert [type(m).__name__ for m in seq] == ["Identity", "Sigmoid"] and list(seq._modules) == ["0", "1"]
    with pytest.raises(IndexError, match="Sequential: index 5 is out of range for 2 modules"):
        seq[5]
    named = nn.Sequential({"a": nn.Identity()})
    assert isinstance(named.a, nn.Identity) and named("x") == "x"
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3)).append(nn.ReLU())
    assert (
        len(list(layers.parameters())) == 6 and isinstance(layers[1:], nn.ModuleList) and len(layers[1:]) == 3
    )
    d = nn.ModuleDict({"x": nn.Linear(1, 1), "y": nn.ReLU()})
    del d["y"]
    assert list(d) == list(d.keys()) == ["x"] and "x" in d and len(d) == 1 and dict(d.items())["x"] is d["x"]


@needs_torch
def test_repr_is_pytorchs():
    def build(m, bias):
        return m.Sequential(
            m.Linear(3, 4),
            m.ReLU(),
            m.Sequential(
                m.Flatten(), m.Linear(4, 2, bias=bias), m.GELU(approximate="tanh"), m.Softmax(dim=1)
            ),
            m.ModuleList([m.Linear(2, 2), m.Linear(2, 2), m.Tanh()]),
            m.ModuleDict({"a": m.Unflatten(1, (2, 2)), "b": m.Identity()}),
            m.CrossEntropyLoss(),
        )

    assert repr(build(nn, False)) == repr(build(torch.nn, False))
    assert repr(nn.Sequential()) == repr(torch.nn.Sequential()) and repr(nn.ModuleList()) == repr(
        torch.nn.ModuleList()
    )


def test_forward_hooks():
    layer, calls = nn.Identity(), []
    pre = layer.register_forward_pre_hook(lambda m, args: calls.append("pre") or (args[0] + 1,))
    post = layer.register_forward_hook(lambda m, args, y: calls.append(("post", args[0], y)) or y * 10)
    assert layer(1) == 20 and calls == ["pre", ("post", 2, 2)]
    pre.remove()
    assert layer(1) == 10
    post.remove()
    assert layer(1) == 1


def test_backward_hooks():
    seen = []

    def hook(module, gxs, gys):
        seen.append((gxs[0].data.copy(), gys[0].data.copy()))
        return (gxs[0] * 3,)

    layer = nn.Linear(3, 2)
    handle = layer.register_full_backward_hook(hook)
    x, gy = Tensor(randn(4, 3), requires_grad=True), randn(4, 2, seed=1)
    layer(x).backward(gy)
    np.testing.assert_allclose(seen[0][0], gy @ layer.weight.data, rtol=1e-5)
    np.testing.assert_array_equal(seen[0][1], gy)
    np.testing.assert_allclose(x.grad.data, 3 * gy @ layer.weight.data, rtol=1e-5)
    handle.remove()
    x.grad = None
    layer(x).backward(gy)
    np.testing.assert_allclose(x.grad.data, gy @ layer.weight.data, rtol=1e-5)
    assert len(seen) == 1


def test_backward_hook_without_input_gradient():
    seen = []
    layer = nn.Linear(3, 2)
    layer.register_full_backward_hook(lambda m, gxs, gys: seen.append((gxs, gys[0].shape)))
    layer(Tensor(randn(4, 3))).backward(randn(4, 2))
    assert seen == [((None,), (4, 2))]


def models(m):
    return {
        "mlp": m.Sequential(m.Linear(6, 8), m.ReLU(), m.Linear(8, 5, bias=False), m.Tanh(), m.Linear(5, 3)),
        "flat": m.Sequential(
            m.Unflatten(1, (2, 3)), m.Flatten(), m.Linear(6, 4), m.Sigmoid(), m.SiLU(), m.Identity()
        ),
        "gelu": m.Sequential(
            m.Linear(6, 8), m.GELU(), m.Linear(8, 8), m.GELU(approximate="tanh"), m.LogSoftmax(dim=-1)
        ),
        "softmax": m.Sequential(m.Linear(6, 4), m.Softmax(dim=1)),
    }


@needs_torch
@pytest.mark.parametrize("name", ["mlp", "flat", "gelu", "softmax"])
def test_layers_equal_torch(name):
    ours, theirs = models(nn)[name], models(torch.nn)[name]
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    copy_back = models(nn)[name]
    copy_back.load_state_dict(theirs.state_dict())
    for k, v in ours.state_dict().items():
        np.testing.assert_array_equal(copy_back.state_dict()[k], v)
    x = randn(7, 6)
    tx, ttx = Tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
    y, ty = ours(tx), theirs(ttx)
    assert_close(y.data, ty.detach().numpy(), "chain", 8)
    gy = randn(*y.shape, seed=2)
    y.backward(gy)
    ty.backward(torch.tensor(gy))
    assert_close(tx.grad.data, ttx.grad.numpy(), "chain", 8)
    for (k, p), q in zip(ours.named_parameters(), theirs.parameters()):
        assert_close(p.grad.data, q.grad.numpy(), "chain", 8, k)


@needs_torch
@pytest.mark.parametrize(
    "make", [lambda m: m.CrossEntropyLoss(), lambda m: m.CrossEntropyLoss(reduction="sum")]
)
def test_losses_equal_torch(make):
    x, target = randn(6, 4), np.array([0, 3, 1, 1, 2, 0])
    t, tt = Tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
    y, ty = make(nn)(t, target), make(torch.nn)(tt, torch.tensor(target))
    y.backward()
    ty.backward()
    assert_close(y.data, ty.detach().numpy(), "chain", 6)
    assert_close(t.grad.data, tt.grad.numpy(), "chain", 6)


@needs_torch
@pytest.mark.parametrize("optimiser", ["SGD", "Adam"])
def test_training_steps_equal_torch(optimiser):
    from nnkern import optim

    ours, theirs = models(nn)["mlp"].double(), models(torch.nn)["mlp"].double()
    theirs.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in ours.state_dict().items()})
    options = {"lr": 0.05, "momentum": 0.9} if optimiser == "SGD" else {"lr": 0.01}
    opt = getattr(optim, optimiser)(ours.parameters(), **options)
    topt = getattr(torch.optim, optimiser)(theirs.parameters(), **options)
    for step in range(20):
        x, target = randn(16, 6, dtype=np.float64, seed=step), np.arange(16) % 3
        loss, tloss = (
            nn.CrossEntropyLoss()(ours(x), target),
            torch.nn.CrossEntropyLoss()(theirs(torch.tensor(x)), torch.tensor(target)),
        )
        for o, l in ((opt, loss), (topt, tloss)):
            o.zero_grad()
            l.backward()
            o.step()
        assert abs(loss.item() - tloss.item()) < 1e-10
    for p, q in zip(ours.parameters(), theirs.parameters()):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-8, atol=1e-10)


def test_initial_values():
    nnkern.manual_seed(3)
    a = nn.Linear(400, 300)
    bound = 1 / 20
    for p in a.parameters():
        assert abs(p.data).max() <= bound and abs(p.data).max() > 0.98 * bound
        assert abs(p.data.std() - bound / 3**0.5) < 0.05 * bound
    nnkern.manual_seed(3)
    np.testing.assert_array_equal(nn.Linear(400, 300).weight.data, a.weight.data)
    w = nn.Parameter(np.empty((300, 100, 3), np.float32))
    for f, std in [
        (nn.init.xavier_uniform_, (2 / 1200) ** 0.5),
        (nn.init.xavier_normal_, (2 / 1200) ** 0.5),
        (nn.init.kaiming_uniform_, (2 / 300) ** 0.5),
        (lambda t: nn.init.kaiming_normal_(t, mode="fan_out", nonlinearity="linear"), (1 / 900) ** 0.5),
        (lambda t: nn.init.normal_(t, 1, 2), 2),
        (lambda t: nn.init.uniform_(t, -1, 1), 3**-0.5),
        (lambda t: nn.init.trunc_normal_(t, std=2.0, a=-1, b=1), 0.5663),
    ]:
        assert f(w) is w
        assert abs(w.data.std() / std - 1) < 0.03
    assert (nn.init.ones_(w).data == 1).all() and (nn.init.zeros_(w).data == 0).all()
    q = nn.init.orthogonal_(nn.Parameter(np.empty((4, 9)))).data
    np.testing.assert_allclose(q @ q.T, np.eye(4), atol=1e-12)
    with pytest.raises(ValueError, match="at least two dimensions"):
        nn.init.xavier_uniform_(nn.Parameter(randn(3)))
    with pytest.raises(ValueError, match="unknown nonlinearity 'x'"):
        nn.init.calculate_gain("x")


def test_load_state_dict_can_take_over_arrays():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    state = {
        k: np.array(v, np.float64 if v.dtype.kind == "f" else v.dtype) + 1
        for k, v in model.state_dict().items()
    }
    parameters = list(model.parameters())
    model.load_state_dict(state, assign=True)
    assert model[0].weight.data is state["0.weight"] and model[1].running_var.data is state["1.running_var"]
    assert [p is q for p, q in zip(parameters, model.parameters())] == [True] * 4 and parameters[
        0
    ].requires_grad
    assert model(Tensor(np.ones((2, 3)))).dtype == np.float64
    with pytest.raises(RuntimeError, match=r"0.weight is int64"):
        model.load_state_dict({k: np.ones(v.shape, np.int64) for k, v in state.items()}, assign=True)


def test_parameters_and_buffers_by_path():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    assert (
        model.get_parameter("0.bias") is model[0].bias
        and model.get_buffer("1.running_mean") is model[1].running_mean
    )
    for f, kind in ((model.get_parameter, "parameter"), (model.get_buffer, "buffer")):
        with pytest.raises(AttributeError, match=f"Linear has no {kind} 'x'"):
            f("0.x")


def test_all_parameters_as_a_vector():
    model = nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(model.parameters())
    (g,) = nnkern.grad((vector * 2).sum(), model.bias)
    assert vector.shape == (8,) and g.tolist() == [2, 2]
    nn.utils.vector_to_parameters(np.arange(8, dtype=np.float32), model.parameters())
    assert model.weight.tolist() == [[0, 1, 2], [3, 4, 5]] and model.bias.tolist() == [6, 7]
    with pytest.raises(ValueError, match=r"hold 8 numbers, the vector is \(7,\)"):
        nn.utils.vector_to_parameters(vector[1:], model.parameters())
    model.weight.grad = Tensor(np.full((2, 3), 2, np.float32))
    assert nn.utils.get_total_norm([model.weight.grad], 1.0).item() == 12
    nn.utils.clip_grads_with_norm_(model.parameters(), 1.0, 4.0)
    assert abs(model.weight.grad.data - 0.5).max() < 1e-6


def test_state_dict_keeps_vars():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = net.state_dict(prefix="net.", keep_vars=True)
    assert list(state) == [f"net.{name}" for name in net.state_dict()]
    assert state["net.0.weight"] is net[0].weight and state["net.1.running_mean"] is net[1].running_mean
    assert net.state_dict()["0.weight"] is net[0].weight.data


@pytest.mark.parametrize("call, error, message", [
    (lambda: nn.Linear(-1, 3), ValueError, "Linear: in_features can't be negative, got -1"),
    (lambda: nn.Linear(3, "4"), TypeError, "Linear: out_features must be a whole number, got '4'"),
    (lambda: nn.Linear(3.0, 4), TypeError, "Linear: in_features must be a whole number, got 3.0"),
    (lambda: nn.Bilinear(2, -3, 4), ValueError, "Bilinear: in2_features can't be negative, got -3"),
    (lambda: nn.Conv2d(2, 3, -1), ValueError, "Conv2d: kernel_size can't be negative, got -1"),
    (lambda: nn.Conv2d(2, 3, (3, 1.5)), TypeError, "Conv2d: kernel_size must be a whole number, got 1.5"),
    (lambda: nn.BatchNorm2d(-1), ValueError, "BatchNorm2d: num_features can't be negative, got -1"),
    (lambda: nn.LayerNorm((2, -1)), ValueError, r"LayerNorm: normalized_shape can't be negative, got \(2, -1\)"),
    (lambda: nn.Embedding(-1, 3), ValueError, "Embedding: num_embeddings can't be negative, got -1"),
    (lambda: nn.Dropout(None), TypeError, "Dropout: p must be a number, got NoneType"),
    (lambda: nn.Linear(2, 2).train("yes"), TypeError, "train: mode must be True or False, got str"),
    (lambda: nn.Linear(2, 2).to("foo"), TypeError, "dtype must be one that NumPy has, such as float32, got foo"),
    (lambda: nn.init.uniform_(nnkern.zeros(2), 1.0, 0.0), ValueError, "uniform_: a must not be above b"),
    (lambda: nn.init.normal_(nnkern.zeros(2), 0.0, -1.0), ValueError, "normal_: std must not be negative"),
])  # fmt: skip
def test_arguments_that_make_no_layer(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()


def test_only_its_own_kind_is_registered():
    m = nn.Linear(2, 2)
    for call, message in (
        (lambda: m.add_module("x", 3), "Linear.x must be a Module or None, not int"),
        (lambda: nn.Sequential(nn.ReLU(), abs), "Sequential.1 must be a Module or None, not builtin"),
        (lambda: nn.ModuleList([1]), "ModuleList.0 must be a Module or None, not int"),
        (lambda: nn.ModuleDict({"a": 3}), "ModuleDict.a must be a Module or None, not int"),
        (
            lambda: m.register_parameter("p", Tensor([1.0])),
            "Linear.p must be a Parameter or None, not Tensor",
        ),
        (
            lambda: m.register_buffer(3, [1.0]),
            "a name of a parameter, buffer or module must be a str, not int",
        ),
    ):
        with pytest.raises(TypeError, match=f"^{message}"):
            call()
    for call in (m.register_buffer, m.add_module):  # the parameter would be gone
        with pytest.raises(KeyError, match="Linear already has an attribute 'weight'"):
            call("weight", None)
    m.register_parameter("weight", None)
    assert list(m.state_dict()) == ["bias"]
