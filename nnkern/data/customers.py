"""Events of customers: read from a CSV file, or simulated; and the histories that a model learns from."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from .text import csv_errors, read_text

_FAR = 1e30  # what times and values must stay below: features are float32


class Events(NamedTuple):
    """One row per event, by customer and time. customer and kind are numbers into names and kinds; time in days."""

    customer: np.ndarray
    time: np.ndarray
    kind: np.ndarray
    value: np.ndarray
    names: list[str]
    kinds: list[str]


class Histories(NamedTuple):
    """What was known of each customer at a moment, and what came after it.

    x (N, T, features), of which the first lengths[n] steps count: one-hot kind of event, months until the moment,
    and log(1 + a) of value, days until the moment, days since the event before, days since the one before of its
    kind (0 if there is none). y: 1 where the target came in time. counts (N, 3 * kinds): log(1 + events of each kind)
    ever, in the last 30 days and in the last 7.
    """

    customer: np.ndarray
    x: np.ndarray
    lengths: np.ndarray
    y: np.ndarray
    counts: np.ndarray


def _events(columns: Iterable[Any], names: Iterable[str], kinds: Iterable[str]) -> Events:
    customer, time, kind, value = columns
    customer, kind = np.asarray(customer, np.int64), np.asarray(kind, np.int64)
    time, value = np.asarray(time, np.float64), np.asarray(value, np.float32)
    order = np.lexsort((time, customer))
    return Events(customer[order], time[order], kind[order], value[order], list(names), list(kinds))


def load_events(path: Any) -> Events:
    """The events of a CSV file with the columns customer, time, event and (if there is one) value.

    time: ISO dates or timestamps, or numbers of days, in float32's range. ValueError names the line that can't be read.
    """
    names: dict[str, int] = {}
    kinds: dict[str, int] = {}
    rows = []
    reader = csv.DictReader(io.StringIO(read_text("load_events", path)))
    with csv_errors("load_events", path, reader.reader):
        lacking = {"customer", "time", "event"} - set(reader.fieldnames or ())
        if lacking:
            raise ValueError(f"load_events: {path} has no column {', '.join(sorted(lacking))}")
        for row in reader:
            day, value = _day(row["time"]), _number(row.get("value") or "0")
            whole = None not in (
                row["customer"],
                row["event"],
                *row,
            )  # columns beyond the header's stand under None
            if not (whole and abs(day) < _FAR and abs(value) < _FAR):
                raise ValueError(f"load_events: {path}, line {reader.line_num}: can't read {row}")
            customer = names.setdefault(row["customer"], len(names))
            rows.append((customer, day, kinds.setdefault(row["event"], len(kinds)), value))
    if not rows:
        raise ValueError(f"load_events: {path} has no events")
    return _events(zip(*rows), names, kinds)


def _number(text: str) -> float:
    """NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _day(text: str | None) -> float:
    """A number of days, also of a date; NaN if it is neither."""
    text = text or ""
    try:
        day = _number(text)
        return datetime.fromisoformat(text).timestamp() / 86400 if math.isnan(day) else day
    except (ValueError, OverflowError):
        return math.nan


def histories(
    events: Events, moment: float, target: str = "order", within: float = 7.0, most: int = 64
) -> Histories:
    """What was known at `moment` of every customer seen before it, by the last `most` events of each.

    y: whether an event of kind `target` came in the days from moment to moment + within.
    """
    if target not in events.kinds:
        raise ValueError(f"histories: there are no events {target!r}, but {', '.join(events.kinds)}")
    known = events.time < moment
    customer, time, kind, value = (a[known] for a in events[:4])
    who, first, count = np.unique(customer, return_index=True, return_counts=True)
    row = np.repeat(np.arange(len(who)), count)
    left = (first + count)[row] - np.arange(len(row))  # 1 for a customer's last event
    lengths = np.minimum(count, most)
    ago = moment - time
    gaps = [_gaps(customer, time), _gaps(customer * len(events.kinds) + kind, time)]
    features = np.zeros((len(row), len(events.kinds) + 5), np.float32)
    features[np.arange(len(row)), kind] = 1
    features[:, -5] = ago / 30
    features[:, -4:] = np.log1p(np.stack([np.maximum(value, 0), ago, *gaps], 1))
    x = np.zeros((len(who), lengths.max(initial=0), features.shape[1]), np.float32)
    kept = left <= most
    x[row[kept], (lengths[row] - left)[kept]] = features[kept]
    counts = np.zeros((3, len(who), len(events.kinds)), np.float32)
    for part, days in zip(counts, (np.inf, 30, 7)):
        recent = ago <= days
        np.add.at(part, (row[recent], kind[recent]), 1)
    hit = (events.time >= moment) & (events.time < moment + within)
    hit &= events.kind == events.kinds.index(target)
    y = np.isin(who, events.customer[hit]).astype(np.int64)
    return Histories(who, x, lengths, y, np.log1p(np.concatenate(list(counts), 1)))


def _gaps(group: np.ndarray, time: np.ndarray) -> np.ndarray:
    """The days since the row before of the same group, 0 for its first; rows of a group stand in order of time."""
    order = np.argsort(group, kind="stable")
    gap = np.diff(time[order], prepend=0.0)
    gap[np.diff(group[order], prepend=-1) != 0] = 0
    result = np.empty_like(gap)
    result[order] = gap
    return result


# --- simulated customers -----------------------------------------------------------------------------------------

_KINDS = ["visit", "cart", "order", "ticket", "resolved", "newsletter"]


class _Shop:
    """Customers of a shop, one day after the other. What decides about an order is planted:

    - rhythm: everyone has a period of their own (7 to 40 days); chances rise when it has passed since the last order,
      and are gone with it;
    - intent: something in the cart raises them for some days, and an order empties it;
    - trouble: an open ticket nearly stops orders, until it is resolved.

    Counts of events show little of these; order and times of the events do. Newsletters tell nothing.
    """

    def __init__(self, n: int, random: np.random.Generator) -> None:
        self.random = random
        self.period = np.exp(random.normal(np.log(14), 0.5, n)).clip(7, 40)
        self.loyalty = random.normal(0, 0.5, n)
        self.curiosity = random.beta(2, 14, n)
        self.since = random.uniform(0, 1, n) * self.period
        self.intent = np.zeros(n)
        self.trouble = np.zeros(n, bool)

    def copies(self, times: int) -> _Shop:
        """Each customer so many times, to live on independently."""
        other = object.__new__(_Shop)
        other.random = self.random
        for name in ("period", "loyalty", "curiosity", "since", "intent", "trouble"):
            setattr(other, name, np.repeat(getattr(self, name), times))
        return other

    def day(self) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """What happens on one day: (kind, customers, values), in this order."""
        n, random = len(self.period), self.random
        due = np.exp(-0.5 * ((self.since / self.period - 1) / 0.15) ** 2)
        visit = random.random(n) < self.curiosity + 0.3 * due + 0.1 * self.intent
        cart = visit & (random.random(n) < 0.25)
        self.intent = np.where(cart, 1, self.intent * 0.7)
        score = -6 + self.loyalty + 5.5 * due + 2.0 * self.intent - 4.0 * self.trouble
        order = random.random(n) < 1 / (1 + np.exp(-score))
        ticket = ~self.trouble & (random.random(n) < np.where(self.since < 6, 0.03, 0.003))
        resolved = self.trouble & (random.random(n) < 0.06)
        newsletter = random.random(n) < 0.04
        self.since = np.where(order, 0, self.since + 1)
        self.intent = np.where(order, 0, self.intent)
        self.trouble = (self.trouble & ~resolved) | ticket
        happened = zip(range(len(_KINDS)), (visit, cart, order, ticket, resolved, newsletter))
        amount = np.exp(random.normal(3.5, 0.6, n))
        return [(k, np.flatnonzero(h), amount[h] if k in (1, 2) else np.zeros(h.sum())) for k, h in happened]


def simulate_events(
    customers: int = 6000, days: int = 180, within: int = 7, seed: int = 0
) -> tuple[Events, np.ndarray]:
    """Events of made-up customers over so many days, and each one's true chance of an order in the last `within`.

    The chance is what the state of the simulated customer says at that moment: no model can do better, on average.
    See _Shop for what is planted. Kinds: visit, cart, order, ticket, resolved, newsletter.
    """
    random = np.random.Generator(np.random.Philox(seed))
    shop = _Shop(customers, random)
    found, chance = [], np.zeros(customers)
    for day in range(days):
        if day == days - within:
            copies, times = shop.copies(64), 64
            ordered = np.zeros(customers * times, bool)
            for _ in range(within):
                ordered[copies.day()[_KINDS.index("order")][1]] = True
            chance = ordered.reshape(customers, times).mean(1)
        for kind, who, value in shop.day():
            time = day + (kind + random.random(len(who))) / len(_KINDS)
            found.append((who, time, np.full(len(who), kind), value))
    columns = (np.concatenate(c) for c in zip(*found))
    return _events(columns, [f"c{i:05d}" for i in range(customers)], _KINDS), chance
