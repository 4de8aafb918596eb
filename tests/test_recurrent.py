"""Recurrent layers against PyTorch over the cross of options; lengths against loops over samples."""

import itertools

import numpy as np
import pytest
from support import randn

import nnkern
from nnkern import RecurrentWeights, Tensor, gradgradcheck

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


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives(kind):
    x = Tensor(randn(2, 2, 2, dtype=np.float64), requires_grad=True)
    w = entries(kind, 1, 2, units=2, out=2)[0]
    leaves = [Tensor(a, requires_grad=True) for a in w[:2]]

    def f(x, *pair):
        return layer(kind, x, [RecurrentWeights(*pair)])[0]

    assert gradgradcheck(f, (x, *leaves))


def test_errors():
    x, w = randn(T, N, I), entries("lstm", 1, I, dtype=np.float32)
    with pytest.raises(ValueError, match=r"lstm: h0 must have shape \(1, 3, 6\), got h0.shape=\(2, 3, 6\)"):
        nnkern.lstm(x, w, (randn(2, N, H), None))
    with pytest.raises(ValueError, match=r"lengths must be in \[0, 5\]"):
        nnkern.lstm(x, w, lengths=[6, 1, 1])
    with pytest.raises(ValueError, match=r"lengths must be in \[0, 5\]"):
        nnkern.lstm(x, w, lengths=[-1, 1, 1])
    with pytest.raises(ValueError, match="lengths must be 3 integers"):
        nnkern.lstm(x, w, lengths=[1, 1])
    with pytest.raises(ValueError, match="one entry per layer and direction: 2, got 1"):
        nnkern.lstm(x, w, num_layers=2)
    with pytest.raises(ValueError, match="nonlinearity must be 'tanh' or 'relu', got 'gelu'"):
        nnkern.rnn(x, entries("tanh", 1, I), nonlinearity="gelu")
