"""Recurrent layers against PyTorch over the cross of options; kernels against the reference; lengths against loops over
samples; NaN beyond the ends; threads; long sequences; second derivatives."""

import itertools

import numpy as np
import pytest
from support import assert_close, check_gradient, each_isa, randn, rng

import nnkern
from nnkern import RecurrentWeights, Tensor, _cpu, backends, gradgradcheck
from nnkern.ops import _recurrent as plain

T, N, I, H = 5, 3, 4, 6
KINDS = ("tanh", "relu", "gru", "lstm")
# num_layers, bidirectional, batch_first, bias, batched, proj_size of lstm
OPTIONS = list(itertools.product((1, 2), (False, True), (False, True), (False, True), (False, True), (0, 3)))


def layer(kind, x, weights, state=None, **options):
    """(y, h_n) or (y, h_n, c_n) as a flat tuple; state is (h0,) or (h0, c0)."""
    if kind in ("tanh", "relu"):
        return nnkern.rnn(x, weights, *(state or ()), nonlinearity=kind, **options)
    if kind == "gru":
        return nnkern.gru(x, weights, *(state or ()), **options)
    y, last = nnkern.lstm(x, weights, state, **options)
    return (y, *last)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_torch(kind):
    torch = pytest.importorskip("torch")
    cls = torch.nn.RNN if kind in ("tanh", "relu") else getattr(torch.nn, kind.upper())
    for layers, bi, batch_first, bias, batched, proj in OPTIONS:
        if proj and kind != "lstm":
            continue
        more = {"proj_size": proj} if kind == "lstm" else {}
        more |= {"nonlinearity": kind} if cls is torch.nn.RNN else {}
        options = {"num_layers": layers, "bidirectional": bi, "batch_first": batch_first}
        module = cls(I, H, bias=bias, dtype=torch.float64, **options, **more)
        rows = (N,) if batched else ()
        count = layers * (1 + bi)
        shape = (T, I) if not batched else (N, T, I) if batch_first else (T, N, I)
        shapes = [shape, (count, *rows, proj or H), (count, *rows, H)][: 3 if kind == "lstm" else 2]
        arrays = [randn(*s, dtype=np.float64, seed=i) for i, s in enumerate(shapes)]
        tx, *state = [torch.tensor(a, requires_grad=True) for a in arrays]
        ty, tlast = module(tx, tuple(state) if kind == "lstm" else state[0])
        theirs = [ty, *(tlast if kind == "lstm" else [tlast])]
        x, *ours_state = [Tensor(a, requires_grad=True) for a in arrays]
        weights = [Tensor(p.detach().numpy(), requires_grad=True) for p in module._flat_weights]
        ours = layer(kind, x, weights, tuple(ours_state), **options)
        seeds = [randn(*y.shape, dtype=np.float64, seed=9) for y in ours]
        torch.autograd.backward(theirs, [torch.tensor(g) for g in seeds])
        total = sum((y * g).sum() for y, g in zip(ours, seeds))
        total.backward()
        for a, b in zip(ours, theirs):
            np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-12, atol=1e-12)
        for a, b in zip([x, *ours_state, *weights], [tx, *state, *module._flat_weights]):
            np.testing.assert_allclose(a.grad.data, b.grad.numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_cells_equal_torch(kind):
    torch = pytest.importorskip("torch")
    cell = getattr(torch.nn, kind.upper() + "Cell")(I, H, dtype=torch.float64)
    weights = [p.detach().numpy() for p in (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)]
    ours = getattr(nnkern, kind + "_cell")
    for rows in ((), (N,)):
        x, h, c = (randn(*rows, n, dtype=np.float64, seed=i) for i, n in enumerate((I, H, H)))
        for state in (None, (h, c)):
            tstate = state and tuple(torch.tensor(s) for s in state)
            if kind != "lstm" and state:
                state, tstate = state[0], tstate[0]
            a, b = ours(x, state, *weights), cell(torch.tensor(x), tstate)
            for p, q in zip(a, b) if kind == "lstm" else [(a, b)]:
                np.testing.assert_allclose(p, q.detach().numpy(), rtol=1e-12, atol=1e-13)


def entries(kind, count, inputs, seed=0, dtype=np.float64, units=H, out=H):
    """Weights of `count` directions of one layer."""
    g = {"lstm": 4, "gru": 3}.get(kind, 1)
    shapes = [(g * units, inputs), (g * units, out), (g * units,), (g * units,)]
    return [
        RecurrentWeights(
            *[randn(*s, dtype=dtype, seed=10 * d + i + seed) * 0.4 for i, s in enumerate(shapes)]
        )
        for d in range(count)
    ]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_equal_a_loop_over_samples_and_nan_never_leaks(kind, batch_first):
    lengths = [3, 0, 5, 1]
    weights = [*entries(kind, 2, I), *entries(kind, 2, 2 * H, seed=40)]
    states = [randn(4, 4, H, dtype=np.float64, seed=s) for s in (1, 2)][: 2 if kind == "lstm" else 1]
    x = randn(T, 4, I, dtype=np.float64)
    for n, end in enumerate(lengths):
        x[end:, n] = np.nan
    options = {"num_layers": 2, "bidirectional": True}
    leaf = Tensor(x.swapaxes(0, 1).copy() if batch_first else x, requires_grad=True)
    taped = [RecurrentWeights(*[Tensor(a, requires_grad=True) for a in w[:4]]) for w in weights]
    y, *last = layer(kind, leaf, taped, tuple(states), lengths=lengths, batch_first=batch_first, **options)
    gy = randn(*y.shape, dtype=np.float64, seed=3)
    (y * gy).sum().backward()
    flat = [[p for w in ws for p in w[:4]] for ws in (taped,)][0]
    expected = [np.zeros(p.shape) for p in flat]
    for n, end in enumerate(lengths):
        own = y.data[n] if batch_first else y.data[:, n]
        assert not own[end:].any()
        if end == 0:
            for a, b in zip(last, states):
                np.testing.assert_array_equal(a.data[:, n], b[:, n])
            continue
        alone = [RecurrentWeights(*[Tensor(a, requires_grad=True) for a in w[:4]]) for w in weights]
        one, *one_last = layer(
            kind, Tensor(x[:end, n].copy()), alone, tuple(s[:, n] for s in states), **options
        )
        np.testing.assert_allclose(own[:end], one.data, rtol=1e-12, atol=1e-13)
        for a, b in zip(last, one_last):
            np.testing.assert_allclose(a.data[:, n], b.data, rtol=1e-12, atol=1e-13)
        (one * (gy[n, :end] if batch_first else gy[:end, n])).sum().backward()
        for e, p in zip(expected, [p for w in alone for p in w[:4]]):
            e += p.grad.data
    for e, p in zip(expected, flat):
        np.testing.assert_allclose(p.grad.data, e, rtol=1e-10, atol=1e-11)
    assert np.isfinite(leaf.grad.data).all()


@pytest.mark.parametrize("kind", KINDS)
def test_empty_batches_and_sequences(kind):
    weights = entries(kind, 2, I)
    for shape in ((0, 3, I), (4, 0, I), (0, 0, I)):
        y, *last = layer(kind, np.zeros(shape), weights, bidirectional=True)
        assert y.shape == (*shape[:2], 2 * H)
        assert all(s.shape == (2, shape[1], H) and not s.any() for s in last)
        leaves = [[Tensor(a, requires_grad=True) for a in w[:4]] for w in weights]
        x = Tensor(np.zeros(shape), requires_grad=True)
        y = layer(kind, x, [RecurrentWeights(*w) for w in leaves], bidirectional=True)[0]
        y.backward(np.zeros(y.shape))
        assert x.grad.shape == shape
        assert all(p.grad.shape == p.shape and not p.grad.data.any() for w in leaves for p in w)


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives(kind):
    x = Tensor(randn(2, 2, 2, dtype=np.float64), requires_grad=True)
    w = entries(kind, 1, 2, units=2, out=2)[0]
    leaves = [Tensor(a, requires_grad=True) for a in w[:2]]

    def f(x, *pair):
        return layer(kind, x, [RecurrentWeights(*pair)])[0]

    assert gradgradcheck(f, (x, *leaves))


# cell, T, N, I, H, P, directions, batch_first, bias, peephole, lengths, mask, states
CELLS = {"tanh": 0, "relu": 1, "lstm": 2, "gru": 3, "gru before": 4}
SHAPES = [
    (4, 5, 3, 6, 0, 2, False, True, True, True, True, True),
    (3, 20, 7, 33, 5, 2, True, True, True, True, True, True),
    (3, 17, 5, 16, 0, 1, True, False, False, False, False, False),
    (2, 1, 5, 17, 0, 1, False, True, False, False, False, True),  # one sample: gates side by side
    (1, 2, 3, 4, 3, 1, False, True, True, False, False, True),  # too short to pack weights
    (5, 6, 2, 40, 0, 2, True, True, False, True, False, True),
    (3, 40, 9, 70, 0, 1, False, True, True, False, True, False),
    (2, 30, 4, 600, 0, 1, False, True, False, True, False, True),  # the depth in pieces
    (40, 30, 3, 80, 0, 2, True, True, False, True, False, True),  # in chunks of steps
    (25, 30, 40, 130, 20, 2, False, True, True, True, True, True),  # three of them and a short one
    (150, 120, 5, 20, 9, 2, True, True, True, True, True, True),  # the way back in chunks, too (float64)
]


def problem(cell, case, dtype):
    """Arguments of both kernels for random arrays; what lies beyond the ends is NaN."""
    steps, batch, inputs, units, out, sides, batch_first, bias, peephole, ragged, masked, states = case
    g, r = plain.GATES[cell], rng(cell, *case[:5])
    out = out if cell == 2 and out else units

    def array(*shape, scale=1.0):
        return (r.standard_normal(shape) * scale).astype(dtype)

    x = array(steps, batch, inputs)
    lengths = r.integers(0, steps + 1, batch) if ragged else None
    if ragged:
        x[np.arange(steps)[:, None] >= lengths] = np.nan
    h0 = array(sides, batch, out) if states else None
    c0 = array(sides, batch, units) if states and cell == 2 else None
    scale = units**-0.5
    weights = [
        (
            array(g * units, inputs, scale=scale),
            array(g * units, out, scale=scale),
            array(g * units) if bias else None,
            array(g * units) if bias else None,
            array(out, units, scale=scale) if out != units else None,
            array(3, units) if peephole and cell == 2 else None,
        )
        for _ in range(sides)
    ]
    mask = (2.0 * (r.random((sides, batch, out)) < 0.5)).astype(dtype) if masked else None
    x = np.ascontiguousarray(x.swapaxes(0, 1)) if batch_first else x
    return x, h0, c0, weights, lengths, mask


def run_forward(kernels, cell, arrays, batch_first, save=2):
    x, h0, c0, weights, lengths, mask = arrays
    first, second = [*weights, (None,) * 6][:2]
    return kernels.recurrent_forward(x, h0, c0, *first, *second, lengths, mask, cell, batch_first, save)


def run_backward(kernels, cell, arrays, batch_first, results, seeds):
    x, h0, c0, weights, lengths, mask = arrays
    y, _, _, cells, gates = results
    first, second = ([w[0], w[1], w[4], w[5]] for w in [*weights, (None,) * 6][:2])
    return kernels.recurrent_backward(
        *seeds, x, h0, c0, *first, *second, lengths, mask, y, cells, gates, cell, batch_first, True
    )


@pytest.mark.parametrize("case", SHAPES, ids=str)
@pytest.mark.parametrize("name", CELLS)
def test_kernels_equal_the_reference(name, case):
    cell, batch_first, reference = CELLS[name], case[6], backends.load("reference")
    for dtype in (np.float32, np.float64):
        arrays = problem(cell, case, dtype)
        results = run_forward(reference, cell, arrays, batch_first)
        seeds = [randn(*r.shape, dtype=dtype, seed=i) for i, r in enumerate(results[:4])]
        if arrays[4] is not None:
            beyond = np.arange(case[0])[:, None] >= arrays[4]
            seeds[0][beyond.T if batch_first else beyond] = np.nan
        expected = run_backward(reference, cell, arrays, batch_first, results, seeds)
        for isa in each_isa():
            _cpu.set_poison(True)
            try:
                ours = run_forward(_cpu, cell, arrays, batch_first)
                back = run_backward(_cpu, cell, arrays, batch_first, results, seeds)
            finally:
                _cpu.set_poison(False)
            for i, (a, e) in enumerate(zip((*ours, *back), (*results, *expected))):
                n = case[0] * case[1] * max(case[3], case[2])
                assert_close(a, e, "chain", n, f"{name} {isa} {np.dtype(dtype).name} {case} result {i}")


@pytest.mark.parametrize("name", CELLS)
def test_inference_equals_training_and_any_number_of_threads(name):
    cell, before = CELLS[name], nnkern.get_num_threads()
    # a split batch twice, split units, steps in chunks; both directions side by side: small steps, too few of them
    for case, ragged in itertools.product(
        (
            (20, 24, 8, 64, 0),
            (4, 20, 8, 320, 0),
            (3, 8, 8, 640, 0),
            (70, 64, 4, 128, 0),
            (90, 1, 8, 64, 0),
            (9, 2, 8, 16, 0),
            (12, 25, 300, 96, 0),  # a batch that parts unequally, the inputs' depth in pieces
        ),
        (False, True),
    ):
        case = (*case, 2 - (case[2] == 300), False, True, False, ragged, False, True)
        arrays = problem(cell, case, np.float32)
        found = []
        try:
            for threads in (1, 2, 3):
                nnkern.set_num_threads(threads)
                results = run_forward(_cpu, cell, arrays, False)
                seeds = [np.ones_like(r) for r in results[:4]]
                back = run_backward(_cpu, cell, arrays, False, results, seeds)
                found.append((*results, *back))
                for a, b in zip(run_forward(_cpu, cell, arrays, False, 0)[:3], results):
                    np.testing.assert_array_equal(a, b)
        finally:
            nnkern.set_num_threads(before)
        for other in found[1:]:
            for a, b in zip(found[0], other):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", CELLS)
def test_backward_equals_the_plain_definition(name):
    """Every option at once: the reference's backward and the taped definition were written apart."""
    cell = CELLS[name]
    arrays = problem(cell, (4, 5, 3, 6, 2, 2, True, True, True, True, True, True), np.float64)
    x, h0, c0, weights, lengths, mask = arrays
    inputs = [x, h0, c0, *[a for w in weights for a in w]]
    outcome = []
    for fused in (True, False):
        leaves = [None if a is None else Tensor(a.copy(), requires_grad=True) for a in inputs]
        if fused:
            layer = nnkern.ops.recurrent.Recurrent(cell, 2, lengths, mask, True, 2)
            found = layer(*leaves)
        else:
            sides = [RecurrentWeights(*leaves[i : i + 6]) for i in (3, 9)]
            found = plain.layer(cell, *leaves[:3], sides, lengths, mask, True)
        total = sum((y * randn(*y.shape, dtype=np.float64, seed=i)).sum() for i, y in enumerate(found))
        total.backward()
        outcome.append([y.data for y in found] + [t.grad.data for t in leaves if t is not None])
    for a, b in zip(*outcome, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_strided_and_read_only_inputs(kind):
    big = randn(2 * T, 2 * N, 2 * I)
    views = {
        "strided": big[::2, ::2, ::2],
        "reversed": big[:T:1, N:, I:][::-1, ::-1, ::-1],
        "broadcast": np.broadcast_to(big[:1, :N, :I], (T, N, I)),
        "turned": np.asfortranarray(big[:T, :N, :I]),
    }
    w = entries(kind, 1, I, dtype=np.float32)
    turned = [RecurrentWeights(np.asfortranarray(w[0].w_ih), w[0].w_hh.repeat(2, 1)[:, ::2], *w[0][2:4])]
    for name, x in views.items():
        x.flags.writeable = False
        expected = layer(kind, np.ascontiguousarray(x), w)
        for a, b in zip(layer(kind, x, turned), expected):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=name)
        leaf = Tensor(x, requires_grad=True)
        layer(kind, leaf, w)[0].sum().backward()  # a gradient of stride 0
        dense = Tensor(np.ascontiguousarray(x), requires_grad=True)
        layer(kind, dense, w)[0].backward(np.ones((T, N, H), np.float32))
        np.testing.assert_allclose(leaf.grad.data, dense.grad.data, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("kind", ["tanh", "gru", "lstm"])
def test_two_thousand_steps_stay_accurate(kind):
    x = randn(2000, 2, 8, dtype=np.float64)
    w = entries(kind, 1, 8, units=32, out=32)
    w = [w[0]._replace(w_hh=0.3 * w[0].w_hh)]  # not chaotic
    exact = layer(kind, x, w)
    narrow = [RecurrentWeights(*[a.astype(np.float32) for a in w[0][:4]])]
    leaf = Tensor(x.astype(np.float32), requires_grad=True)
    y = layer(kind, leaf, narrow)[0]
    assert np.abs(y.data - exact[0]).max() < 2e-5
    y.backward(np.ones(y.shape, np.float32))
    leaf64 = Tensor(x, requires_grad=True)
    layer(kind, leaf64, w)[0].backward(np.ones(y.shape))
    scale = np.abs(leaf64.grad.data).max()
    assert np.abs(leaf.grad.data - leaf64.grad.data).max() < 1e-4 * scale


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_cells(kind):
    w = entries(kind, 1, I)[0]
    state = [randn(N, H, dtype=np.float64, seed=s) for s in (1, 2)][: 2 if kind == "lstm" else 1]

    def f(x, *rest):
        count = len(state)
        if kind == "lstm":
            h, c = nnkern.lstm_cell(x, rest[:2], *rest[2:])
            return h + 2.0 * c
        if kind == "gru":
            return nnkern.gru_cell(x, rest[0], *rest[count:])
        return nnkern.rnn_cell(x, rest[0], *rest[count:], nonlinearity=kind)

    inputs = (randn(N, I, dtype=np.float64), *state, *w[:4])
    check_gradient(f, *inputs)
    assert gradgradcheck(f, [Tensor(a, requires_grad=True) for a in inputs])


def test_dropout_between_layers_and_on_the_state():
    x, w = randn(6, 4, I), [*entries("gru", 1, I, dtype=np.float32), *entries("gru", 1, H, dtype=np.float32)]
    plain_y = nnkern.gru(x, w, num_layers=2)[0]
    for option in ({"dropout": 0.5}, {"recurrent_dropout": 0.5}):
        np.testing.assert_array_equal(nnkern.gru(x, w, num_layers=2, **option)[0], plain_y)
        nnkern.manual_seed(1)
        first = nnkern.gru(x, w, num_layers=2, training=True, **option)[0]
        nnkern.manual_seed(1)
        np.testing.assert_array_equal(nnkern.gru(x, w, num_layers=2, training=True, **option)[0], first)
        assert not np.array_equal(first, plain_y)


def test_truncated_backpropagation_feeds_detached_states_on():
    x, w = randn(6, N, I, dtype=np.float64), entries("lstm", 1, I)
    whole, (h, c) = nnkern.lstm(x, w)
    first, state = nnkern.lstm(Tensor(x[:3]), w)
    second, (h2, c2) = nnkern.lstm(Tensor(x[3:]), w, tuple(s.detach() for s in state))
    np.testing.assert_allclose(np.concatenate([first.data, second.data]), whole, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(h2.data, h, rtol=1e-12)
    np.testing.assert_allclose(c2.data, c, rtol=1e-12)


def test_cells_are_returned():
    x, w = randn(T, N, I, dtype=np.float64), entries("lstm", 2, I)
    for value in (x, Tensor(x, requires_grad=True)):
        _, (_, c_n), cells = nnkern.lstm(value, w, bidirectional=True, return_cells=True)
        assert cells.shape == (T, N, 2 * H)
        np.testing.assert_array_equal(np.asarray(cells[-1, :, :H]), np.asarray(c_n[0]))
        np.testing.assert_array_equal(np.asarray(cells[0, :, H:]), np.asarray(c_n[1]))


def test_torch_arrays_come_back_as_torch():
    torch = pytest.importorskip("torch")
    x, w = torch.randn(T, N, I), [torch.randn(4 * H, I), torch.randn(4 * H, H)]
    y, (h, c) = nnkern.lstm(x, w)
    assert all(isinstance(a, torch.Tensor) for a in (y, h, c))


def test_errors():
    x, w = randn(T, N, I), entries("lstm", 1, I, dtype=np.float32)
    for layers in (0, -1):
        with pytest.raises(ValueError, match=f"gru: num_layers must be at least 1, got {layers}"):
            nnkern.gru(x, [], num_layers=layers)
    with pytest.raises(ValueError, match=r"lstm: h0 must have shape \(1, 3, 6\), got h0.shape=\(2, 3, 6\)"):
        nnkern.lstm(x, w, (randn(2, N, H), None))
    with pytest.raises(ValueError, match=r"lengths must be in \[0, 5\]"):
        nnkern.lstm(x, w, lengths=[6, 1, 1])
    with pytest.raises(ValueError, match=r"lengths must be in \[0, 5\]"):
        nnkern.lstm(x, w, lengths=[-1, 1, 1])
    with pytest.raises(ValueError, match="lengths must be 3 integers"):
        nnkern.lstm(x, w, lengths=[1, 1])
    assert nnkern.lstm(x[:, :0], w, lengths=[])[0].shape == (T, 0, H)
    with pytest.raises(ValueError, match=r"lstm: the state must be the pair \(h0, c0\), got 3 of them"):
        nnkern.lstm(x, w, (None, None, None))
    with pytest.raises(ValueError, match=r"gru: dropout must lie in \[0, 1\], got 1.5"):
        nnkern.gru(x, entries("gru", 1, I, dtype=np.float32), dropout=1.5)
    for w_hh in (None, randn(6)):
        with pytest.raises(ValueError, match=r"gru: w_hh must have shape \(gates \* H, P\)"):
            nnkern.gru(x, [RecurrentWeights(randn(18, I), w_hh)])
    with pytest.raises(TypeError, match=r"gru: h0 must be an array of shape \(1, 3, 6\), got tuple"):
        nnkern.gru(x, entries("gru", 1, I, dtype=np.float32), (None,))
    with pytest.raises(ValueError, match="one entry per layer and direction: 2, got 1"):
        nnkern.lstm(x, w, num_layers=2)
    with pytest.raises(ValueError, match="nonlinearity must be 'tanh' or 'relu', got 'gelu'"):
        nnkern.rnn(x, entries("tanh", 1, I), nonlinearity="gelu")
    wrong = RecurrentWeights(randn(24, I + 1), w[0].w_hh)
    with pytest.raises(
        ValueError, match=r"lstm: w_ih must have shape \(24, 4\) for this x and w_hh .*\(24, 5\)"
    ):
        nnkern.lstm(x, [wrong])
    with pytest.raises(ValueError, match="lstm: both directions must have the same sizes"):
        nnkern.lstm(
            x, [*w, *entries("lstm", 1, I, dtype=np.float32, units=H + 1, out=H + 1)], bidirectional=True
        )
    with pytest.raises(ValueError, match="lstm: w_hr and peephole belong to both directions or none"):
        nnkern.lstm(x, [*w, w[0]._replace(peephole=randn(3, H))], bidirectional=True)
    with pytest.raises(ValueError, match=r"lstm: b_hh must have shape \(24\,\) \(b_hh.shape=\(6,\)\)"):
        nnkern.lstm(x, [w[0]._replace(b_hh=randn(6))])
    with pytest.raises(ValueError, match=r"gru: w_hh must be \(3 \* units, units\) \(w_hh.shape=\(20, 6\)\)"):
        nnkern.gru(x, [RecurrentWeights(randn(20, I), randn(20, 6))])
    with pytest.raises(TypeError, match="lstm: x is float32 but h0 is float64"):
        nnkern.lstm(x, w, (randn(1, N, H, dtype=np.float64), None))
    with pytest.raises(ValueError, match=r"gru_cell: h must have shape \(3, 6\)"):
        nnkern.gru_cell(x[0], randn(N, 7), *entries("gru", 1, I, dtype=np.float32)[0][:4])
    with pytest.raises(ValueError, match=r"x must be \(T, N, I\), or \(T, I\) without a batch"):
        nnkern.lstm(x[0, 0], w)
