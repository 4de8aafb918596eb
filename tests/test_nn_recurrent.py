"""Recurrent layers and packed sequences: PyTorch's names, numbers and gradients."""

import copy
import math
import warnings

import numpy as np
import pytest
from support import DTYPES, assert_close, randn

import nnkern
from nnkern import Tensor, nn
from nnkern.nn.utils import clip_grad_norm_, clip_grad_value_
from nnkern.nn.utils import rnn as packing

KINDS = ("RNN", "GRU", "LSTM")
OPTIONS = [
    {},
    {"bias": False},
    {"batch_first": True},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "batch_first": True, "bias": False},
]
CASES = [(kind, o) for kind in KINDS for o in OPTIONS] + [
    ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
    ("LSTM", {"proj_size": 3}),
    ("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True, "batch_first": True}),
]
T, N, I, H = 6, 4, 5, 7


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")


def flat(result):
    """The arrays of (y, h_n), (y, (h_n, c_n)), h or (h, c) in a row."""
    return [a for r in result for a in flat(r)] if isinstance(result, tuple) else [result]


def twins(torch, kind, options, dtype=np.float32):
    theirs = getattr(torch.nn, kind)(I, H, **options)
    theirs = theirs.to(torch.float64 if dtype == np.float64 else torch.float32)
    ours = getattr(nn, kind)(I, H, dtype=dtype, **options)
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    return ours, theirs


def states(torch, kind, options, *, dtype=np.float32, batch=(N,)):
    """Initial states for both, requiring gradients."""
    d = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    widths = [options.get("proj_size") or H] + [H] * kind.startswith("LSTM")
    lead = () if kind.endswith("Cell") else (d,)
    arrays = [randn(*lead, *batch, w, dtype=dtype, seed=i) for i, w in enumerate(widths)]
    ours = tuple(Tensor(a.copy(), requires_grad=True) for a in arrays)
    theirs = tuple(torch.tensor(a, requires_grad=True) for a in arrays)
    return (ours, theirs) if len(widths) == 2 else (ours[0], theirs[0])


def check_same(ours, theirs, ours_from, theirs_from, note):
    """Equal results, and equal gradients with respect to ours_from and theirs_from."""
    ours, theirs = flat(ours), flat(theirs)
    assert len(ours) == len(theirs)
    total, their_total = 0, 0
    for i, (a, b) in enumerate(zip(ours, theirs)):
        assert_close(a.data, b.detach().numpy(), "chain", T * H, note)
        g = randn(*a.shape, dtype=a.dtype, seed=50 + i)
        total, their_total = total + (a * g).sum(), their_total + (b * type(b)(g)).sum()
    total.backward()
    their_total.backward()
    for name, a, b in zip(range(99), ours_from, theirs_from):
        assert (a.grad is None) == (b.grad is None), f"{note} {name}"
        if b.grad is not None:
            assert_close(a.grad.numpy(), b.grad.numpy(), "chain", T * N * H, f"{note} gradient of {name}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_layers_equal_torch(torch, kind, options, dtype):
    torch.set_default_dtype(torch.float64 if dtype == np.float64 else torch.float32)
    try:
        ours, theirs = twins(torch, kind, options, dtype)
        assert list(ours.state_dict()) == list(theirs.state_dict()) and repr(ours) == repr(theirs)
        for given in (False, True):
            x = randn(*((N, T) if options.get("batch_first") else (T, N)), I, dtype=dtype)
            a, b = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
            h, their_h = states(torch, kind, options, dtype=dtype) if given else (None, None)
            ours.zero_grad()
            theirs.zero_grad()
            sources = [a, *ours.parameters(), *(flat(h) if given else ())]
            their_sources = [b, *theirs.parameters(), *(flat(their_h) if given else ())]
            check_same(ours(a, h), theirs(b, their_h), sources, their_sources, f"{kind} {options} {dtype}")
        x = randn(T, I, dtype=dtype)
        for a, b in zip(flat(ours(Tensor(x))), flat(theirs(torch.tensor(x)))):
            assert_close(a.data, b.detach().numpy(), "chain", T * H, "without a batch")
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["RNNCell", "GRUCell", "LSTMCell", "RNNCell relu"])
def test_cells_equal_torch(torch, kind, bias):
    kind, _, nonlinearity = kind.partition(" ")
    options = {"bias": bias, **({"nonlinearity": nonlinearity} if nonlinearity else {})}
    ours, theirs = twins(torch, kind, options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for batch in ((N,), ()):
        x = randn(*batch, I)
        a, b = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        h, their_h = states(torch, kind, {}, batch=batch)
        ours.zero_grad()
        theirs.zero_grad()
        sources, their_sources = [a, *ours.parameters(), *flat(h)], [b, *theirs.parameters(), *flat(their_h)]
        check_same(ours(a, h), theirs(b, their_h), sources, their_sources, f"{kind} {options}")
        for first, second in zip(flat(ours(Tensor(x))), flat(theirs(torch.tensor(x)))):
            assert_close(first.data, second.detach().numpy(), "chain", H, "from zeros")


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize(("kind", "options"), [CASES[i] for i in (0, 7, 8, 13, 17)])
def test_packed_sequences_equal_torch(torch, kind, options, enforce_sorted):
    ours, theirs = twins(torch, kind, options)
    lengths = [6, 4, 4, 1] if enforce_sorted else [4, 1, 6, 4]
    x = randn(*((N, T) if options.get("batch_first") else (T, N)), I)
    a, b = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    h, their_h = states(torch, kind, options)
    batch_first = options.get("batch_first", False)
    packed = packing.pack_padded_sequence(a, lengths, batch_first, enforce_sorted)
    y, state = ours(packed, h)
    their_packed = torch.nn.utils.rnn.pack_padded_sequence(b, lengths, batch_first, enforce_sorted)
    their_y, their_state = theirs(their_packed, their_h)
    assert isinstance(y, packing.PackedSequence) and y.batch_sizes.tolist() == their_y.batch_sizes.tolist()
    padded, found = packing.pad_packed_sequence(y, batch_first)
    assert found.tolist() == lengths
    their_padded, _ = torch.nn.utils.rnn.pad_packed_sequence(their_y, batch_first)
    if enforce_sorted:
        assert y.sorted_indices is None and y.unsorted_indices is None
        assert_close(y.data.data, their_y.data.detach().numpy(), "chain", H)
    sources = [a, *ours.parameters(), *flat(h)]
    their_sources = [b, *theirs.parameters(), *flat(their_h)]
    check_same((padded, state), (their_padded, their_state), sources, their_sources, f"{kind} {options}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [True, False])
def test_lengths_are_each_sequence_alone(kind, batch_first):
    layer = getattr(nn, kind)(I, H, num_layers=2, bidirectional=True, batch_first=batch_first)
    lengths = np.array([3, 0, 6, 1])
    x = randn(N, T, I)
    x[np.arange(T) >= lengths[:, None]] = np.nan  # what lies past the end never matters
    y, state = layer(Tensor(x if batch_first else x.swapaxes(0, 1)), lengths=lengths)
    y = y.data if batch_first else y.data.swapaxes(0, 1)
    assert y.shape == (N, T, 2 * H) and (y[np.arange(T) >= lengths[:, None]] == 0).all()
    for n, length in enumerate(lengths):
        if length:
            alone = x[n : n + 1, :length]
            expected, s = layer(Tensor(alone if batch_first else alone.swapaxes(0, 1)))
            assert_close(y[n, :length], expected.data.reshape(length, -1), "chain", H)
            for a, b in zip(flat(state), flat(s)):
                assert_close(a.data[:, n], b.data[:, 0], "chain", H)
        else:
            assert all((a.data[:, n] == 0).all() for a in flat(state))


def test_arrays_in_arrays_out_without_gradients():
    layer = nn.GRU(I, H).requires_grad_(False)
    with nnkern.no_grad():
        y, h = layer(randn(T, N, I))
    assert y.shape == (T, N, H) and h.shape == (1, N, H)


def test_beyond_torch():
    x = Tensor(randn(T, N, I))
    lstm = nn.LSTM(I, H, bidirectional=True, peephole=True)
    assert lstm.state_dict()["weight_peephole_l0_reverse"].shape == (3, H)
    assert repr(lstm) == "LSTM(5, 7, bidirectional=True, peephole=True)"
    y, (_, c_n), cells = lstm(x, return_cells=True)
    assert cells.shape == y.shape
    assert_close(cells.data[-1, :, :H], c_n.data[0]), assert_close(cells.data[0, :, H:], c_n.data[1])
    lengths = [2, x.shape[0], 1, 3]
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    y, _, cells = lstm(packed, return_cells=True)
    unpacked, _ = nn.utils.rnn.pad_packed_sequence(cells)
    assert cells.data.shape == y.data.shape
    assert_close(unpacked.data, lstm(x, lengths=lengths, return_cells=True)[2].data)
    after, before = nn.GRU(I, H), nn.GRU(I, H, reset_after=False)
    before.load_state_dict(after.state_dict())
    assert repr(before) == "GRU(5, 7, reset_after=False)"
    assert np.abs(after(x)[0].data - before(x)[0].data).max() > 1e-3
    dropped = nn.GRU(I, H, recurrent_dropout=0.5)
    dropped.load_state_dict(after.state_dict())
    assert np.abs(after(x)[0].data - dropped(x)[0].data).max() > 1e-3
    np.testing.assert_array_equal(after.eval()(x)[0].data, dropped.eval()(x)[0].data)


def test_state_fed_on_is_the_whole_sequence_and_detached_has_no_history():
    layer = nn.LSTM(I, H, num_layers=2)
    x = randn(T, N, I)
    whole, _ = layer(Tensor(x))
    first, state = layer(Tensor(x[:4], requires_grad=True))
    state = tuple(s.detach() for s in state)
    second, _ = layer(Tensor(x[4:]), state)
    assert_close(np.concatenate((first.data, second.data)), whole.data, "chain", H)
    second.sum().backward()
    assert state[0].grad is None and not state[0].requires_grad


@pytest.mark.parametrize("kind", [*KINDS, "GRUCell", "LSTMCell", "RNNCell"])
def test_initial_weights(kind):
    nnkern.manual_seed(3)
    layer = getattr(nn, kind)(10, 100)
    values = np.concatenate([p.data.ravel() for p in layer.parameters()])
    bound = 1 / math.sqrt(100)
    assert np.abs(values).max() <= bound and abs(values.mean()) < bound / 50
    assert abs(values.std() - bound / math.sqrt(3)) < bound / 50
    again = copy.deepcopy(layer)
    x = randn(3, 10)
    for a, b in zip(flat(layer(Tensor(x))), flat(again(Tensor(x)))):
        np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.GRU(3, 0), "hidden_size and num_layers must be at least 1 .* got 0, 1 and 3"),
        (lambda: nn.LSTM(3, 4, proj_size=4), r"proj_size must lie in \[0, hidden_size\), got 4 of 4"),
        (lambda: nn.GRU(3, 4, 2, dropout=1.5), r"dropout must lie in \[0, 1\], got 1.5"),
        (lambda: nn.RNN(3, 4, nonlinearity="elu"), "nonlinearity must be 'tanh' or 'relu', got 'elu'"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="elu"), "nonlinearity must be 'tanh' or 'relu', got 'elu'"),
        (lambda: nn.GRU(3, 4)(packing.pack_sequence([randn(2, 3)]), lengths=[2]), "lengths= must be None"),
        (lambda: nn.GRU(3, 4)(Tensor(randn(2, 1, 3)), Tensor(randn(2, 1, 4))), r"h0 must have shape \(1, 1, 4\)"),
        (lambda: nn.GRU(-3, 4), "input_size at least 0, got 4, 1 and -3"),
        (lambda: nn.LSTM(3, 4, 2)(randn(5, 1, 3), randn(2, 1, 4)), r"state must be the pair \(h0, c0\), got ndarray"),
        (lambda: nn.LSTMCell(3, 4)(randn(1, 3), (randn(1, 4),)), r"state must be the pair \(h, c\), got 1 of them"),
    ],
)  # fmt: skip
def test_wrong_use_is_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def with_weight(layer, name, shape):
    setattr(layer, name, nn.Parameter(randn(*shape)))
    return layer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.GRU(4, 5)(np.zeros((3, 2, 4), np.float16)), "gru: x must be a float32, .* got float16"),
        (lambda: nn.GRUCell(4, 5)(np.zeros((2, 4), np.float16)), "gru_cell: x must be a float32, .* got float16"),
        (lambda: nn.GRUCell(4, 5)([1.0, 2.0]), "gru_cell: expected an array or Tensor, got list"),
        (lambda: nn.GRUCell(4, 5)(randn(3)), r"gru_cell: w_ih must have shape \(15, 3\) .* \(x.shape=\(3,\), "),
        (lambda: nn.RNNCell(4, 5)(Tensor(randn(2, 3))), r"rnn_cell: w_ih must .* \(x.shape=\(2, 3\), "),
        (lambda: nn.RNNCell(4, 5)(randn(4), randn(1, 5)), r"rnn_cell: h must have shape \(5,\), got h.shape=\(1, 5\)"),
        (
            lambda: nn.LSTMCell(4, 5)(randn(4), (randn(5), randn(6))),
            r"lstm_cell: c must have shape \(5,\), got c.shape=\(6,\)",
        ),
        (lambda: nn.LSTMCell(4, 5)(randn(4), (randn(5), np.zeros(5))), "lstm_cell: x is float32 but c is float64"),
        (lambda: nn.GRU(4, 5)(randn(7, 3)), r"gru: w_ih must have .* \(x.shape=\(7, 3\), "),
        (
            lambda: with_weight(nn.GRU(4, 5, 2), "weight_ih_l1", (15, 6))(randn(3, 2, 4)),
            r"gru: w_ih must have shape \(15, 5\) .*\(layer l1\)$",
        ),
        (
            lambda: with_weight(nn.LSTM(4, 5, 2), "bias_hh_l1", (21,))(Tensor(randn(3, 2, 4))),
            r"lstm: b_hh must have shape \(20,\) .*\(layer l1\)$",
        ),
        (lambda: nn.RNN(4, 5, 2)(randn(3, 6)), r"rnn: w_ih must have .* \(x.shape=\(3, 6\), .*\(layer l0\)$"),
    ],
)  # fmt: skip
def test_errors_show_what_was_given_and_the_layer(make, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        make()


def test_dropout_of_a_single_layer_warns():
    with pytest.warns(UserWarning, match="acts between layers, and there is one"):
        nn.LSTM(3, 4, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.LSTM(3, 4, 2, dropout=0.5)


# --- packing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "i4"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_packing_equals_torch(torch, batch_first, dtype):
    theirs = torch.nn.utils.rnn
    x = (10 * randn(3, 5, 2)).astype(dtype)
    x = x if batch_first else x.swapaxes(0, 1)
    packed = packing.pack_padded_sequence(x, [3, 5, 1], batch_first, False)
    expected = theirs.pack_padded_sequence(torch.tensor(x.copy()), [3, 5, 1], batch_first, False)
    for a, b in zip(packed, expected):
        np.testing.assert_array_equal(a, b.numpy())
    assert packed.data.dtype == x.dtype
    padded, lengths = packing.pad_packed_sequence(packed, batch_first, 7.0, 6)
    expected, _ = theirs.pad_packed_sequence(expected, batch_first, 7.0, 6)
    np.testing.assert_array_equal(padded, expected.numpy())
    assert lengths.tolist() == [3, 5, 1] and padded.dtype == x.dtype


@pytest.mark.parametrize("side", ["right", "left"])
def test_sequences_equal_torch(torch, side):
    theirs = torch.nn.utils.rnn
    sequences = [torch.randn(n, 3) for n in (2, 0, 5, 1)]
    for batch_first in (True, False):
        ours = packing.pad_sequence(sequences, batch_first, 9.0, side)
        assert isinstance(ours, torch.Tensor)
        assert torch.equal(ours, theirs.pad_sequence(sequences, batch_first, 9.0, side))
    back = packing.unpad_sequence(packing.pad_sequence(sequences), [2, 0, 5, 1])
    assert all(torch.equal(a, b) for a, b in zip(back, sequences))
    del sequences[1]
    packed, expected = packing.pack_sequence(sequences, False), theirs.pack_sequence(sequences, False)
    assert torch.equal(packed.data, expected.data)
    assert all(torch.equal(a, b) for a, b in zip(packing.unpack_sequence(packed), sequences))


def test_packing_by_hand():
    a, b, c = np.array([1, 2]), np.array([3, 4, 5, 6]), np.array([7])
    packed = packing.pack_sequence([a, b, c], enforce_sorted=False)
    assert packed.data.tolist() == [3, 1, 7, 4, 2, 5, 6] and packed.batch_sizes.tolist() == [3, 2, 1, 1]
    assert packed.sorted_indices.tolist() == packed.unsorted_indices.tolist() == [1, 0, 2]
    assert packing.PackedSequence(packed.data, *packed[1:])[1:] == packed[1:]
    assert packing.invert_permutation([2, 0, 1]).tolist() == [1, 2, 0]


def test_packing_has_gradients():
    x = Tensor(randn(T, N, 2), requires_grad=True)
    packed = packing.pack_padded_sequence(x, [2, 6, 1, 3], enforce_sorted=False)
    padded, lengths = packing.pad_packed_sequence(packed)
    (padded * padded).sum().backward()
    there = (np.arange(T)[:, None] < lengths)[..., None]
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.data * there)


X = np.zeros((5, 2, 3), np.float32)


def by_hand(batch_sizes, order=None):
    return packing.pad_packed_sequence(packing.PackedSequence(X, np.array(batch_sizes, np.int64), order))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: packing.pack_padded_sequence(X, [2, 5]), "lengths must fall .* got .2, 5.; enforce_sorted=False"),
        (lambda: packing.pack_padded_sequence(X, [5]), r"2 sequences but lengths of shape \(1,\)"),
        (lambda: packing.pack_padded_sequence(X, [6, 1]), r"lengths from 1 to 5, got \[6, 1\]"),
        (lambda: packing.pack_padded_sequence(X, [5, 0]), "the layers' lengths= takes 0"),
        (lambda: packing.pack_padded_sequence(X[0, 0], [1]), "input must have dims for steps and sequences"),
        (lambda: packing.pad_packed_sequence(packing.pack_sequence([X]), total_length=4), "total_length=4 is less"),
        (lambda: packing.pad_sequence([]), "needs at least one sequence"),
        (lambda: packing.pad_sequence([X, X[:, :1]]), r"sequences\[1\].shape=\(5, 1, 3\)"),
        (lambda: packing.pad_sequence([X], padding_side="top"), "padding_side must be 'right' or 'left'"),
        (lambda: packing.pack_sequence([X[:2], X]), "pack_sequence: lengths must fall"),
        (lambda: packing.pad_sequence([[1, 2], [3]]), r"sequences\[0\] must be an array .* got \[1, 2\]"),
        (lambda: by_hand([2, 2, 2]), r"add up to the 5 rows of data, got \[2, 2, 2\]"),
        (lambda: by_hand([2, 1]), "add up to the 5 rows"),
        (lambda: by_hand([1, 2, 2]), "never rise"),
        (lambda: by_hand([5, 0]), "must be positive"),
        (lambda: by_hand([]), "must be positive"),
        (lambda: by_hand([3, 2], [0, 1]), r"an order of the 3 sequences, got \[0, 1\]"),
        (lambda: nn.GRU(3, 4)(packing.PackedSequence(randn(4, 3), np.array([1, 2, 1]))), "never rise"),
    ],
)  # fmt: skip
def test_wrong_packing_is_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- clipping ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 1e3])
def test_clipping_equals_torch(torch, norm_type, max_norm):
    arrays = [randn(3, 4), randn(5), randn(2, 2)]
    ours = [nn.Parameter(np.zeros_like(a)) for a in arrays]
    theirs = [torch.zeros(a.shape, requires_grad=True) for a in arrays]
    for p, q, a in zip(ours[:2], theirs, arrays):  # the last has no gradient
        p.grad, q.grad = Tensor(a.copy()), torch.tensor(a)
    total = clip_grad_norm_(iter(ours), max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert total == pytest.approx(float(expected), rel=1e-5) and ours[2].grad is None
    for p, q in zip(ours[:2], theirs):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-5)
    clip_grad_value_(ours, 0.1)
    assert max(np.abs(p.grad.numpy()).max() for p in ours[:2]) <= np.float32(0.1)
    ours[0].grad.data[0, 0] = np.nan
    with pytest.raises(RuntimeError, match="norm of order 2.0 is nan"):
        clip_grad_norm_(ours, 1.0, error_if_nonfinite=True)
