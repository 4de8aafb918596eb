"""The commands. What they compute lives in nnkern.config, nnkern.bench and nnkern.training."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
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

from .common import AsJson, beginning, explained, folder, make_console
from .train import train_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Neural-network kernels for arrays.",
    pretty_exceptions_enable=False,
)
app.add_typer(train_app, name="train")


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
    console = make_console()
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
    from nnkern.bench import figures

    table = Table(title="nnkern against NumPy and PyTorch (above 1: nnkern is faster)")
    for column, justify in (("op", "left"), ("case", "left"), ("thr", "right"), ("nnkern", "right"), ("rate", "right"),
                            ("of limit", "right"), ("vs NumPy", "right"), ("usual", "right"), ("vs PyTorch", "right")):  # fmt: skip
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for r in rows:
        name = r["name"] + (" f64" if r["dtype"] == "float64" else "")
        table.add_row(r["op"], name, str(r["threads"]), figures.microseconds(r["seconds"]["nnkern"]),
                      figures.rate(r, machine), figures.share(r, machine),
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

    from nnkern.bench import all_cases, figures, machine, report, run

    console = make_console(as_json)

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
    folder(out)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("measuring the machine", total=len(cases) * len(counts))
        start = time.perf_counter()
        facts = machine.facts(counts)
        measuring = time.perf_counter() - start  # again at the end: machines with large caches take long
        progress.update(task, description="benchmarks")
        neighbours = machine.Neighbours()
        seconds = min(
            (2.5 if full else 0.8) * len(cases) * len(counts), (900 if full else 160) - 2 * measuring
        )

        rows, failures = run(cases, counts, seconds, lambda row: progress.advance(task))
        facts["others"] = neighbours.cores()
        machine.sharpen(facts)
    for failure in failures:
        console.print(f"[bold red]failed:[/] {failure}")
    if not rows:
        raise typer.Exit(1)
    console.print(_bench_table(rows, facts))
    for n, rivals in figures.summary(rows).items():
        for rival, s in rivals.items():
            console.print(f"{n} thread{'s' * (n > 1)}: {_cell(s['mean'])} the speed of {figures.LABELS[rival]} "
                          f"(geometric mean), {s['won']} of {s['rows']} rows won")  # fmt: skip
    paths = report.write(rows, facts, out)
    if as_json:
        print(json.dumps({"machine": facts, "rows": rows, "failures": failures}))
    console.print(f"report: {paths['html']}  ({', '.join(p.name for p in paths.values())})")
    if failures:
        raise typer.Exit(130 if failures == ["interrupted"] else 1)


@app.command()
def generate(
    checkpoint: Annotated[Path, typer.Argument(help="What `nnkern train textgen` saved.")],
    prompt: Annotated[str | None, typer.Option(help="What the text begins with; default: 'The '.")] = None,
    length: Annotated[int, typer.Option(min=0, help="How many characters to write.")] = 1000,
    temperature: Annotated[float, typer.Option(min=0, help="0: the likeliest always; 1: as learned.")] = 0.6,
    seed: Annotated[int | None, typer.Option(min=0, help="The same text every time.")] = None,
) -> None:
    """Writes on from a prompt with a network that `nnkern train textgen` trained."""
    from nnkern.training import load_charrnn, write

    with explained():
        model, vocabulary = load_charrnn(checkpoint)
        prompt = beginning(prompt, vocabulary)
        sys.stdout.write(prompt)
        started = time.perf_counter()
        for character in write(model, vocabulary, prompt, length, temperature, seed):
            sys.stdout.write(character)
            sys.stdout.flush()
    seconds = time.perf_counter() - started
    print()
    typer.echo(f"{length} characters in {seconds:.2f} s, {length / seconds:,.0f} a second", err=True)
