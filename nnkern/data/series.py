"""Time series and the windows that a forecaster learns from."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .text import csv_errors, read_text


class Series(NamedTuple):
    """values (n,) float64 at the times (n,), in years for the two that statsmodels ships."""

    name: str
    values: np.ndarray
    times: np.ndarray


def load_series(name: str = "sunspots") -> Series:
    """'sunspots' (yearly since 1700), 'co2' (weekly, Mauna Loa), or the last column of a CSV file.

    The first column of such a file, if it has another, is the time: a number or an ISO date (in years then).
    A first line with neither number nor date is a header. Values that can't be read are gaps, filled by
    linear interpolation. ValueError names a line that has more or fewer columns than the first.
    """
    if name not in ("sunspots", "co2"):
        return _fill(Path(name).stem, *_from_csv(name))
    try:
        from statsmodels import datasets
    except ImportError:
        raise ImportError("load_series: statsmodels ships the series: pip install 'nnkern[cli]'") from None
    frame = getattr(datasets, name).load_pandas().data
    if name == "sunspots":
        return _fill("yearly sunspots", frame["SUNACTIVITY"].to_numpy(), frame["YEAR"].to_numpy())
    years = np.array([_years(day) for day in frame.index])
    return _fill("weekly CO2 at Mauna Loa [ppm]", frame["co2"].to_numpy(), years)


def _years(day: datetime) -> float:
    return day.year + (day.timetuple().tm_yday - 1) / 365.25


def _number(text: str) -> float:
    """A number, a date in years, or NaN."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return _years(datetime.fromisoformat(text))
    except ValueError:
        return np.nan


def _from_csv(path: Any) -> tuple[np.ndarray, np.ndarray]:
    reader = csv.reader(io.StringIO(read_text("load_series", path)))
    rows: list[list[str]] = []
    with csv_errors("load_series", path, reader):
        for row in reader:
            if not any(cell.strip() for cell in row):  # a blank line
                continue
            rows.append(row)
            if len(row) != len(rows[0]):
                raise ValueError(
                    f"load_series: {path}, line {reader.line_num} has {len(row)} columns, the first line {len(rows[0])}"
                )
    if rows and all(np.isnan(_number(cell)) and cell.strip().lower() != "nan" for cell in rows[0]):
        rows = rows[1:]
    times = [_number(row[0]) if len(row) > 1 else i for i, row in enumerate(rows)]
    return np.array([_number(row[-1]) for row in rows]), np.array(times, np.float64)


def _fill(name: str, values: np.ndarray, times: np.ndarray) -> Series:
    known = np.isfinite(values)
    if known.sum() < 2 or not np.isfinite(times).all():
        raise ValueError(
            f"load_series: {name} has {known.sum()} values and {np.isnan(times).sum()} unread times"
        )
    filled = np.interp(np.arange(len(values)), np.flatnonzero(known), values[known])
    return Series(name, filled, times)


def windows(values: np.ndarray, history: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """(x, y): every stretch of `history` values (n, history) and the `horizon` values after it (n, horizon)."""
    if history < 1 or horizon < 1 or len(values) < history + horizon:
        raise ValueError(
            f"windows: {len(values)} values can't fill windows of history={history} and horizon={horizon}"
        )
    both = np.lib.stride_tricks.sliding_window_view(values, history + horizon)
    return both[:, :history], both[:, history:]
