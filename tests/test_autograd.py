"""The tape and its walk: order, accumulation, freeing, hooks, higher derivatives, in-place changes, checkpoints."""

import gc
import weakref

import numpy as np
import pytest
from support import randn

import nnkern
from nnkern import Function, Tensor


def leaf(*shape, seed=0, dtype=np.float64):
    return Tensor(randn(*shape, seed=seed).astype(dtype), requires_grad=True)


def test_grad_computes_only_what_leads_to_the_inputs():
    calls = []

    class Spy(Function):
        def forward(self, x, w):
            self.saved = (x, w)
            return x * w

        def backward(self, gy):
            calls.append(self.needs_input_grad)
            x, w = self.saved
            return tuple(gy * v if need else None for v, need in zip((w, x), self.needs_input_grad))

    x, w, v = (Tensor(np.full(2, n), requires_grad=True) for n in (2.0, 3.0, 5.0))
    h = Spy()(x, w)
    y = Spy()(h, v)
    assert nnkern.grad(y.sum(), [x], retain_graph=True)[0].tolist() == [15, 15]
    assert calls == [(True, False), (True, False)]
    calls.clear()
    assert nnkern.grad(y.sum(), [h], retain_graph=True)[0].tolist() == [5, 5] and calls == [(True, False)]
    calls.clear()
    gv, gh, gw = nnkern.grad(y.sum(), [v, h, w], retain_graph=True)
    assert (gv.tolist(), gh.tolist(), gw.tolist()) == ([6, 6], [5, 5], [10, 10])
    assert calls == [(True, True), (False, True)]
    calls.clear()
    y.sum().backward()
    assert calls == [(True, True)] * 2 and x.grad.tolist() == [15, 15]


def test_second_derivatives_tell_a_tensor_from_what_shares_its_array():
    a = np.array([1.0, 2.0, 3.0])
    for other in (lambda x: x.detach(), lambda x: Tensor(x.data), lambda x: x.data):
        for f in (
            lambda x, c: x * c,
            lambda x, c: c * x,
            lambda x, c: c * x * c,
            lambda x, c: nnkern.where(a > 1, c, x) * c,
        ):
            x = Tensor(a.copy(), requires_grad=True)
            y = f(x, other(x))
            (g,) = nnkern.grad((y * y).sum(), x, create_graph=True)
            (h,) = nnkern.grad(g.sum(), x)
            c = Tensor(a.copy(), requires_grad=True)
            y = f(c, a.copy())
            (g,) = nnkern.grad((y * y).sum(), c, create_graph=True)
            (expected,) = nnkern.grad(g.sum(), c)
            assert h.tolist() == expected.tolist()


def test_a_small_net_by_hand():
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x * x + 2 * x).sum()
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [4, 6, 8])
    assert y.item() == 26 and not x.grad.requires_grad


def test_diamonds_and_repeated_use():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    x, tx = leaf(3, 4), torch.tensor(randn(3, 4).astype(np.float64), requires_grad=True)

    def f(lib, x):
        a = lib.exp(x) if lib is torch else nnkern.exp(x)
        b = a * x + a
        return (b * a + x * x - b).sum()

    f(nnkern, x).backward()
    f(torch, tx).backward()
    np.testing.assert_allclose(x.grad.numpy(), tx.grad.numpy(), rtol=1e-13)


def test_gradients_accumulate_over_calls_and_do_not_alias():
    x, y = leaf(3), leaf(3, seed=1)
    (x + y).sum().backward()
    (x + y).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2, 2])
    x.grad.zero_()
    np.testing.assert_array_equal(y.grad.numpy(), [2, 2, 2])
    seed = np.ones(3)
    z = leaf(3)
    (z + 0.0).backward(seed)
    z.grad.mul_(5)
    np.testing.assert_array_equal(seed, [1, 1, 1])


def test_a_summed_gradient_given_to_two_inputs_stays_apart():
    a, b = leaf(3), leaf(3, seed=1)
    early, y = a * 2.0, a + b
    (
        y * y + y * 3.0 + early
    ).sum().backward()  # add's backward hands one buffer to a and b; a gets more later
    np.testing.assert_allclose(b.grad.numpy(), 2 * y.data + 3)
    np.testing.assert_allclose(a.grad.numpy(), 2 * y.data + 5)


def random_graph(seed, leaves, lib):
    """A sum over a random net of ops in which results are used many times; the same for every library."""
    g = np.random.default_rng(seed)
    nodes = list(leaves)
    for _ in range(14):
        x, y = nodes[g.integers(len(nodes))], nodes[g.integers(len(nodes))]
        op = g.integers(7)
        if op == 0:
            z = x + y
        elif op == 1:
            z = x - y
        elif op == 2:
            z = x * 0.5
        elif op == 3:
            z = x * y * 0.1
        elif op == 4:
            z = x.reshape(3, 2).reshape(2, 3)
        elif op == 5:
            z = lib.tanh(x)
        else:
            z = lib.cat([x[:1], y[1:]], 0)
        nodes.append(z)
    total = nodes[0]
    for z in nodes[1:]:
        total = total + z
    return total.sum()


def test_random_graphs_equal_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    for seed in range(60):
        ours = [leaf(2, 3, seed=seed + i) for i in range(3)]
        theirs = [torch.tensor(x.data.copy(), requires_grad=True) for x in ours]
        random_graph(seed, ours, nnkern).backward()
        random_graph(seed, theirs, torch).backward()
        for x, t in zip(ours, theirs):
            np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-10, err_msg=f"seed {seed}")


def test_a_long_chain_needs_no_recursion():
    x = Tensor([1.0], requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 0.0
    y.backward()
    assert x.grad.item() == 1


def test_saved_arrays_are_freed_once():
    x = leaf(3)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * x.data)
    with pytest.raises(RuntimeError, match=r"backward through \w+ a second time.*retain_graph=True"):
        y.backward()


def test_no_grad_and_friends():
    x = leaf(3)
    with nnkern.no_grad():
        assert not (x * 2).requires_grad and not nnkern.is_grad_enabled()
        with nnkern.enable_grad():
            assert (x * 2).requires_grad

    @nnkern.no_grad()
    def f():
        return x * 2

    assert not f().requires_grad and nnkern.is_grad_enabled()
    assert not (x > 0).requires_grad and not x.argmax().requires_grad
    assert not x.detach().requires_grad and x.detach().data is x.data


def test_grad_function():
    x, y = leaf(3), leaf(3, seed=1)
    z = x * y
    gx, gz = nnkern.grad((z * z).sum(), (x, z))
    np.testing.assert_allclose(gx.numpy(), 2 * z.data * y.data)
    np.testing.assert_allclose(gz.numpy(), 2 * z.data)
    assert x.grad is None
    with pytest.raises(RuntimeError, match=r"inputs\[1\].*not used"):
        nnkern.grad((x * 1).sum(), (x, y))
    assert nnkern.grad((x * 1).sum(), (x, y), allow_unused=True)[1] is None


def test_higher_derivatives():
    x = leaf(4)
    (g,) = nnkern.grad((x**3).sum(), x, create_graph=True)
    (h,) = nnkern.grad(g.sum(), x, create_graph=True)
    (t,) = nnkern.grad(h.sum(), x)
    np.testing.assert_allclose(g.data, 3 * x.data**2)
    np.testing.assert_allclose(h.data, 6 * x.data)
    np.testing.assert_allclose(t.data, np.full(4, 6.0))
    (x.tanh() * x).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    nnkern.gradgradcheck(
        lambda a, b: nnkern.matmul(a, b).tanh() / (1 + a.exp().sum()), [leaf(3, 4), leaf(4, 2, seed=1)]
    )


def test_retain_grad_counts_once_and_holds_nothing():
    x = leaf(3)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    (y * 3).sum().backward(retain_graph=True)
    np.testing.assert_array_equal(y.grad.numpy(), np.full(3, 3.0))
    gone = weakref.ref(y)
    gc.disable()
    try:
        del y
        assert gone() is None
    finally:
        gc.enable()


def test_hooks():
    x, seen = leaf(3), []
    y = x * 2
    handle = y.register_hook(lambda g: seen.append(g.numpy().copy()))
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    y.retain_grad()
    y.sum().backward()
    np.testing.assert_array_equal(seen, [[1, 1, 1]])
    np.testing.assert_array_equal(x.grad.numpy(), [21, 21, 21])
    np.testing.assert_array_equal(y.grad.numpy(), [10, 10, 10])
    handle.remove()
    (x * 1).sum().backward()
    assert len(seen) == 1


def test_gradcheck_finds_a_wrong_backward():
    class Wrong(Function):
        def forward(self, x):
            self.saved = (x,)
            return x * x

        def backward(self, gy):
            return gy * self.saved[0]  # lacks the 2

    with pytest.raises(AssertionError, match="input 0 at"):
        nnkern.gradcheck(lambda x: Wrong()(x), [leaf(3)])
    with pytest.raises(TypeError, match="float32.*float64"):
        nnkern.gradcheck(lambda x: x * x, [leaf(3, dtype=np.float32)])
    assert nnkern.gradcheck(lambda x: x * x, [leaf(3)])


def test_several_outputs():
    class Both(Function):
        def forward(self, x):
            return x * 2, x * 3

        def backward(self, ga, gb):
            parts = [g * f for g, f in ((ga, 2), (gb, 3)) if g is not None]
            return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    x = leaf(3)
    a, b = Both()(x)
    (a.sum() + (b * b).sum()).backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 + 18 * x.data)
    x.grad = None
    Both()(x)[1].sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [3, 3, 3])


def test_checkpoint():
    w, x = leaf(4, 4), leaf(2, 4, seed=1)
    calls = []

    def block(x, w):
        calls.append(1)
        return nnkern.tanh(nnkern.matmul(x, w)).sum()

    block(x, w).backward()
    gx, gw = x.grad.numpy(), w.grad.numpy()
    x.grad = w.grad = None
    nnkern.checkpoint(block, x, w).backward()
    assert len(calls) == 3
    np.testing.assert_allclose(x.grad.numpy(), gx)
    np.testing.assert_allclose(w.grad.numpy(), gw)


# --- in place ------------------------------------------------------------------------------------------------------


def test_changing_what_backward_needs_is_an_error_with_the_place():
    x = leaf(3)
    y = x * 2
    z = y * y
    y.add_(1.0)  # the culprit
    with pytest.raises(
        RuntimeError, match=r"backward of mul needs .*shape \(3,\).*add_ at .*test_autograd.py:\d+"
    ):
        z.sum().backward()
    y = (x * 2).exp()
    y[0] = 5.0
    with pytest.raises(RuntimeError, match=r"backward of exp .*test_autograd.py"):
        y.sum().backward()


def test_changing_what_nobody_needs_is_fine():
    x = leaf(3)
    y = x + 1
    z = y * 3
    y.mul_(2)
    (z.sum() + y.sum()).backward()
    np.testing.assert_allclose(x.grad.numpy(), [5, 5, 5])


def test_leaves_are_protected():
    x = leaf(3)
    for change in (lambda: x.add_(1), lambda: x.zero_(), lambda: x.__setitem__(0, 1.0)):
        with pytest.raises(RuntimeError, match="leaf that requires grad"):
            change()
    with nnkern.no_grad():
        x.sub_(x.data * 0.5)
    assert x.is_leaf and x.requires_grad


IN_PLACE = {
    "add_": lambda y, w: y.add_(w),
    "mul_": lambda y, w: y.mul_(w),
    "div_": lambda y, w: y.div_(w),
    "exp_": lambda y, w: y.exp_(),
    "fill row": lambda y, w: y.__setitem__(0, 3.0),
    "set part": lambda y, w: y.__setitem__((slice(None), slice(1, 3)), w[:, 1:3]),
    "set to vector": lambda y, w: y.__setitem__(1, w[0]),
    "view add": lambda y, w: y[:, 1:].add_(w[:, 1:]),
    "view mul": lambda y, w: y[0].mul_(w[1]),
    "view of view": lambda y, w: y[1:][:, ::2].mul_(3.0),
    "+=": lambda y, w: y.__iadd__(w),
    "pow_": lambda y, w: y.pow_(3),  # two ops that save the old values
    "by itself": lambda y, w: y.mul_(y * 2),
    "two changes": lambda y, w: y.mul_(2.0).sub_(w),
    "copy_ into a row": lambda y, w: y[1].copy_(w[0] ** 2),
    "set rows": lambda y, w: y.__setitem__([0, 2], w[1] ** 2),
    "view of a change": lambda y, w: y.neg_()[:, 1].mul_(w[:, 0]),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_equals_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    a, b = randn(3, 4).astype(np.float64), randn(3, 4, seed=1).astype(np.float64)
    x, w = Tensor(a.copy(), requires_grad=True), Tensor(b.copy(), requires_grad=True)
    tx, tw = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    results = []
    for x_, w_ in ((x, w), (tx, tw)):
        y = x_ * 1.5
        IN_PLACE[name](y, w_)
        results.append(y)
        (y * y).sum().backward()
    np.testing.assert_allclose(results[0].data, results[1].detach().numpy())
    np.testing.assert_allclose(x.grad.numpy(), tx.grad.numpy(), err_msg="x")
    if tw.grad is not None:
        np.testing.assert_allclose(w.grad.numpy(), tw.grad.numpy(), err_msg="w")


@pytest.mark.parametrize("name", IN_PLACE)
def test_second_derivatives_through_in_place_changes_equal_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    a, b = randn(3, 4).astype(np.float64), randn(3, 4, seed=1).astype(np.float64)

    def derivatives(x, w, grad):
        y = x * x
        IN_PLACE[name](y, w)
        first = grad((y * y * w).sum(), [x, w], create_graph=True)
        return [*first, *grad((first[0] ** 2).sum() + (first[1] ** 2).sum(), [x, w])]

    ours = derivatives(Tensor(a, requires_grad=True), Tensor(b, requires_grad=True), nnkern.grad)
    tensors = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    for g, theirs in zip(ours, derivatives(*tensors, torch.autograd.grad)):
        np.testing.assert_allclose(g.data, theirs.detach().numpy(), rtol=1e-10)


def test_errors():
    with pytest.raises(RuntimeError, match="backward: the tensor does not require grad"):
        Tensor([1.0]).backward()
    with pytest.raises(RuntimeError, match=r"shape is \(3,\); pass gradient="):
        (leaf(3) * 1).backward()
    with pytest.raises(RuntimeError, match=r"gradient is float64 \(2,\) but the tensor is float64 \(3,\)"):
        (leaf(3) * 1).backward(np.ones(2))
    with pytest.raises(TypeError, match="only float32 and float64"):
        Tensor(np.arange(3), requires_grad=True)
    with pytest.raises(ValueError, match="add_.*shape"):
        Tensor(np.ones(3)).add_(np.ones((2, 3)))


def test_hooks_that_raise_or_return_nonsense():
    for result, error, message in (
        (
            lambda g: Tensor(np.zeros(5)),
            RuntimeError,
            r"hook returned float64 \(5,\) for a gradient of float64 \(3,\)",
        ),
        (lambda g: Tensor(np.zeros(3, np.float32)), RuntimeError, "hook returned float32"),
        (lambda g: "much", TypeError, "a hook must return None, a Tensor or an array, got str"),
        (lambda g: 1 / 0, ZeroDivisionError, "zero"),
    ):
        for on_leaf in (False, True):
            x = leaf(3)
            y = x * 2.0
            (x if on_leaf else y).register_hook(result)
            with pytest.raises(error, match=message):
                y.sum().backward()
            assert x.grad is None
    x = leaf(3)  # nothing of it remains for the next pass
    (x * 2.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2, 2])


BAD_BACKWARDS = {
    "gave 2 gradients for 1 inputs": lambda g: (g, g),
    "gave 0 gradients for 1 inputs": lambda g: (),
    "must return arrays, got float": lambda g: 1.0,
    "must return arrays, got list": lambda g: [g],
    "gave shape": lambda g: g[:1],
    "gradient of float32 arrived at a tensor of float64": lambda g: g.astype(np.float32),
}


@pytest.mark.parametrize("message", BAD_BACKWARDS)
def test_a_wrong_backward_is_an_error_not_a_crash(message):
    class Double(Function):
        def forward(self, x):
            return x * 2

        def backward(self, gy):
            return BAD_BACKWARDS[message](gy)

    with pytest.raises((RuntimeError, TypeError), match=message):
        Double()(leaf(3)).sum().backward()


def test_what_a_users_function_may_do():
    class Total(Function):
        def forward(self, x):
            self.shape = x.shape
            return np.sum(x)  # a NumPy scalar

        def backward(self, gy):
            return Tensor(np.full(self.shape, gy))  # a Tensor is taken, too

    x = leaf(3)
    total = Total()
    total(x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1, 1, 1])
    with pytest.raises(RuntimeError, match="total: this Function was applied before"):
        total(x)

    class Nothing(Function):
        def forward(self, x):
            return None

    with pytest.raises(TypeError, match="forward of nothing must return arrays, got NoneType"):
        Nothing()(x)


def test_grad_takes_only_a_tensor_of_the_same_kind():
    x = leaf(3)
    for wrong in (np.zeros(3), Tensor(np.zeros(4)), Tensor(np.zeros(3, np.float32))):
        with pytest.raises((TypeError, ValueError), match="grad"):
            x.grad = wrong
    x.grad = Tensor(np.ones(3))
    (x * 2.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3, 3])
    x.grad = None


def test_grad_mode_inside_itself_and_in_generators():
    mode = nnkern.no_grad()
    with mode:
        with mode:
            assert not nnkern.is_grad_enabled()
        assert not nnkern.is_grad_enabled()
    assert nnkern.is_grad_enabled()

    @nnkern.no_grad()
    def steps():
        got = yield nnkern.is_grad_enabled()
        yield got, nnkern.is_grad_enabled()
        return "end"

    it = steps()
    assert next(it) is False and nnkern.is_grad_enabled()  # the caller of a generator keeps its own mode
    assert it.send(5) == (5, False) and nnkern.is_grad_enabled()
    with pytest.raises(StopIteration, match="end"):
        next(it)
    it = steps()
    next(it)
    it.close()
    assert nnkern.is_grad_enabled()


def test_create_graph_gives_each_leaf_a_gradient_of_its_own():
    x, y = leaf(3), leaf(3, seed=1)
    seed = Tensor(np.ones(3))
    (x + y).backward(seed, create_graph=True)
    assert x.grad is not y.grad and x.grad is not seed
    x.grad.zero_()
    assert y.grad.tolist() == seed.tolist() == [1, 1, 1]
    (x + y).sum().backward(create_graph=True)  # the gradient of a sum is read-only
    y.grad.zero_()
    assert x.grad.tolist() == [1, 1, 1]


def test_retain_grad_is_of_the_tensor_as_it_is_now_after_all_hooks():
    x = Tensor(np.array([1.0]), requires_grad=True)
    y = x * 1
    y.retain_grad()
    y.mul_(3)
    (y * y).sum().backward()
    assert y.grad.item() == 6
    y = x * 1
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert y.grad.item() == 10
    base = x * 1
    view = base.reshape(1, 1)
    base.retain_grad(), view.retain_grad()
    view.mul_(3)
    (base * base).sum().backward()
    assert base.grad.item() == 6 and view.grad is None


@pytest.mark.parametrize(
    "pick",
    [lambda x: x.max(1), lambda x: x.sort(1), lambda x: x.topk(2, 1), lambda x: x.median(1)],
    ids=["max", "sort", "topk", "median"],
)
def test_indices_changed_in_place_are_found(pick):
    x = leaf(3, 4)
    y = pick(x)
    y.indices.zero_()
    with pytest.raises(RuntimeError, match="zero_ at .* changed it in place"):
        y.values.sum().backward()


def test_values_may_be_changed_where_only_indices_were_saved():
    x = Tensor(np.array([[3.0, 1.0], [1.0, 5.0]]), requires_grad=True)
    values = x.max(1).values
    values.mul_(2)
    values.sum().backward()
    assert x.grad.tolist() == [[2, 0], [0, 2]]


def test_pooling_indices_changed_in_place_are_found():
    x = leaf(1, 1, 4, 4)
    y, places = nnkern.max_pool2d(x, 2, return_indices=True)
    places.zero_()
    with pytest.raises(RuntimeError, match="zero_ at .* changed it in place"):
        y.sum().backward()


@pytest.mark.parametrize(
    "step",
    [
        lambda y: y[0].add_(1), lambda y: y.reshape(-1).mul_(2), lambda y: y.reshape(2, -1)[0].add_(1).mul_(2),
        lambda y: y.add_(y * 3), lambda y: y[0].add_(y[1]),
    ],
    ids=["view", "reshaped", "twice", "itself", "other view"],
)  # fmt: skip
def test_in_place_changes_make_no_cycles(step):
    gc.collect()
    gc.disable()
    try:
        y = leaf(4, 4) * 1
        gone = weakref.ref(y)
        step(y)
        y.sum().backward()
        del y
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("op", ["exp_", "sigmoid_", "tanh_", "mul_", "setitem"])
def test_the_gradient_of_a_gradient_meets_hooks_of_what_was_changed_in_place(op):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    a, results = np.array([0.5, 1.0, -0.3]), []
    for make, grad in (
        (lambda a: Tensor(a, requires_grad=True), nnkern.grad),
        (lambda a: torch.tensor(a, requires_grad=True), torch.autograd.grad),
    ):
        x = make(a)
        y = x * x
        if op == "setitem":
            y[0] = 2.0
        else:
            getattr(y, op)(*[3.0][: op == "mul_"])
        y.register_hook(lambda g: g * g * 2)
        (g,) = grad((y**2).sum(), x, create_graph=True)
        second = [grad(g.sum(), [t], retain_graph=True)[0] for t in (x, y)]
        results.append([t.tolist() for t in (g, *second)])
    for got, expected in zip(*results):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "change",
    [
        lambda b, c: b.add_(c), lambda b, c: b.copy_(c), lambda b, c: b.__setitem__(0, c[1]),
        lambda b, c: b[0].mul_(c[1]),
    ],
)  # fmt: skip
def test_what_is_changed_by_its_own_product_is_freed_at_once(change):
    w = Tensor(np.full(3, 2.0), requires_grad=True)
    gc.disable()
    try:
        b = Tensor(np.ones(3))
        change(b, b * w + b[:1] * w)
        gone = weakref.ref(b)
        assert b.requires_grad
        del b
        assert gone() is None
    finally:
        gc.enable()


def test_other_data_does_not_hide_a_change_of_the_array_that_was_saved():
    """As in PyTorch: data = is no change itself, but one that was made before stays one."""
    w = Tensor([2.0, 3.0], requires_grad=True)
    y = (w * w).sum()
    w.data = np.array([5.0, 6.0], np.float32)
    y.backward()
    assert w.grad.tolist() == [4, 6]

    for change in (lambda w: w, lambda w: w.detach()):
        w = Tensor([2.0, 3.0], requires_grad=True)
        y = (w * w).sum()
        with nnkern.no_grad():
            change(w).mul_(2)
        w.data = np.array([5.0, 6.0], np.float32)
        with pytest.raises(RuntimeError, match=r"backward of mul needs an array of shape \(2,\).*mul_ at"):
            y.backward()

    y, alias = (w * w).sum(), w.detach()
    w.data = np.array([1.0, 1.0], np.float32)
    alias.mul_(2)  # still has the array of before
    with pytest.raises(RuntimeError, match="backward of mul needs an array"):
        y.backward()
    y = (w * w).sum()
    w.data = w.data[:]  # the same memory
    with nnkern.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="backward of mul needs an array"):
        y.backward()


def test_a_view_whose_base_got_other_data_can_not_be_taped():
    x = Tensor([1.0, 2.0], requires_grad=True) * 1
    view = x[0:1]
    x.data = np.array([5.0, 6.0], np.float32)
    with pytest.raises(RuntimeError, match="after its base was given other data; clone"):
        view.mul_(3)
    assert view.tolist() == [1] and x.tolist() == [5, 6]


def test_set_grad_enabled_takes_a_bool():
    with pytest.raises(TypeError, match="set_grad_enabled: mode must be True or False, got str"):
        nnkern.set_grad_enabled("off")
    assert nnkern.is_grad_enabled()
