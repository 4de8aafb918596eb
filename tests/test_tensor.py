"""Tensor as an object: construction, facts, conversions, operators, printing, copying."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from support import randn

import nnkern
from nnkern import Tensor


def test_construction():
    a = randn(2, 3)
    assert Tensor(a).data is a and Tensor(a).shape == (2, 3) and Tensor(a).dtype == np.float32
    assert (
        Tensor([1.0, 2.0]).dtype == np.float32
        and Tensor([1, 2]).dtype == np.int64
        and Tensor(1.5).dtype == np.float32
    )
    assert Tensor(Tensor(a)).data is a and Tensor([[True], [False]]).dtype == np.bool_
    for bad in ("text", None, object(), ["a"], {1: 2}):
        with pytest.raises(TypeError, match="Tensor"):
            Tensor(bad)
    with pytest.raises(ValueError, match="device 'cuda' is not available"):
        Tensor(a, device="cuda")


@pytest.mark.parametrize("dtype", ["O", "U3", "S3", "M8[s]", "m8[s]", "complex64", "V4", [("a", "f4")]])
def test_only_numbers_become_a_tensor(dtype):
    a = np.zeros(2, dtype)
    for make in (Tensor, nnkern.tensor, nnkern.from_numpy, nnkern.nn.Parameter):
        with pytest.raises(
            TypeError, match="Tensor: .*can't become a tensor; floats, integers and bools can"
        ) as e:
            make(a)
        assert str(a.dtype) in str(e.value)


def test_a_masked_array_is_refused():
    a = np.ma.masked_array([1.0, 2.0], [True, False])
    with pytest.raises(TypeError, match=r"mask would be lost; pass x.filled\(value\)"):
        Tensor(a)
    assert Tensor(a.filled(0)).tolist() == [0, 2]
    assert type(Tensor(np.ones(2).view(np.recarray)).data) is np.ndarray


def test_requires_grad_is_checked_when_it_is_set():
    x = Tensor([1, 2])
    with pytest.raises(TypeError, match="only float32 and float64 tensors have gradients, not int64"):
        x.requires_grad = True
    x.requires_grad = False
    leaf = Tensor([1.0, 2.0])
    for bad in (1, None, "yes"):
        with pytest.raises(TypeError, match="requires_grad must be True or False, got"):
            leaf.requires_grad = bad
    leaf.requires_grad = True
    y = leaf * 2
    y.requires_grad = True
    with pytest.raises(RuntimeError, match="only leaves can be switched off"):
        y.requires_grad = False
    y.sum().backward()
    assert leaf.grad.tolist() == [2, 2]


def test_data_may_be_replaced_by_arrays():
    x, a = Tensor([1, 2]), randn(3)
    x.data = a
    assert x.data is a and x.shape == (3,)
    x.data = Tensor(a) * 2
    assert type(x.data) is np.ndarray and x.tolist() == (a * 2).tolist()
    for bad in ([1.0, 2.0], 1.0, None, "text", np.array(["a"]), np.zeros(2, complex)):
        with pytest.raises(TypeError, match="data: "):
            x.data = bad
    with pytest.raises(TypeError, match="masked array"):
        x.data = np.ma.masked_array([1.0], [True])
    x.requires_grad = True
    x.data = randn(2, dtype=np.float64)
    for bad in (np.arange(2), np.zeros(2, np.float16)):
        with pytest.raises(TypeError, match="data: .*float32 or float64, as the tensor requires grad.*, got"):
            x.data = bad
    assert x.dtype == np.float64


def test_facts():
    t = Tensor(randn(2, 3, 4))
    assert (t.ndim, t.dim(), t.numel(), t.size(), t.size(1), len(t), t.device) == (
        3,
        3,
        24,
        (2, 3, 4),
        3,
        2,
        "cpu",
    )
    assert t.is_leaf and t.grad_fn is None and t.is_contiguous() and not t.permute(2, 0, 1).is_contiguous()
    assert [r.shape for r in t] == [(3, 4), (3, 4)]
    assert (
        Tensor([3.5]).item() == 3.5
        and float(Tensor(2.0)) == 2
        and int(Tensor([7])) == 7
        and bool(Tensor([1]))
    )
    assert Tensor([[1, 2]]).tolist() == [[1, 2]] and [10, 20][Tensor(1)] == 20
    with pytest.raises(ValueError, match=r"item: .*shape is \(2,\)"):
        Tensor([1.0, 2.0]).item()
    with pytest.raises(TypeError, match="0-d"):
        len(Tensor(1.0))


def test_operators_equal_numpy():
    a, b = randn(3, 4), np.abs(randn(3, 4, seed=1)) + np.float32(0.5)
    x, y = Tensor(a), Tensor(b)
    pairs = [
        (x + y, a + b), (x - y, a - b), (x * y, a * b), (x / y, a / b), (2 + x, 2 + a), (2 - x, 2 - a), (2 * x, 2 * a),
        (2 / y, 2 / b), (y**2, b**2), (-x, -a), (abs(x), abs(a)), (x @ y.T, a @ b.T), (x < y, a < b), (x == x, a == a),
        (x != y, a != b), (x >= 0, a >= 0), (a + y, a + b), (a @ y.T, a @ b.T), (x + b, a + b), (x[1], a[1]),
        (x[:, ::2], a[:, ::2]), (x[a > 0], a[a > 0]), (2**x, 2**a),
    ]  # fmt: skip
    for got, expected in pairs:
        assert isinstance(got, Tensor)
        np.testing.assert_allclose(got.numpy(), expected, rtol=2e-6, atol=1e-6)


def test_printing():
    assert repr(Tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(Tensor([1.0], requires_grad=True)) == "tensor([1.], requires_grad=True)"
    assert repr(Tensor([1.0], requires_grad=True) * 2) == "tensor([2.], grad_fn=<Mul>)"
    assert repr(Tensor(np.ones(1))) == "tensor([1.], dtype=float64)"


def test_copies():
    x = Tensor(randn(3), requires_grad=True)
    (x * 2).sum().backward()
    y = copy.deepcopy(x)
    assert y.requires_grad and y.data is not x.data and np.array_equal(y.grad.data, x.grad.data)
    z = pickle.loads(pickle.dumps(x))
    assert z.requires_grad and np.array_equal(z.data, x.data)
    for f in (copy.deepcopy, pickle.dumps):
        with pytest.raises(RuntimeError, match="leaf"):
            f(x * 2)
    with pytest.raises(RuntimeError, match="detach"):
        (x * 2).numpy()
    assert {x: 1}[x] == 1


def test_array_protocol():
    x = Tensor(randn(3))
    assert np.asarray(x) is x.data and np.asarray(x, np.float64).dtype == np.float64
    assert np.array(x, copy=True) is not x.data
    np.testing.assert_array_equal(np.from_dlpack(x), x.data)
    assert nnkern.zeros(2, 3).shape == (2, 3)


def _square_view(x):
    a = x * x
    return a, a.T


IN_PLACE = [
    lambda a, v, w: a.exp_(), lambda a, v, w: a.mul_(w), lambda a, v, w: v.exp_(), lambda a, v, w: a.copy_(w),
    lambda a, v, w: a.__setitem__(0, 2.0), lambda a, v, w: v.__setitem__(slice(1, None), w.T[1:]),
]  # fmt: skip


@pytest.mark.parametrize("change", range(len(IN_PLACE)))
def test_a_view_follows_its_base_through_changes(change):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    x, w = randn(3, 4, dtype=np.float64), randn(3, 4, dtype=np.float64, seed=1)
    grads = []
    for make in (
        lambda a: Tensor(a.copy(), requires_grad=True),
        lambda a: torch.tensor(a, requires_grad=True),
    ):
        leaf, other = make(x), make(w)
        a, v = _square_view(leaf)
        IN_PLACE[change](a, v, other)
        ((v * 2).sigmoid().sum() + a.sum()).backward()
        grads.append([np.zeros((3, 4)) if t.grad is None else t.grad.tolist() for t in (leaf, other)])
    np.testing.assert_allclose(*grads, rtol=1e-12)


def test_a_view_tells_of_the_history_that_its_base_got():
    w = Tensor([3.0, 4.0, 5.0], requires_grad=True)

    def view():
        base = Tensor([0.0, 1.0, 2.0])
        v = base[1:]
        assert v.is_leaf and not v.requires_grad
        base.add_(w)
        return v

    assert view().requires_grad and not view().is_leaf
    assert view().grad_fn.name == "takeview" and "grad_fn=<TakeView>" in repr(view())
    for refused in (Tensor.numpy, copy.deepcopy, lambda v: setattr(v, "requires_grad", False)):
        with pytest.raises(RuntimeError, match="detach"):
            refused(view())
    v = view()
    v.retain_grad()
    v.register_hook(lambda g: g * 2)
    (v * v).sum().backward()
    assert v.grad.tolist() == [20, 28] and w.grad.tolist() == [0, 20, 28]


def test_an_expanded_view_gets_the_history_that_its_base_gets():
    base, w = Tensor(np.zeros(3)), Tensor(np.ones(3), requires_grad=True)
    view = base.expand(2, 4, 3)
    base.add_(w)
    (view * np.arange(24.0).reshape(2, 4, 3)).sum().backward()
    assert w.grad.tolist() == np.arange(24.0).reshape(8, 3).sum(0).tolist()


def test_views_of_a_detached_tensor_follow_it():
    x, w = Tensor(np.ones((2, 3)), requires_grad=True), Tensor(np.full((2, 3), 2.0), requires_grad=True)
    y = (x * 1).detach()
    rows = y[0], y.reshape(-1)
    y.mul_(w)
    (rows[0] * 3 + rows[1][:3]).sum().backward()
    assert w.grad.tolist() == [[4, 4, 4], [0, 0, 0]] and x.grad is None


def test_a_detached_tensor_keeps_no_history_alive():
    x = Tensor(np.ones(3), requires_grad=True)
    y = x * 2
    before, state = weakref.ref(y), y.detach()
    del y
    gc.collect()
    assert before() is None
    z = state.exp()
    assert not z.requires_grad


def test_a_change_of_what_was_detached_is_found():
    x = Tensor(np.ones(3), requires_grad=True)
    for use in (lambda y: (y, y * y), lambda y: (y, y.exp())):
        y, z = use(x * 1)
        y.detach().detach()[1:].zero_()
        if z.grad_fn.name == "mul":
            with pytest.raises(RuntimeError, match="backward of mul needs an array .* zero_ at"):
                z.sum().backward()
    z = (x * 1).exp()
    z.detach().zero_()
    with pytest.raises(RuntimeError, match="backward of exp needs an array .* zero_ at"):
        z.sum().backward()


def test_changes_of_a_view_of_a_transposed_result_are_taped():
    a, w = randn(3, 4, dtype=np.float64), randn(4, dtype=np.float64, seed=1)
    x, v = Tensor(a, requires_grad=True), Tensor(w, requires_grad=True)
    y = x.T.sin()
    assert not y.is_contiguous()
    y[:, 1].mul_(v)
    (y * np.arange(12.0).reshape(4, 3)).sum().backward()
    g = np.arange(12.0).reshape(4, 3)
    np.testing.assert_allclose(v.grad.data, g[:, 1] * np.sin(a[1]), rtol=1e-12)
    g[:, 1] *= w
    np.testing.assert_allclose(x.grad.data, g.T * np.cos(a), rtol=1e-12)


def test_what_no_gradient_needs_may_change():
    x, w = Tensor(np.ones((2, 2))), Tensor(np.full((2, 2), 3.0), requires_grad=True)
    for f in (nnkern.mul, nnkern.matmul, nnkern.functional.linear):
        y = f(x, w)
        with nnkern.no_grad():
            w.mul_(2)  # serves the gradient of x alone
        y.sum().backward()
        y = f(x, w)
        x.mul_(1)
        with pytest.raises(RuntimeError, match="changed it in place"):
            y.sum().backward()


def test_a_view_gets_the_history_that_its_base_gets():
    base, w = Tensor(np.zeros((2, 3))), Tensor(np.ones((2, 3)), requires_grad=True)
    view, apart = base[1], base.detach()
    base.copy_(w)
    (view * 3).sum().backward()
    assert w.grad.tolist() == [[0, 0, 0], [3, 3, 3]]
    assert not (apart * 1).requires_grad and not (apart[0] * 1).requires_grad


def test_a_refused_change_changes_nothing():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    for change in (lambda v: v.mul_(2), lambda v: v.__setitem__(0, 5.0), lambda v: v.zero_()):
        with pytest.raises(RuntimeError, match="leaf that requires grad"):
            change(x[1])
    assert x.data.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_formatting_like_torch():
    x = Tensor([1.25])
    assert f"{x.sum():.1f} {x.sum():>8.3f} {Tensor(np.int64(7)):03d}" == "1.2    1.250 007"
    assert f"{x}" == str(x)
    with pytest.raises((TypeError, ValueError)):
        f"{x:.2f}"


def test_casts_like_torch():
    x = Tensor([[1.5, -2.0, 0.0]], requires_grad=True)
    for name, dtype in (("double", np.float64), ("int", np.int32), ("long", np.int64), ("bool", np.bool_)):
        y = getattr(x, name)()
        assert y.dtype == dtype
        np.testing.assert_array_equal(y.data, x.data.astype(dtype))
    assert x.float() is x
    assert x.to("cpu") is x
    assert x.to(np.float64).dtype == x.to(dtype="float64").dtype == x.to(x.double()).dtype == np.float64
    (g,) = nnkern.grad(x.double().sum(), x)
    assert g.dtype == np.float32
    with pytest.raises(ValueError, match="device 'cuda'"):
        x.to("cuda")
    assert x.t().shape == (3, 1)
    assert x[0].t().shape == (3,)
    with pytest.raises(ValueError, match="t: at most 2 dims"):
        x.reshape(1, 1, 3).t()


def test_diagonals_and_empty_views_may_be_changed():
    x = Tensor(np.ones((3, 3)))
    x.diagonal().fill_(2.0)
    assert x.tolist() == (np.ones((3, 3)) + np.eye(3)).tolist()
    y = Tensor(np.ones((3, 3)), requires_grad=True) * 1
    y.diagonal().mul_(2.0)
    assert y.tolist() == x.tolist()
    x = Tensor(np.zeros((0, 3)), requires_grad=True)
    y = x * 1
    y[:, 1].add_(1.0)
    y.sum().backward()
    assert x.grad.shape == (0, 3)


def test_the_cpu_under_other_names_and_grad_deleted():
    x = Tensor(np.ones(2), requires_grad=True)
    assert x.to("cpu:0") is x and x.to("cpu", non_blocking=True) is x
    x.sum().backward()
    del x.grad
    assert x.grad is None


DTYPES = ["bool", "uint8", "int64", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_copy_and_fill_convert_like_torch(dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    a = np.array([0, 1, 2.7])
    for value in (2.5, 0.0, 3, True):
        fill = torch.zeros(3, dtype=getattr(torch, dtype)).fill_(value)
        for given in (value, Tensor(value), np.asarray(value)):
            assert Tensor(np.ones(3, dtype)).fill_(given).tolist() == fill.tolist()
    for other in DTYPES:
        want = torch.ones(3, dtype=getattr(torch, dtype)).copy_(torch.tensor(a).to(getattr(torch, other)))
        for given in (Tensor(a).to(other), a.astype(other)):
            x = Tensor(np.ones(3, dtype)).copy_(given)
            assert x.dtype == dtype and x.tolist() == want.tolist()
    assert Tensor(np.ones(2, dtype)).zero_().tolist() == [0, 0]


def test_what_fill_and_copy_refuse():
    for value in (300, -1, 1e30, float("nan"), float("inf")):
        with pytest.raises(OverflowError, match="fill_: uint8 can't hold"):
            Tensor(np.zeros(2, np.uint8)).fill_(value)
    with pytest.raises(ValueError, match=r"fill_: one number is needed, got an array of shape \(1,\)"):
        Tensor(np.zeros(2)).fill_(Tensor([1.0]))
    for op in ("fill_", "copy_"):
        with pytest.raises(TypeError, match=f"{op}: numbers or bools are needed, got <U1"):
            getattr(Tensor([1, 2]), op)("7")


def test_gradients_go_through_the_conversion_of_copy_and_fill():
    x = Tensor(np.ones(2), requires_grad=True)
    y = Tensor(np.zeros(2, np.float32)).copy_(x * 3)
    (y * 2).sum().backward()
    assert x.grad.dtype == np.float64 and x.grad.tolist() == [6, 6]
    y = Tensor(np.zeros((2, 2), np.float32)).fill_(x[0])
    y.sum().backward()
    assert x.grad.tolist() == [10, 6]
    assert not Tensor(np.zeros(2, np.int64)).copy_(x * 3).requires_grad


def test_invert():
    for dtype in ("bool", "uint8", "int32", "int64"):
        a = np.array([1, 3, 0]).astype(dtype)
        for given in (a, a[0]):
            y = ~Tensor(given)
            assert y.dtype == dtype and y.tolist() == np.invert(given).tolist()
    with pytest.raises(TypeError, match="~x: bools or integers are needed, got float32"):
        ~Tensor([1.0])
