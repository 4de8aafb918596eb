"""CTC equals the reference on every instruction set, PyTorch behind log_softmax, and a sum over all alignments."""

import itertools

import numpy as np
import pytest
from support import DTYPES, assert_close, check_gradient, check_kernels, randn, rng

import nnkern as F
from nnkern import Tensor, _cpu, nn

# frames, batch, classes, labels
SHAPES = [(1, 1, 2, 1), (5, 3, 4, 2), (12, 2, 5, 6), (30, 4, 6, 9), (50, 2, 40, 20)]


def problem(shape, dtype=np.float32, blank=0):
    """Log-probabilities, targets with repeats, and unequal lengths."""
    t, n, c, s = shape
    x = F.log_softmax(2 * randn(t, n, c, dtype=dtype), 2)
    targets = rng(3, *shape).integers(0, c - 1, (n, s))
    targets += targets >= blank
    lengths = rng(4, *shape).integers(0, s + 1, n)
    lengths[0] = s
    return x, targets, np.maximum(t - np.arange(n), 1), lengths


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("blank", [0, 1])
def test_kernels(shape, blank):
    x, targets, inputs, lengths = problem(shape, blank=blank)
    inputs[-1] = max(0, inputs[-1] - 2)
    flat = np.concatenate([row[:k] for row, k in zip(targets, lengths)])
    turned = np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0)
    for v, t in ((x, targets), (x, flat), (turned, targets.astype(np.int32)), (x[:, ::-1], targets[:, ::-1])):
        given = (t, inputs, lengths)
        check_kernels("ctc_loss_forward", v, *given, blank, kind="chain", n=1000)
        for dtype in DTYPES:
            alpha = _cpu.ctc_loss_forward(v.astype(dtype), *given, blank)[1]
            gy = randn(shape[1], dtype=dtype, seed=8)
            for zero in (False, True):
                check_kernels("ctc_loss_backward", gy, v.astype(dtype), *given, alpha, blank, zero,
                              kind="chain", n=10_000, dtypes=[dtype])  # fmt: skip


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_torch(shape, reduction, dtype):
    torch = pytest.importorskip("torch")
    _, targets, inputs, lengths = problem(shape)
    x = 2 * randn(*shape[:3], dtype=dtype)
    for zero in (False, True):
        ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y = F.ctc_loss(F.log_softmax(ours, 2), targets, inputs, lengths, 0, reduction, zero)
        t = torch.nn.functional.ctc_loss(
            theirs.log_softmax(2), *map(torch.tensor, (targets, inputs, lengths)), 0, reduction, zero
        )
        assert_close(y.detach().numpy(), t.detach().numpy(), "chain", 100)
        gy = randn(*y.shape, dtype=dtype, seed=2)
        y.backward(gy)
        t.backward(torch.tensor(gy))
        assert_close(ours.grad.numpy(), theirs.grad.numpy(), "chain", 10_000)


def test_equals_the_sum_over_alignments():
    x, target = F.log_softmax(randn(5, 1, 3, dtype=np.float64), 2), [2, 2, 1]
    total = 0.0
    for path in itertools.product(range(3), repeat=5):
        if [k for k, _ in itertools.groupby(path) if k] == target:
            total += np.exp(sum(x[t, 0, k] for t, k in enumerate(path)))
    found = F.ctc_loss(x, np.array([target]), [5], [3], reduction="sum")
    assert_close(found, np.asarray(-np.log(total)), "chain")


def test_gradient_behind_log_softmax():
    given = (np.array([[1, 1, 2], [2, 3, 0]]), [8, 6], (3, 2))
    check_gradient(lambda x: F.ctc_loss(F.log_softmax(x, 2), *given, reduction="none"), randn(8, 2, 4))


def test_one_sequence_and_other_arrays():
    x, targets, inputs, lengths = problem((12, 1, 5, 6))
    whole = F.ctc_loss(x, targets, inputs, lengths, reduction="none")
    one = F.ctc_loss(x[:, 0], targets[0], int(inputs[0]), int(lengths[0]), reduction="none")
    assert one.shape == () and one == whole[0]
    torch = pytest.importorskip("torch")
    assert isinstance(F.ctc_loss(*map(torch.tensor, (x, targets, inputs, lengths))), torch.Tensor)


def test_threads_change_no_bit():
    x, *given = problem((60, 8, 20, 15))
    before, found = F.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            F.set_num_threads(threads)
            loss, alpha = _cpu.ctc_loss_forward(x, *given, 0)
            gx = _cpu.ctc_loss_backward(randn(8), x, *given, alpha, 0, False)
            found.append(loss.tobytes() + gx.tobytes())
    finally:
        F.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_impossible_targets_are_infinite():
    x = np.log(np.full((2, 1, 3), 1 / 3, np.float32))
    for zero, loss in ((False, np.inf), (True, 0)):
        t = Tensor(x, requires_grad=True)
        y = F.ctc_loss(t, np.array([[1, 1]]), [2], [2], reduction="sum", zero_infinity=zero)
        assert y.item() == loss
        y.backward()
        assert (t.grad.numpy() == 0).all() if zero else np.isnan(t.grad.numpy()).all()
    assert F.ctc_loss(x, np.zeros((1, 0), int), [0], [0]) == 0


def test_layer_is_the_function():
    given = problem((12, 2, 5, 4), blank=1)
    layer = nn.CTCLoss(blank=1, reduction="sum", zero_infinity=True)
    assert_close(layer(*given), F.ctc_loss(*given, 1, "sum", True), "exact")


ERRORS = [
    ({"targets": np.array([[1, 2], [3, 1]])}, IndexError, r"targets\[1, 0\] is 3, but labels are classes 0 to 2"),
    ({"targets": np.array([1, 0, 2, 1])}, IndexError, r"targets\[1\] is 0.*without the blank 0"),
    ({"targets": np.array([1, 2, 1])}, ValueError, "add up to 4"),
    ({"targets": np.ones((3, 2), int)}, ValueError, r"targets must be \(N, S\).*\(5, 2, 3\).*\(3, 2\)"),
    ({"targets": np.ones((2, 2))}, TypeError, "targets is float64"),
    ({"input_lengths": [5, 6]}, ValueError, r"input_lengths\[1\] is 6, but must lie between 0 and 5"),
    ({"target_lengths": [3, 1]}, ValueError, r"target_lengths\[0\] is 3.* 0 and 2"),
    ({"target_lengths": [-1, 1]}, ValueError, r"target_lengths\[0\] is -1"),
    ({"input_lengths": [5]}, ValueError, "one number for each of the 2 sequences"),
    ({"input_lengths": [5.0, 5.0]}, TypeError, "input_lengths is float64"),
    ({"blank": 3}, ValueError, "blank is 3, which is no class"),
    ({"reduction": "avg"}, ValueError, "reduction must be"),
    ({"log_probs": randn(5)}, ValueError, r"must be \(T, N, C\)"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), ERRORS)
def test_errors(change, error, message):
    given = {"log_probs": randn(5, 2, 3), "targets": np.array([[1, 2], [2, 1]]), "input_lengths": [5, 5],
             "target_lengths": [2, 2], **change}  # fmt: skip
    with pytest.raises(error, match=message):
        F.ctc_loss(**given)


def test_no_second_derivative():
    x = Tensor(randn(5, 1, 3), requires_grad=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        F.ctc_loss(x, np.array([[1]]), [5], [1]).backward(create_graph=True)
