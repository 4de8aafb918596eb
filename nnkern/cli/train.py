"""nnkern train. What the commands compute lives in nnkern.training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .common import AsJson, beginning, explained, folder, make_console, progress_bar

train_app = typer.Typer(no_args_is_help=True, help="Train a classic network on real data.")
Epochs = Annotated[int, typer.Option(min=1)]
Seed = Annotated[int, typer.Option(min=0)]
Out = Annotated[Path, typer.Option(help="Folder for the checkpoint and the pictures.")]
Hidden = Annotated[int, typer.Option(min=1, help="Units of the recurrent layer.")]
Picture = Callable[[Any, Path], Any]  # of a result of training, into a file


def _finish(console: Console, as_json: bool, files: dict[str, Path], **facts: Any) -> None:
    if as_json:
        text = json.dumps({**facts, "files": {name: str(path) for name, path in files.items()}})
        print(json.dumps(json.loads(text, parse_constant=lambda _: None)))  # JSON has no NaN: null
    console.print(f"saved: {', '.join(str(path) for path in files.values())}")


def _digits(train: Any, name: str, epochs: int, seed: int, out: Path, as_json: bool, **more: Picture) -> None:
    """Trains under a progress bar and saves the checkpoint and pictures."""
    from nnkern.training import confusion_matrix, loss_curve

    pictures: dict[str, Picture] = {
        "loss": lambda result, path: loss_curve(result.history, path=path),
        "confusion": lambda result, path: confusion_matrix(result.confusion, path=path),
        **more,
    }
    files = {"checkpoint": folder(out) / f"{name}.safetensors"} | {k: out / f"{k}.png" for k in pictures}
    console = make_console(as_json)
    with explained(), progress_bar(console, "epoch", epochs) as show:
        result = train(
            epochs=epochs, seed=seed, checkpoint=files["checkpoint"],
            progress=lambda r: show(f"loss {r['loss']:.4f}, test accuracy {100 * r['accuracy']:.1f} %"),
        )  # fmt: skip
        for picture, draw in pictures.items():
            draw(result, files[picture])
    console.print(
        f"test accuracy {100 * result.test_accuracy:.2f} % on {result.confusion.sum()} images never trained on"
    )
    _finish(console, as_json, files, test_accuracy=result.test_accuracy, epochs=epochs, seed=seed,
            history=result.history, confusion=result.confusion.tolist())  # fmt: skip


@train_app.command()
def mlp(epochs: Epochs = 40, seed: Seed = 0, out: Out = Path("nnkern-mlp"), as_json: AsJson = False) -> None:
    """Handwritten digits (1,797 real 8x8 images): trains an MLP, saves a checkpoint and pictures."""
    from nnkern.training import train_digits

    _digits(train_digits, "mlp", epochs, seed, out, as_json)


@train_app.command()
def lenet5(
    epochs: Epochs = 60, seed: Seed = 0, out: Out = Path("nnkern-lenet5"), as_json: AsJson = False
) -> None:
    """The digits at 28x28: trains LeNet-5, saves a checkpoint and pictures, one of them the first layer's filters."""
    from nnkern.training import filters, train_lenet5

    def draw(result: Any, path: Path) -> None:
        filters(result.model.conv1.weight.data, path=path)

    _digits(train_lenet5, "lenet5", epochs, seed, out, as_json, filters=draw)


@train_app.command()
def textgen(
    text: Annotated[str, typer.Option(help="A text file (UTF-8); default: Python's documentation.")] = "",
    cell: Annotated[str, typer.Option(help="gru, lstm or rnn.")] = "gru",
    epochs: Epochs = 8,
    hidden: Hidden = 256,
    layers: Annotated[int, typer.Option(min=1)] = 1,
    dropout: Annotated[float, typer.Option(min=0, max=1)] = 0.0,
    prompt: Annotated[str | None, typer.Option(help="What the samples begin with; default: 'The '.")] = None,
    length: Annotated[int, typer.Option(min=0, help="Characters of each sample.")] = 400,
    seed: Seed = 0,
    out: Out = Path("nnkern-textgen"),
    as_json: AsJson = False,
) -> None:
    """A recurrent network learns to write like a text, character by character; `nnkern generate` writes more."""
    from nnkern.data import Vocabulary, load_text
    from nnkern.training import text_curve, train_textgen, write

    files = {"checkpoint": folder(out) / "textgen.safetensors", "bits": out / "bits.png"}
    console = make_console(as_json)
    with explained(), progress_bar(console, "window", None) as show:
        at: dict[str, Any] = {"test_bits": float("nan")}

        def progress(record: dict[str, Any]) -> None:
            at.update(record)
            text = f"epoch {at['epoch']}/{epochs}, {at['bits']:.3f} bits per character, test {at['test_bits']:.3f}"
            show(text, at["step"], at["steps"])

        learned = load_text(text or None)
        prompt = beginning(prompt, Vocabulary.of(learned))
        result = train_textgen(
            learned, cell, epochs, hidden, layers, dropout=dropout, seed=seed,
            progress=progress, checkpoint=files["checkpoint"],
        )  # fmt: skip
        text_curve(result, path=files["bits"])
        samples = {
            t: prompt + "".join(write(result.model, result.vocabulary, prompt, length, t, seed))
            for t in (0.3, 0.6, 1.0)
        }
    console.print(
        f"test text: {result.test_bits:.3f} bits per character "
        f"(xz: {result.xz_bits:.3f}, frequencies of characters: {result.frequency_bits:.3f})"
    )
    for temperature, sample in samples.items():
        console.rule(f"temperature {temperature}")
        console.print(sample, markup=False, highlight=False, soft_wrap=True)
    _finish(console, as_json, files, test_bits=result.test_bits, xz_bits=result.xz_bits, seed=seed,
            frequency_bits=result.frequency_bits, history=result.history, samples=samples)  # fmt: skip


@train_app.command()
def timeseries(
    series: Annotated[str, typer.Option(help="sunspots, co2, or a CSV file (time, value).")] = "sunspots",
    history: Annotated[int, typer.Option(min=0, help="Values that a forecast sees; 0: by the series.")] = 0,
    horizon: Annotated[int, typer.Option(min=0, help="Values that it gives; 0: by the series.")] = 0,
    epochs: Annotated[int, typer.Option(min=0, help="0: by the series.")] = 0,
    hidden: Hidden = 32,
    seed: Seed = 0,
    out: Out = Path("nnkern-timeseries"),
    as_json: AsJson = False,
) -> None:
    """A GRU forecasts a real series, against its last value and linear autoregression; draws forecasts over truth."""
    from nnkern.training import forecast_picture, train_timeseries

    files = {"checkpoint": folder(out) / "timeseries.safetensors", "forecast": out / "forecast.png"}
    console = make_console(as_json)
    with explained(), progress_bar(console, "epoch", None) as show:
        result = train_timeseries(
            series, history, horizon, epochs, hidden, seed=seed, checkpoint=files["checkpoint"],
            progress=lambda r: show(f"loss {r['loss']:.4f}", total=r["epochs"]),
        )  # fmt: skip
        forecast_picture(result, path=files["forecast"])
    errors = {name: result.rmse(name) for name in result.forecasts}
    shape = result.truth.shape
    console.print(f"{result.series.name}: {shape[0]} forecasts of {shape[1]} steps", markup=False)
    table = Table()
    for column in ("forecast", "error (RMS)", "of naive"):
        table.add_column(column, justify="left" if column == "forecast" else "right")
    naive = errors["naive"]
    for name, error in errors.items():
        table.add_row(name, f"{error:.3f}", f"{100 * error / naive:.0f} %" if naive else "")
    console.print(table)
    by_step = {name: result.rmse_by_step(name).tolist() for name in errors}
    _finish(console, as_json, files, rmse=errors, rmse_by_step=by_step, seed=seed, history=result.history)


@train_app.command()
def propensity(
    events: Annotated[
        str, typer.Option(help="A CSV file (customer, time, event, value); default: simulated.")
    ] = "",
    target: Annotated[str, typer.Option(help="The event to foretell.")] = "order",
    within: Annotated[float, typer.Option(min=0.01, help="Days in which it may come.")] = 7,
    epochs: Epochs = 6,
    hidden: Hidden = 32,
    seed: Seed = 0,
    out: Out = Path("nnkern-propensity"),
    as_json: AsJson = False,
) -> None:
    """Who will order within 7 days? A GRU reads customers' events; saves everybody's chance as scores.csv."""
    from nnkern.data import load_events
    from nnkern.training import calibration, loss_curve, save_scores, train_propensity

    files = {"checkpoint": folder(out) / "propensity.safetensors", "scores": out / "scores.csv",
             "calibration": out / "calibration.png", "loss": out / "loss.png"}  # fmt: skip
    console = make_console(as_json)
    with explained(), progress_bar(console, "epoch", epochs) as show:
        result = train_propensity(
            load_events(events) if events else None, target, within, epochs, hidden, seed=seed,
            checkpoint=files["checkpoint"],
            progress=lambda r: show(f"loss {r['loss']:.4f}, test AUC {r['auc']:.3f}"),
        )  # fmt: skip
        save_scores(result.scores, files["scores"])
        calibration(result.test.y, result.chances, path=files["calibration"])
        loss_curve(result.history, path=files["loss"])
    areas = {name: result.auc(name) for name in result.chances}
    captured = {name: result.captured(name) for name in result.chances}
    y = result.test.y
    console.print(f"the last {within:g} days: {y.sum()} of {len(y)} customers did '{target}'")
    table = Table()
    for column in ("told by", "AUC", "hits in the likeliest tenth"):
        table.add_column(column, justify="left" if column == "told by" else "right")
    for name, area in areas.items():
        table.add_row(name, f"{area:.3f}", f"{100 * captured[name]:.0f} %")
    console.print(table)
    _finish(console, as_json, files, auc=areas, captured=captured, customers=len(y), hits=int(y.sum()), seed=seed,
            history=result.history)  # fmt: skip
