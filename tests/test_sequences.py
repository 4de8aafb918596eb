"""Real uses of recurrent layers: text, time series, customers' events; and the data that they learn from."""

import numpy as np
import pytest

import nnkern
from nnkern import Tensor, nn
from nnkern.data import (
    Events,
    Series,
    Streams,
    Vocabulary,
    histories,
    load_events,
    load_series,
    load_text,
    simulate_events,
    windows,
)
from nnkern.models import CharRNN
from nnkern.training import (
    calibration,
    forecast_picture,
    load_charrnn,
    save_scores,
    text_curve,
    train_propensity,
    train_textgen,
    train_timeseries,
    write,
)
from nnkern.training.propensity import auc

PNG = b"\x89PNG"


# --- text ----------------------------------------------------------------------------------------------------


def test_vocabulary_and_text(tmp_path):
    v = Vocabulary.of("hello")
    assert v.characters == "ehlo" and len(v) == 4
    assert v.encode("hole").tolist() == [1, 3, 2, 0] and v.decode(v.encode("hole")) == "hole"
    with pytest.raises(ValueError, match="vocabulary of 4 characters has no 'x'"):
        v.encode("hex")
    (tmp_path / "text").write_text("Grüße", encoding="utf-8")
    assert load_text(tmp_path / "text") == "Grüße"
    text = load_text()
    paragraphs = text.split("\n\n")
    assert len(text) > 300_000 and len(set(paragraphs)) == len(paragraphs)


def test_streams_go_on_where_they_stopped():
    numbers = np.arange(100)
    streams = Streams(numbers, 3, 10, shift=2)
    found = list(streams)
    assert len(found) == len(streams) == 4 and [x.shape for x, _ in found] == [(10, 3)] * 3 + [(2, 3)]
    x, y = (np.concatenate(part) for part in zip(*found))
    np.testing.assert_array_equal(y, x + 1)
    np.testing.assert_array_equal(x, 2 + np.arange(32)[:, None] + 32 * np.arange(3))
    with pytest.raises(ValueError, match="3 numbers can't fill 8 streams"):
        Streams(numbers[:3], 8, 4)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_simple_text_is_learned_and_written(cell, tmp_path):
    seen = []
    text = "abcdefgh" * 200
    result = train_textgen(
        text, cell, epochs=3, hidden=16, batch_size=4, steps=16, lr=3e-2, progress=seen.append,
        checkpoint=tmp_path / "model",
    )  # fmt: skip
    assert result.test_bits < 0.5 < result.frequency_bits and result.frequency_bits == pytest.approx(
        3, abs=0.1
    )
    assert [r for r in seen if "test_bits" in r] == result.history and len(result.history) == 3
    assert seen[-2]["step"] == seen[-2]["steps"]
    model, vocabulary = load_charrnn(tmp_path / "model")
    assert vocabulary.characters == "abcdefgh" and type(model.rnn).__name__.lower() == cell
    assert "".join(write(model, vocabulary, "ab", 14, 0.0)) == "cdefghabcdefgh"
    for a, b in zip(model.state_dict().values(), result.model.state_dict().values()):
        np.testing.assert_array_equal(a, b)
    pytest.importorskip("matplotlib")
    text_curve(result, path=tmp_path / "bits.png")
    assert (tmp_path / "bits.png").read_bytes().startswith(PNG)


def test_textgen_is_repeatable():
    def train():
        return train_textgen("to be or not to be. " * 30, epochs=1, hidden=8, batch_size=2, steps=8, seed=4)

    for a, b in zip(train().model.state_dict().values(), train().model.state_dict().values()):
        np.testing.assert_array_equal(a, b)


def test_generating_step_by_step_is_the_whole_sequence():
    nnkern.manual_seed(0)
    model = CharRNN(10, hidden=8, layers=2, embedding=4)
    prompt = np.array([1, 2, 3])
    written = list(model.generate(prompt, 20, 0.0))
    with nnkern.no_grad():
        scores, _ = model(np.concatenate((prompt, written))[:, None])
    np.testing.assert_array_equal(written, scores.data[len(prompt) - 1 : -1, 0].argmax(1))
    assert list(model.generate(prompt, 20, 1.0, seed=1)) == list(model.generate(prompt, 20, 1.0, seed=1))
    assert list(model.generate(prompt, 50, 1.0, seed=1)) != list(model.generate(prompt, 50, 1.0, seed=2))
    assert model.training


def test_temperature_one_draws_by_the_probabilities():
    model = CharRNN(3, hidden=4, embedding=2)
    nn.init.zeros_(model.out.weight)
    model.out.bias.data[:] = np.log([0.6, 0.3, 0.1])
    drawn = np.bincount(list(model.generate(np.array([0]), 3000, 1.0, seed=5)), minlength=3) / 3000
    np.testing.assert_allclose(drawn, [0.6, 0.3, 0.1], atol=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda path: CharRNN(5, cell="tree"), "cell must be one of gru, lstm, rnn, got 'tree'"),
        (lambda path: list(CharRNN(5, 4).generate(np.array([], int), 3)), "needs a prompt"),
        (lambda path: train_textgen("short"), "5 characters are too few for 32 streams"),
        (lambda path: load_charrnn(path), "no checkpoint of `nnkern train textgen`"),
    ],
)
def test_wrong_use_of_text_is_explained(call, message, tmp_path):
    nnkern.save({"a": np.zeros(1)}, tmp_path / "other")
    with pytest.raises(ValueError, match=message):
        call(tmp_path / "other")


# --- time series ---------------------------------------------------------------------------------------------


def test_windows():
    x, y = windows(np.arange(8.0), 3, 2)
    assert x.tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]] and y[0].tolist() == [3, 4]
    with pytest.raises(ValueError, match="4 values can't fill windows of history=3 and horizon=2"):
        windows(np.arange(4.0), 3, 2)


def test_series(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("date,level\n2020-01-01,1\n2020-07-01,\n2021-01-01,3\n")
    own = load_series(str(path))
    assert own.name == "own" and own.values.tolist() == [1, 2, 3] and own.values.dtype == np.float64
    np.testing.assert_allclose(own.times, [2020, 2020.5, 2021], atol=0.01)
    path.write_text("5\n6\n")
    assert load_series(str(path)).times.tolist() == [0, 1]
    path.write_text("never,5\nlater,6\n")
    with pytest.raises(ValueError, match="2 values and 2 unread times"):
        load_series(str(path))
    path.write_text("t,v\n1,\n2,1000000001\n3,1000000002\n   \n,\n")
    assert load_series(str(path)).values.tolist() == [1000000001, 1000000001, 1000000002]
    path.write_text("1,\n2,7\n3,8\n")  # no header: a value is missing
    assert load_series(str(path)).values.tolist() == [7, 7, 8]
    path.write_text("t,v\n1990,5\n1991,6\n1992\n1993,8\n")
    with pytest.raises(ValueError, match=r"own.csv, line 4 has 1 columns, the first line 2"):
        load_series(str(path))
    path.write_bytes("Höhe\n1\n2\n".encode("latin-1"))
    with pytest.raises(ValueError, match="load_series: .*own.csv is not UTF-8"):
        load_series(str(path))
    pytest.importorskip("statsmodels", reason="statsmodels ships the series")
    sun, co2 = load_series(), load_series("co2")
    assert len(sun.values) == 309 and sun.times[0] == 1700 and sun.values[0] == 5
    assert len(co2.values) == 2284 and np.isfinite(co2.values).all() and 1958 < co2.times[0] < 1959


def test_a_forecast_beats_the_last_value(tmp_path):
    t = np.arange(300)
    series = Series("waves", (t / 50 + np.sin(t / 2) + 1).astype(np.float32), t.astype(np.float64))
    seen = []
    result = train_timeseries(
        series, history=14, horizon=3, epochs=15, hidden=8, lr=1e-2, dropout=0.0, progress=seen.append,
        checkpoint=tmp_path / "model",
    )  # fmt: skip
    assert result.truth.shape == (73, 3) and all(f.shape == (73, 3) for f in result.forecasts.values())
    assert result.rmse("linear") < 0.1 and result.rmse("gru") < 0.5 * result.rmse("naive")
    np.testing.assert_array_equal(result.forecasts["naive"][:, 0], series.values[result.origins])
    np.testing.assert_array_equal(result.truth[:, 2], series.values[result.origins + 3])
    assert len(seen) == 15 and seen[0]["epochs"] == 15
    assert nnkern.load_metadata(tmp_path / "model")["horizon"] == "3"
    pytest.importorskip("matplotlib")
    forecast_picture(result, path=tmp_path / "forecast.png")
    assert (tmp_path / "forecast.png").read_bytes().startswith(PNG)


def test_a_forecast_of_sunspots_beats_the_last_value():
    pytest.importorskip("statsmodels", reason="statsmodels ships the series")
    result = train_timeseries(load_series(), epochs=20)
    assert result.rmse("gru") < 0.6 * result.rmse("naive")


def test_small_changes_of_large_values_are_seen():
    t = np.arange(200.0)
    waves = np.sin(t / 2) + 1
    near, far = (
        train_timeseries(Series("waves", base + waves, t), history=14, horizon=2, epochs=2, hidden=8)
        for base in (0, 1e9)
    )
    np.testing.assert_allclose(far.forecasts["gru"] - 1e9, near.forecasts["gru"], atol=1e-3)
    np.testing.assert_allclose(far.rmse("linear"), near.rmse("linear"), rtol=1e-2)
    huge = train_timeseries(Series("waves", 1e39 * waves, t), history=14, horizon=2, epochs=1, hidden=8)
    assert np.isfinite([huge.rmse(name) for name in huge.forecasts]).all()
    for wrong in (1e200, np.nan, -np.inf):
        with pytest.raises(ValueError, match="train_timeseries: waves must hold finite values up to"):
            train_timeseries(Series("waves", np.append(waves, wrong), t))


# --- customers -----------------------------------------------------------------------------------------------

CSV = """customer,time,event,value
ann,2024-01-01,visit,
bob,2024-01-02T12:00:00,order,20
ann,2024-01-05,order,7.5
ann,2024-01-04,visit,
ann,2024-01-09,order,1
"""


def test_events_from_a_file(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text(CSV)
    e = load_events(path)
    assert e.names == ["ann", "bob"] and e.kinds == ["visit", "order"]
    assert e.customer.tolist() == [0, 0, 0, 0, 1] and e.kind.tolist() == [0, 0, 1, 1, 1]
    np.testing.assert_allclose(e.time - e.time[0], [0, 3, 4, 8, 1.5])
    h = histories(e, e.time[0] + 4.5)
    assert h.lengths.tolist() == [3, 1] and h.x.shape == (2, 3, 7) and h.y.tolist() == [1, 0]
    np.testing.assert_allclose(np.expm1(h.x[0, :, -1]), [0, 3, 0], atol=1e-5)  # since the one of its kind
    np.testing.assert_allclose(np.expm1(h.x[0, :, -2]), [0, 3, 1], atol=1e-5)  # since any
    np.testing.assert_allclose(np.expm1(h.x[0, :, -3]), [4.5, 1.5, 0.5], atol=1e-5)  # until the moment
    np.testing.assert_allclose(np.expm1(h.x[:, :, -4]), [[0, 0, 7.5], [20, 0, 0]], atol=1e-4)
    np.testing.assert_allclose(np.expm1(h.counts[:, :2]), [[2, 1], [0, 1]], atol=1e-6)
    assert histories(e, e.time[0] + 4.5, within=3.0).y.tolist() == [0, 0]
    assert histories(e, e.time[0] + 10, most=2).lengths.tolist() == [2, 1]
    path.write_text(CSV.replace("7.5", "seven"))
    with pytest.raises(ValueError, match="line 4: can't read"):
        load_events(path)
    for line in ("ann,2024-01-09,order,nan", "ann,2024-01-09,order,-inf", "ann,inf,order,1", "ann,nan,order,1",
                 "ann,1e39,order,1", "ann,2024-01-09", "ann", "ann,2024-01-09,order,1,2"):  # fmt: skip
        path.write_text(f"{CSV}{line}\n")
        with pytest.raises(ValueError, match="load_events: .*events.csv, line 7: can't read"):
            load_events(path)
    path.write_bytes("customer,time,event\nJörg,1,order\n".encode("latin-1"))
    with pytest.raises(ValueError, match="load_events: .*events.csv is not UTF-8"):
        load_events(path)
    path.write_text("customer,event\n")
    with pytest.raises(ValueError, match="no column time"):
        load_events(path)
    with pytest.raises(ValueError, match="no events 'fly', but visit, order"):
        histories(e, 1.0, "fly")


def test_simulated_events_keep_their_promise():
    events, chance = simulate_events(600, seed=1)
    assert (np.diff(events.customer) >= 0).all() and 0 <= events.time.min() and events.time.max() < 180
    h = histories(events, 173.0)
    truth = chance[h.customer]
    assert abs(truth.mean() - h.y.mean()) < 0.04 and auc(h.y, truth) > 0.8
    again, _ = simulate_events(600, seed=1)
    np.testing.assert_array_equal(again.time, events.time)


def test_auc():
    sklearn = pytest.importorskip("sklearn.metrics", reason="nothing to compare with")
    g = np.random.default_rng(0)
    y, score = g.integers(0, 2, 200), np.round(g.random(200), 1)  # with ties
    assert auc(y, score) == pytest.approx(sklearn.roc_auc_score(y, score))
    assert np.isnan(auc(np.ones(3, int), score[:3]))


def test_propensity_learns_and_scores_everybody(tmp_path):
    pytest.importorskip("sklearn", reason="the rival is scikit-learn's")
    events, chance = simulate_events(300, days=60, seed=2)
    seen = []
    result = train_propensity(
        events, epochs=4, hidden=8, moments=4, most=16, batch_size=32, lr=1e-2, progress=seen.append,
        checkpoint=tmp_path / "model",
    )  # fmt: skip
    assert seen == result.history and result.auc("GRU") > 0.6 and result.auc("logistic regression") > 0.55
    assert set(result.chances) == {"GRU", "logistic regression"}
    names, chances = zip(*result.scores)
    assert set(names) == {events.names[c] for c in events.customer} and list(chances) == sorted(chances)[::-1]
    save_scores(result.scores, tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text().startswith(f"customer,probability\n{names[0]},0.")
    pytest.importorskip("matplotlib")
    figure = calibration(result.test.y, {**result.chances, "truth": chance[result.test.customer]},
                         path=tmp_path / "calibration.png")  # fmt: skip
    assert len(figure.axes) == 2 and (tmp_path / "calibration.png").read_bytes().startswith(PNG)
    with pytest.raises(ValueError, match="hold no 'order' to learn from"):
        train_propensity(events, within=50.0)
    days, nobody = np.tile(np.arange(20.0), 3), np.zeros(60, int)
    always = Events(
        np.repeat([0, 1, 2], 20), days, nobody, nobody.astype(np.float32), ["a", "b", "c"], ["visit"]
    )
    with pytest.raises(ValueError, match="hold nobody without 'visit' to learn from"):
        train_propensity(always, "visit", within=4.0, moments=2)
    with pytest.raises(ValueError, match=r"simulated customers live by whole days, within=1\.5 is none"):
        train_propensity(within=1.5)
    with pytest.raises(ValueError, match="within must be a positive number of days, not nan"):
        train_propensity(within=float("nan"))


def test_a_batch_of_no_sequence():
    from nnkern.models import SequenceClassifier

    model = SequenceClassifier(3, 4)
    assert model(Tensor(np.zeros((2, 5, 3), np.float32)), np.array([0, 0])).shape == (2, 2)
    assert model(Tensor(np.zeros((0, 5, 3), np.float32)), np.array([], int)).shape == (0, 2)
