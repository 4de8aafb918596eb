"""What the commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; all else goes to the error output.")]


def make_console(as_json: bool = False) -> Console:
    return Console(width=None if sys.stdout.isatty() else 132, stderr=as_json)


def folder(path: Path) -> Path:
    """Made now, so that a bad --out fails before the work and not after it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise typer.BadParameter(f"'{path}' can't be a folder: {e.strerror}") from None
    return path


@contextmanager
def progress_bar(console: Console, unit: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Yields show(text, completed=None, total=None): one step further, or to `completed`. No bar where nobody looks."""
    columns = (
        TextColumn(unit),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)

        def show(text: str, completed: int | None = None, total: int | None = None) -> None:
            advance = 1 if completed is None else None
            progress.update(task, description=text, advance=advance, completed=completed, total=total)

        yield show


def beginning(prompt: str | None, vocabulary: Any) -> str:
    """What a text begins with, checked before the work: the prompt; None: 'The ', or one character where those are missing."""
    if prompt == "":
        raise ValueError("--prompt must not be empty: what is written goes on from it")
    if prompt is None:
        prompt = "The " if set("The ") <= set(vocabulary.characters) else vocabulary.characters[:1]
    vocabulary.encode(prompt)
    return prompt


@contextmanager
def explained() -> Iterator[None]:
    """What a user can mend, a missing package or unfit data, is told in a line and not as a traceback."""
    try:
        yield
    except (ImportError, ValueError, OSError) as e:
        typer.echo(str(e), err=True)
        raise typer.Exit(1) from None
