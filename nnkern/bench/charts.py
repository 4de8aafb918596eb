"""The report's pictures: bars in HTML, which fit any width, and plots in SVG, drawn once wide and once for a phone."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable
from typing import NamedTuple

COLOURS = {"nnkern": "var(--us)", "numpy": "var(--np)", "numpy (usual)": "var(--usual)", "torch": "var(--pt)"}
NAMES = {"nnkern": "nnkern", "numpy": "NumPy", "numpy (usual)": "NumPy, usual idiom", "torch": "PyTorch"}
GROUPS = {
    "matrix products": ("matmul",),
    "convolution": ("conv", "fold"),
    "pooling, norms, softmax, losses": ("pool", "unpool", "norm", "softmax", "loss"),
    "elementwise": ("arithmetic", "compare", "elementwise", "activation", "dropout"),
    "reductions": ("reduce", "scan"),
    "moving data": ("index", "join", "shape"),
    "training steps": ("training",),
    "others": (),
}
WIDE, NARROW = 1020, 400


def group(row: dict) -> str:
    """The heading that a row stands under."""
    return next((name for name, families in GROUPS.items() if row["family"] in families), "others")


def label(row: dict) -> str:
    return f"{row['op']}, {row['name']}" + (", f64" if row["dtype"] == "float64" else "")


def _e(text: str) -> str:
    return html.escape(text)


# --- Bars ----------------------------------------------------------------------------------------------------------


class Bar(NamedTuple):
    """library: whose; ratio: above 1 is to the right of the line; detail: what the pointer shows."""

    library: str
    ratio: float
    detail: str = ""


def span(ratios: list[float]) -> tuple[float, float]:
    """The ends of an axis for these ratios; longer bars end there."""
    return max(1 / 16, min(ratios + [0.7]) * 0.8), min(16.0, max(ratios + [2.0]))


def bars(
    items: list[tuple[str, list[Bar]]], ends: tuple[float, float] | None = None, red: bool = True
) -> str:
    """Rows of bars from 1 on a logarithmic axis with these ends; a row without bars is a heading.

    red: bars below 1 are lost ones; their tips keep the library's colour.
    """
    ratios = [b.ratio for _, row in items for b in row]
    if not ratios:
        return ""
    low, high = ends or span(ratios)

    def at(x: float) -> float:
        x = min(high, max(low, x))
        return 100 * (math.log(x) - math.log(low)) / (math.log(high) - math.log(low))

    every = (0.125, 0.25, 0.5, 1, 2, 4, 8, 16) if high / low < 64 else (0.0625, 0.25, 1, 4, 16)
    ticks = "".join(f'<i style="left:{at(t):.2f}%">{t:.3g}&times;</i>' for t in every if low <= t <= high)
    body = [f'<div class="bar axis"><span></span><div class="track">{ticks}</div></div>']
    for name, row in items:
        if not row:
            body.append(f'<div class="head">{_e(name)}</div>')
            continue
        lines = []
        for library, ratio, detail in row:
            a, b = sorted((at(1), at(ratio)))
            lost = red and ratio < 1
            colour = f"var(--lose);border-left:4px solid {COLOURS[library]}" if lost else COLOURS[library]
            edge = f"right:{100 - a:.2f}%" if ratio < 1 else f"left:{b:.2f}%"
            style = " lose" if lost else ""
            lines.append(
                f'<div class="line" title="{_e(detail)}"><b style="left:{a:.2f}%;width:{max(b - a, 0.2):.2f}%;'
                f'background:{colour}"></b><em class="num{style}" style="{edge}">{ratio:.{2 if ratio < 100 else 0}f}</em></div>'
            )
        body.append(
            f'<div class="bar"><span>{_e(name)}</span><div class="track">{"".join(lines)}</div></div>'
        )
    return f'<div class="bars" style="--one:{at(1):.2f}%">{"".join(body)}</div>'


def legend(entries: list[tuple[str, str]]) -> str:
    """(colour, name) pairs."""
    return '<p class="key">' + "".join(
        f'<span><i style="background:{colour}"></i>{_e(name)}</span>' for colour, name in entries
    ) + "</p>"  # fmt: skip


# --- SVG -----------------------------------------------------------------------------------------------------------


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{_e(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "var(--line)", more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'


def both(title: str, draw: Callable[[int], tuple[int, list[str]]]) -> str:
    """The picture in both widths; the page's style shows the one that fits. draw(width) gives height and body."""
    found = []
    for width, style in ((WIDE, "desk"), (NARROW, "phone")):
        height, body = draw(width)
        if not body:
            return ""
        found.append(
            f'<svg class="{style}" viewBox="0 0 {width} {height}" role="img" aria-label="{_e(title)}">'
            f"{''.join(body)}</svg>"
        )
    return "".join(found)


def _axes(box: tuple, xs: list, ys: list, xlabel: str, ylabel: str) -> list[str]:
    """xs, ys: (position, label) of ticks; ticks too close to the one before stay unlabelled."""
    x0, y0, x1, y1 = box
    body, last = [], -1e9
    for x, text in xs:
        body.append(_line(x, y0, x, y1))
        if x - last > 9 + 6 * len(text):
            body.append(_text(x, y1 + 17, text, "middle", "soft"))
            last = x
    for y, text in ys:
        body += [_line(x0, y, x1, y), _text(x0 - 7, y + 4, text, "end", "soft")]
    body += [_line(x0, y1, x1, y1, "var(--soft)"), _line(x0, y0, x0, y1, "var(--soft)")]
    body.append(_text((x0 + x1) / 2, y1 + 36, xlabel, "middle", "soft"))
    body.append(_text(x0, y0 - 9, ylabel, "start", "soft"))
    return body


def scaling(rows: list[dict], limits: dict) -> str:
    """GFLOP/s of square float32 products over n, a line per library, a panel per number of threads."""
    threads = sorted({r["threads"] for r in rows})
    points: dict[int, list[tuple[int, dict]]] = {}
    for r in rows:
        match = re.fullmatch(r"(\d+) x \1 x \1", r["name"])
        if match and r["dtype"] == "float32":
            points.setdefault(r["threads"], []).append((int(match[1]), r))
    panels = [(n, sorted(points[n], key=lambda p: p[0])) for n in threads if len(points.get(n, [])) > 1]
    if not panels:
        return ""
    rates = [r["flops"] / s / 1e9 for _, p in panels for _, r in p for s in r["seconds"].values()]
    top = max([limits[str(n)]["float32"] for n, _ in panels] + rates) * 1.05  # one scale for all panels

    def draw(width: int) -> tuple[int, list[str]]:
        columns = len(panels) if width == WIDE else 1
        panel, height = width / columns, 300
        body = []
        for i, (n, p) in enumerate(panels):
            left, up = panel * (i % columns), height * (i // columns)
            box = (left + 46, up + 44, left + panel - 66, up + height - 44)
            body += _panel(box, n, p, limits[str(n)]["float32"], top)
        return height * (len(panels) // columns), body

    return both("Rate of square matrix products over their size", draw)


def _panel(box: tuple, n_threads: int, points: list, peak: float, top: float) -> list[str]:
    x0, y0, x1, y1 = box
    low, high = math.log(points[0][0]), math.log(points[-1][0])

    def at(n: float, g: float) -> tuple[float, float]:
        return x0 + (x1 - x0) * (math.log(n) - low) / (high - low), y1 - (y1 - y0) * g / top

    step = 50 if top < 300 else 100 if top < 700 else 500
    xs = [(at(n, 0)[0], str(n)) for n, _ in points]
    ys = [(at(points[0][0], g)[1], f"{g}") for g in range(0, int(top), step)]
    body = _axes(box, xs, ys, "n, of n x n x n", f"GFLOP/s, {n_threads} thread{'s' * (n_threads > 1)}")
    y = at(points[0][0], peak)[1]
    body += [
        _line(x0, y, x1, y, "var(--soft)", 'stroke-dasharray="5 4"'),
        _text(x1, y - 5, "peak", "end", "soft"),
    ]
    ends = []
    for library in ("numpy", "torch", "nnkern"):
        line = [at(n, r["flops"] / r["seconds"][library] / 1e9) for n, r in points if library in r["seconds"]]
        if not line:
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        colour = COLOURS[library]
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in line]
        ends.append((line[-1][1], library))
    # names one under the other, moved up together where they would reach the axis
    below = -1e9
    for y, _ in sorted(ends):
        below = max(y + 4, below + 14)
    shift, below = max(0.0, below - y1 + 4), -1e9
    for y, library in sorted(ends):
        below = max(y + 4, below + 14)
        body.append(
            _text(x1 + 9, below - shift, NAMES[library], "start", "strong" if library == "nnkern" else "")
        )
    return body


class Labels:
    """Texts beside points, each where it covers no other, or nowhere."""

    def __init__(self, box: tuple, points: list[tuple[float, float]]) -> None:
        self.box = box
        self.taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]

    def place(self, x: float, y: float, text: str) -> str:
        long = 6.1 * len(text)
        for dx, dy, anchor in ((8, 4, "start"), (-8, 4, "end"), (0, -9, "middle"), (0, 17, "middle")):
            left = x + dx - {"start": 0, "end": long, "middle": long / 2}[anchor]
            spot = (left, y + dy - 10, left + long, y + dy + 3)
            inside = (
                self.box[0] < spot[0]
                and spot[2] < self.box[2]
                and self.box[1] < spot[1]
                and spot[3] < self.box[3]
            )
            if inside and not any(
                spot[0] < t[2] and t[0] < spot[2] and spot[1] < t[3] and t[1] < spot[3] for t in self.taken
            ):
                self.taken.append(spot)
                return _text(x + dx, y + dy, text, anchor)
        return ""


def _power(i: int) -> str:
    return f"{2**i}" if i >= 0 else f"1/{2**-i}"


def roofline(rows: list[dict], limits: dict) -> str:
    """Operations per byte against GFLOP/s, a point per one-thread row, under the machine's roofs."""
    at1 = limits.get("1")
    points = [
        (r["flops"] / r["bytes"], r["flops"] / r["seconds"]["nnkern"] / 1e9, r)
        for r in rows
        if r["threads"] == 1 and r["flops"] and r["bytes"]
    ]
    if not at1 or not points:
        return ""
    lx = [math.log2(f(i for i, _, _ in points)) + d for f, d in ((min, -0.4), (max, 0.6))]
    ly = (
        math.log2(min(g for _, g, _ in points)) - 0.7,
        math.log2(max(at1["float32"], *(g for _, g, _ in points))) + 0.9,
    )

    def draw(width: int) -> tuple[int, list[str]]:
        height = 520 if width == WIDE else 440
        box = x0, y0, x1, y1 = 46, 30, width - 14, height - 44

        def at(intensity: float, g: float) -> tuple[float, float]:
            return (
                x0 + (x1 - x0) * (math.log2(intensity) - lx[0]) / (lx[1] - lx[0]),
                y1 - (y1 - y0) * (math.log2(g) - ly[0]) / (ly[1] - ly[0]),
            )

        step = 1 if width == WIDE else 2
        xs = [(at(2.0**i, 1)[0], f"{_power(i)}") for i in range(math.ceil(lx[0]), int(lx[1]) + 1, step)]
        ys = [(at(1, 2.0**i)[1], f"{_power(i)}") for i in range(math.ceil(ly[0]), int(ly[1]) + 1)]
        body = _axes(box, xs, ys, "operations per byte of operands and result", "GFLOP/s")
        placed = [(*at(i, g), r) for i, g, r in points]
        labels = Labels(box, [(x, y) for x, y, _ in placed])
        body += _roofs(at, (2 ** lx[0], 2 ** ly[0], 2 ** lx[1]), at1)
        colours = {name: f"var(--f{k})" for k, name in enumerate(GROUPS)}
        for x, y, r in placed:
            colour = colours[group(r)]
            fill = colour if r["dtype"] == "float32" else "var(--card)"
            body.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{fill}" stroke="{colour}" stroke-width="1.8">'
                f"<title>{_e(label(r))}</title></circle>"
            )
        body += [labels.place(x, y, label(r)) for x, y, r in sorted(placed, key=lambda p: -p[1])]
        return height, body

    return both("Roofline of the one-thread cases", draw)


def _roofs(at: Callable, corner: tuple, limits: dict) -> list[str]:
    """The lines that nothing can be above: bandwidth of each level, then the peak; corner: least x, least y, most x."""
    body, peak = [], limits["float32"]
    for level, dash in (("memory", "8 0"), ("L3", "2 4"), ("L2", "7 4"), ("L1", "1 3")):
        bandwidth = limits[f"read {level}"]
        if peak / bandwidth <= corner[0]:  # it ends left of the picture
            continue
        start = max(corner[0], corner[1] / bandwidth)
        (xa, ya), (xb, yb) = at(start, start * bandwidth), at(peak / bandwidth, peak)
        body.append(_line(xa, ya, xb, yb, "var(--soft)", f'stroke-width="1.3" stroke-dasharray="{dash}"'))
        body.append(_text(xb, yb - 7, level, "middle", "soft"))
    (xa, ya), (xb, yb) = at(max(corner[0], peak / limits["read L1"]), peak), at(corner[2], peak)
    body.append(_line(xa, ya, xb, yb, "var(--soft)", 'stroke-width="1.3"'))
    body.append(_text(xb, yb - 7, f"peak {peak:.0f} GFLOP/s", "end", "soft"))
    return body


def roofline_legend(rows: list[dict]) -> str:
    shown = {group(r) for r in rows}
    return legend([(f"var(--f{k})", name) for k, name in enumerate(GROUPS) if name in shown])
