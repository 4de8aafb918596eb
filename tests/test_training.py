"""The whole house at work: handwritten digits are learned, on every ISA and dtype, and the result is kept."""

import numpy as np
import pytest
from support import DTYPES, each_isa, randn

import nnkern
from nnkern.data import Batches, load_digits
from nnkern.models import MLP

pytest.importorskip("sklearn", reason="scikit-learn ships the digits")
from nnkern.training import accuracy, loss_curve, train_digits


def test_digits_are_the_same_every_time_and_disjoint():
    a, b = load_digits(), load_digits()
    for x, y in zip(a, b):
        np.testing.assert_array_equal(x, y)
    assert a.x_train.shape == (1438, 64) and a.x_test.shape == (359, 64) and a.x_train.dtype == np.float32
    assert a.x_train.min() == 0 and a.x_train.max() == 1 and set(a.y_test) == set(range(10))
    together = np.concatenate((a.x_train, a.x_test))
    assert len(np.unique(together, axis=0)) == len(together)
    with pytest.raises(ValueError, match=r"test_share must lie in \(0, 1\), got 2"):
        load_digits(2)


@pytest.mark.parametrize("seed", [0, 1])
def test_digits_mlp_reaches_97_percent(seed, tmp_path):
    seen = []
    path = tmp_path / "digits.safetensors"
    result = train_digits(seed=seed, progress=seen.append, checkpoint=path)
    assert result.test_accuracy >= 0.97
    assert result.confusion.sum() == 359 and np.trace(result.confusion) == round(359 * result.test_accuracy)
    assert seen == result.history and [r["epoch"] for r in seen] == list(range(1, 41))
    again = MLP(64, 256, 128, 10, dropout=0.2)
    again.load_state_dict(nnkern.load(path))
    digits = load_digits()
    assert accuracy(again, digits.x_test, digits.y_test) == result.test_accuracy
    assert nnkern.load_metadata(path)["test_accuracy"] == f"{result.test_accuracy:.4f}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_loss_falls_on_every_isa(dtype):
    for isa in each_isa():
        result = train_digits(epochs=5, hidden=(32,), dtype=dtype)
        assert next(result.model.parameters()).dtype == dtype
        first, *_, last = (r["loss"] for r in result.history)
        assert last < 0.9 * first, isa
        assert result.test_accuracy > 0.5, isa


def test_training_is_repeatable():
    a, b = (train_digits(epochs=2, seed=5).model.state_dict() for _ in range(2))
    for k in a:
        np.testing.assert_array_equal(a[k], b[k])


def test_batches():
    x, y = np.arange(10), np.arange(10) * 2
    batches = Batches(x, y, batch_size=4, seed=1)
    first, second = list(batches), list(batches)
    assert len(batches) == 3 and [len(a) for a, _ in first] == [4, 4, 2]
    for epoch in (first, second):
        assert sorted(np.concatenate([a for a, _ in epoch])) == list(range(10))
        assert all((b == 2 * a).all() for a, b in epoch)
    assert any((a != b).any() for (a, _), (b, _) in zip(first, second))
    (only,) = Batches(x, batch_size=100, shuffle=False)
    assert (only[0] == x).all()
    with pytest.raises(ValueError, match=r"the arrays have \[10, 3\] rows"):
        Batches(x, y[:3])


def test_mlp_and_loss_curve(tmp_path):
    model = MLP(4, 8, 3, dropout=0.5)
    assert [type(m).__name__ for m in model] == ["Linear", "ReLU", "Dropout", "Linear"]
    assert model(nnkern.Tensor(randn(5, 4))).shape == (5, 3)
    with pytest.raises(ValueError, match="needs the widths of input and output"):
        MLP(4)
    pytest.importorskip("matplotlib")
    history = [{"epoch": i, "loss": 1 / i, "accuracy": 1 - 0.5 / i} for i in (1, 2, 3)]
    ax = loss_curve(history, path=tmp_path / "curve.png")
    assert ax.get_xlabel() == "epoch" and (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1, 1 / 2, 1 / 3])
