"""The whole house at work: handwritten digits are learned, on every ISA and dtype, and the result is kept."""

import numpy as np
import pytest
from support import DTYPES, each_isa, randn

import nnkern
from nnkern.data import Batches, load_digits
from nnkern.models import MLP, LeNet5

pytest.importorskip("sklearn", reason="scikit-learn ships the digits")
from nnkern.training import accuracy, confusion_matrix, filters, loss_curve, train_digits, train_lenet5
from nnkern.training.lenet5 import enlarge


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


def test_enlarged_digits_stay_where_they_are():
    x = load_digits().x_test[:20]
    big = enlarge(x)
    assert big.shape == (20, 1, 28, 28) and big.dtype == np.float32 and big.min() >= 0 and big.max() <= 1
    # linear interpolation keeps what is between the outermost pixels: 3.5 by 3.5 times as much in all
    inner = x.reshape(-1, 8, 8)[:, 1:-1, 1:-1].sum()
    assert 0.95 * 3.5**2 * inner < big.sum() < 1.05 * 3.5**2 * x.sum()
    flat = enlarge(np.ones((1, 64), np.float32))
    np.testing.assert_allclose(flat[0, 0, 2:-2, 2:-2], 1, rtol=1e-6)
    nnkern.manual_seed(1)
    moved = enlarge(x, 0.7, 0.15)
    assert moved.shape == big.shape and 0 < np.abs(moved - big).mean() < 0.2


def test_lenet5_reads_digits(tmp_path):
    result = train_lenet5(epochs=8, checkpoint=tmp_path / "lenet5.safetensors")
    assert result.test_accuracy >= 0.9  # 60 epochs reach 98.5 %: `nnkern train lenet5`
    losses = [r["loss"] for r in result.history]
    assert losses[-1] < 0.3 * losses[0]
    again = LeNet5()
    again.load_state_dict(nnkern.load(tmp_path / "lenet5.safetensors"))
    digits = load_digits()
    assert accuracy(again, enlarge(digits.x_test), digits.y_test) == result.test_accuracy
    pytest.importorskip("matplotlib")
    for picture, data in ((filters, result.model.conv1.weight.data), (confusion_matrix, result.confusion)):
        picture(data, path=tmp_path / "picture.png")
        assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    ax = filters(np.arange(24.0).reshape(3, 2, 2, 2))
    assert ax.images[0].get_array().shape == (5, 8) and ax.images[0].get_array()[3, 6] == 20


def test_lenet5_is_repeatable():
    a, b = (train_lenet5(epochs=1, seed=3).model.state_dict() for _ in range(2))
    assert a["conv1.weight"].shape == (6, 1, 5, 5) and sum(v.size for v in a.values()) == 61706
    for k in a:
        np.testing.assert_array_equal(a[k], b[k])
