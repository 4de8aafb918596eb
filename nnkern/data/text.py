"""Text as streams of character numbers, cut into windows that follow each other."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


def read_text(op: str, path: Any) -> str:
    """What a UTF-8 file holds, without the mark that some programs put before it."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise ValueError(f"{op}: {path} is not UTF-8 ({e.reason} at byte {e.start})") from None


@contextmanager
def csv_errors(op: str, path: Any, reader: Any) -> Iterator[None]:
    """What a csv.reader can't read, such as a field beyond its limit, is a ValueError that names the line."""
    try:
        yield
    except csv.Error as e:
        raise ValueError(f"{op}: {path}, line {reader.line_num}: {e}") from None


def load_text(path: Any = None) -> str:
    """The text of a file (UTF-8), or Python's own documentation of its language: 370,000 characters of English.

    Paragraphs that several of its topics share stand there once.
    """
    if path is not None:
        return read_text("load_text", path)
    from pydoc_data.topics import topics

    paragraphs = "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n")
    return "\n\n".join(dict.fromkeys(paragraphs))


class Vocabulary:
    """The characters that a text is made of, and their numbers.

    >>> v = Vocabulary.of("hello"); v.decode(v.encode("hole"))
    'hole'
    """

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self._number = {c: i for i, c in enumerate(characters)}

    @classmethod
    def of(cls, text: str) -> Vocabulary:
        return cls("".join(sorted(set(text))))

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> np.ndarray:
        """int64 numbers; ValueError for a character that is not in the vocabulary."""
        try:
            return np.fromiter((self._number[c] for c in text), np.int64, len(text))
        except KeyError as e:
            raise ValueError(f"the vocabulary of {len(self)} characters has no {e.args[0]!r}") from None

    def decode(self, numbers: Any) -> str:
        return "".join(self.characters[i] for i in numbers)


class Streams:
    """Cuts a sequence into n parallel streams and iterates over windows (x, y) of `steps`: (steps, n) each.

    y is x one step later. Each window goes on where the one before it ended, so a recurrent state can be fed on;
    what does not fill a whole row at the end is left out. shift: where to begin, for other windows every epoch.
    """

    def __init__(self, numbers: np.ndarray, n: int, steps: int, shift: int = 0) -> None:
        length = (len(numbers) - shift - 1) // n
        if length < 1 or steps < 1:
            raise ValueError(f"Streams: {len(numbers)} numbers can't fill {n} streams in windows of {steps}")
        self.steps = min(steps, length)
        self.x = numbers[shift : shift + n * length].reshape(n, length).T
        self.y = numbers[shift + 1 : shift + 1 + n * length].reshape(n, length).T

    def __len__(self) -> int:
        return -(-len(self.x) // self.steps)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for t in range(0, len(self.x), self.steps):
            yield self.x[t : t + self.steps], self.y[t : t + self.steps]
