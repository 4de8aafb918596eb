"""The commands. What they compute lives in nnkern.config, nnkern.bench and nnkern.training."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

import nnkern

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Neural-network kernels for arrays.",
    pretty_exceptions_enable=False,
)
train_app = typer.Typer(no_args_is_help=True, help="Train a classic network on real data.")
app.add_typer(train_app, name="train")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; all else goes to the error output.")]


def _console(as_json: bool = False) -> Console:
    return Console(width=None if sys.stdout.isatty() else 132, stderr=as_json)


@app.command()
def info(
    limits: Annotated[bool, typer.Option(help="Measure this machine's rates, too (a few seconds).")] = False,
    as_json: AsJson = False,
) -> None:
    """What nnkern found and uses: instruction set, threads, memory, versions."""
    from nnkern.bench import machine

    config: dict[str, Any] = nnkern.show_config("dicts") or {}
    config["machine"]["cpu"] = machine.cpu_name()
    if limits:
        config["limits, one thread"] = {k: round(v, 1) for k, v in machine.limits(1).items()}
    if as_json:
        print(json.dumps(config, indent=2))
        return
    console = _console()
    table = Table(show_header=False, box=None)
    for section, facts in config.items():
        for i, (key, value) in enumerate(facts.items()):
            text = ", ".join(value) if isinstance(value, list) else str(value)
            table.add_row(f"[bold]{section}[/]" if i == 0 else "", key, text)
    console.print(table)


def _cell(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"[green]{ratio:.2f}x[/]" if ratio >= 1 else f"[bold red]{ratio:.2f}x[/]"


def _bench_table(rows: list[dict[str, Any]], machine: dict[str, Any]) -> Table:
    from nnkern.bench import report

    table = Table(title="nnkern against NumPy and PyTorch (above 1: nnkern is faster)")
    for column, justify in (("op", "left"), ("case", "left"), ("thr", "right"), ("nnkern", "right"), ("rate", "right"),
                            ("of limit", "right"), ("vs NumPy", "right"), ("usual", "right"), ("vs PyTorch", "right")):  # fmt: skip
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for r in rows:
        name = r["name"] + (" f64" if r["dtype"] == "float64" else "")
        table.add_row(r["op"], name, str(r["threads"]), report.microseconds(r["seconds"]["nnkern"]),
                      report.rate(r, machine), report.share(r, machine),
                      *(_cell(r["ratios"].get(x)) for x in ("numpy", "numpy (usual)", "torch")))  # fmt: skip
    return table


@app.command()
def bench(
    full: Annotated[bool, typer.Option("--full", help="All cases, more rounds (about 15 minutes).")] = False,
    filter: Annotated[str, typer.Option(help="Only cases whose op or name holds this text.")] = "",
    threads: Annotated[str, typer.Option(help="Numbers of threads, such as 1,2; default: 1 and all.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for report.json, .md and .html.")] = Path("nnkern-bench"),
    as_json: AsJson = False,
) -> None:
    """Measures nnkern against NumPy and (if installed) PyTorch; under 3 minutes, or all cases with --full."""
    import threadpoolctl  # noqa: F401 - its absence is told now, and not by every row

    from nnkern.bench import all_cases, machine, report, run

    console = _console(as_json)

    try:
        counts = (
            tuple(int(t) for t in threads.split(","))
            if threads
            else tuple(sorted({1, nnkern.get_num_threads()}))
        )
        if min(counts) < 1:
            raise ValueError
    except ValueError:
        raise typer.BadParameter(f"'{threads}': whole numbers from 1 on are needed, such as 1,2") from None
    cases = [c for c in all_cases() if (full or not c.full) and filter.lower() in f"{c.op} {c.name}".lower()]
    if not cases:
        raise typer.BadParameter(f"no case holds '{filter}'")
    _folder(out)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("measuring the machine", total=len(cases) * len(counts))
        facts = machine.facts(counts)
        progress.update(task, description="benchmarks")
        neighbours = machine.Neighbours()
        seconds = (2.5 if full else 0.8) * len(cases) * len(counts)

        def done(row: dict[str, Any]) -> None:
            progress.advance(task)
            if progress.tasks[0].completed % 25 == 0:
                machine.sharpen(facts)

        rows, failures = run(
            cases, counts, min(seconds, 900 if full else 140), lambda row: progress.advance(task)
        )
        facts["others"] = neighbours.cores()
        machine.sharpen(facts)
    for failure in failures:
        console.print(f"[bold red]failed:[/] {failure}")
    if not rows:
        raise typer.Exit(1)
    console.print(_bench_table(rows, facts))
    for n, rivals in report.summary(rows).items():
        for rival, s in rivals.items():
            console.print(f"{n} thread{'s' * (n > 1)}: {_cell(s['mean'])} the speed of {report.LABELS[rival]} "
                          f"(geometric mean), {s['won']} of {s['rows']} rows won")  # fmt: skip
    paths = report.write(rows, facts, out)
    if as_json:
        print(json.dumps({"machine": facts, "rows": rows, "failures": failures}))
    console.print(f"report: {paths['html']}  ({', '.join(p.name for p in paths.values())})")
    if failures:
        raise typer.Exit(130 if failures == ["interrupted"] else 1)


def _folder(path: Path) -> Path:
    """Made now, so that a bad --out fails before the work and not after it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise typer.BadParameter(f"'{path}' can't be a folder: {e.strerror}") from None
    return path


Picture = Callable[[Any, Path], Any]  # of a result of training, into a file


def _train(train: Any, name: str, epochs: int, seed: int, out: Path, as_json: bool, **more: Picture) -> None:
    """Trains under a progress bar and saves the checkpoint and pictures."""
    from nnkern.training import confusion_matrix, loss_curve

    pictures: dict[str, Picture] = {
        "loss": lambda result, path: loss_curve(result.history, path=path),
        "confusion": lambda result, path: confusion_matrix(result.confusion, path=path),
        **more,
    }
    _folder(out)
    console = _console(as_json)
    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    files = {"checkpoint": out / f"{name}.safetensors"} | {k: out / f"{k}.png" for k in pictures}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=epochs)

        def show(record: dict[str, Any]) -> None:
            text = f"loss {record['loss']:.4f}, test accuracy {100 * record['accuracy']:.1f} %"
            progress.update(task, advance=1, description=text)

        try:
            result = train(epochs=epochs, seed=seed, progress=show, checkpoint=files["checkpoint"])
            for picture, draw in pictures.items():
                draw(result, files[picture])
        except ImportError as e:
            typer.echo(str(e), err=True)
            raise typer.Exit(1) from None
    if as_json:
        print(json.dumps({"test_accuracy": result.test_accuracy, "epochs": epochs, "seed": seed,
                          "history": result.history, "confusion": result.confusion.tolist(),
                          "files": {name: str(path) for name, path in files.items()}}))  # fmt: skip
    console.print(
        f"test accuracy {100 * result.test_accuracy:.2f} % on {result.confusion.sum()} images never trained on"
    )
    console.print(f"saved: {', '.join(str(path) for path in files.values())}")


Epochs = Annotated[int, typer.Option(min=1)]
Out = Annotated[Path, typer.Option(help="Folder for the checkpoint and the pictures.")]


@train_app.command()
def mlp(epochs: Epochs = 40, seed: int = 0, out: Out = Path("nnkern-mlp"), as_json: AsJson = False) -> None:
    """Handwritten digits (1,797 real 8x8 images): trains an MLP, saves a checkpoint and pictures."""
    from nnkern.training import train_digits

    _train(train_digits, "mlp", epochs, seed, out, as_json)


@train_app.command()
def lenet5(
    epochs: Epochs = 60, seed: int = 0, out: Out = Path("nnkern-lenet5"), as_json: AsJson = False
) -> None:
    """The digits at 28x28: trains LeNet-5, saves a checkpoint and pictures, one of them the first layer's filters."""
    from nnkern.training import filters, train_lenet5

    def draw(result: Any, path: Path) -> None:
        filters(result.model.conv1.weight.data, path=path)

    _train(train_lenet5, "lenet5", epochs, seed, out, as_json, filters=draw)
