"""The report's pictures, as inline SVG."""

from __future__ import annotations

import html
import math
import re

COLOURS = {"nnkern": "var(--us)", "numpy": "var(--np)", "torch": "var(--pt)"}
NAMES = {"nnkern": "nnkern", "numpy": "NumPy", "torch": "PyTorch"}


def _svg(width: int, height: int, title: str, body: list[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{html.escape(title)}"><title>{html.escape(title)}</title>{"".join(body)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{html.escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "var(--line)", more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'


def bars(rows: list[dict]) -> str:
    """Horizontal bars of the ratios to each rival, on a logarithmic axis around 1."""
    left, right, step, width = 330, 60, 34, 1020
    top = max([2.0] + [x for r in rows for x in r["ratios"].values()]) * 1.15
    low = min([0.8] + [x for r in rows for x in r["ratios"].values()]) * 0.85  # room for the number

    def at(x: float) -> float:
        return left + (width - left - right) * (math.log(x) - math.log(low)) / (math.log(top) - math.log(low))

    height = 30 + step * len(rows)
    body = []
    for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32):
        if low <= tick <= top:
            strong = 'stroke-width="2"' if tick == 1 else ""
            body.append(
                _line(at(tick), 22, at(tick), height, "var(--soft)" if tick == 1 else "var(--line)", strong)
            )
            body.append(_text(at(tick), 15, f"{tick:g}x", "middle", "soft"))
    for i, r in enumerate(rows):
        y = 30 + i * step
        label = f"{r['op']}, {r['name']}" + (" f64" if r["dtype"] == "float64" else "")
        body.append(_text(left - 10, y + 15, label if len(label) < 52 else label[:50] + "…", "end"))
        for k, rival in enumerate(("torch", "numpy")):
            x = r["ratios"].get(rival)
            if x is None:
                continue
            a, b = sorted((at(1), at(x)))
            colour = COLOURS[rival] if x >= 1 else "var(--lose)"
            body.append(
                f'<rect x="{a:.1f}" y="{y + 2 + k * 12}" width="{max(b - a, 1):.1f}" height="10" rx="2" fill="{colour}">'
                f"<title>{html.escape(label)}: {x:.2f}x {NAMES[rival]}</title></rect>"
            )
            edge, anchor = (b + 5, "start") if x >= 1 else (a - 5, "end")
            body.append(_text(edge, y + 11 + k * 12, f"{x:.2f}", anchor, "lose" if x < 1 else "soft"))
    return _svg(width, height, "Speed-up of nnkern per case", body)


def _axes(width: int, height: int, box: tuple, xs: list, ys: list, xlabel: str, ylabel: str) -> list[str]:
    """xs, ys: (position, label) of ticks."""
    x0, y0, x1, y1 = box
    body = [_line(x0, y1, x1, y1, "var(--soft)"), _line(x0, y0, x0, y1, "var(--soft)")]
    for x, label in xs:
        body += [_line(x, y0, x, y1), _text(x, y1 + 18, label, "middle", "soft")]
    for y, label in ys:
        body += [_line(x0, y, x1, y), _text(x0 - 8, y + 4, label, "end", "soft")]
    body.append(_text((x0 + x1) / 2, height - 6, xlabel, "middle", "soft"))
    body.append(
        f'<text class="soft" text-anchor="middle" transform="translate(14 {(y0 + y1) / 2}) rotate(-90)">{ylabel}</text>'
    )
    return body


def scaling(rows: list[dict], limits: dict) -> str:
    """GFLOP/s of square float32 products over n, a line per library, a panel per number of threads."""
    threads = sorted({r["threads"] for r in rows})
    panel, height = 1020 // max(1, len(threads)), 340
    body = []
    for p, n_threads in enumerate(threads):
        points = []
        for r in rows:
            match = re.fullmatch(r"(\d+) x \1 x \1", r["name"])
            if match and r["threads"] == n_threads and r["dtype"] == "float32":
                points.append((int(match[1]), r))
        if len(points) < 2:
            continue
        points.sort(key=lambda q: q[0])
        peak = limits[str(n_threads)]["float32"]
        top = max([peak] + [r["flops"] / s / 1e9 for _, r in points for s in r["seconds"].values()]) * 1.08
        x0, y0, x1, y1 = panel * p + 66, 30, panel * (p + 1) - 20, height - 46
        low, high = math.log(points[0][0]), math.log(points[-1][0])

        def at(
            n: float, g: float, x0=x0, x1=x1, y0=y0, y1=y1, low=low, high=high, top=top
        ) -> tuple[float, float]:
            return x0 + (x1 - x0) * (math.log(n) - low) / (high - low), y1 - (y1 - y0) * g / top

        xs = [(at(n, 0)[0], str(n)) for n, _ in points]
        ys = [(at(points[0][0], g)[1], f"{g:g}") for g in range(0, int(top), 100 if top > 250 else 50)]
        axes = _axes(panel, height, (x0, y0, x1, y1), xs, ys, "", "GFLOP/s" if p == 0 else "")
        body += axes
        body.append(
            _text(
                (x0 + x1) / 2,
                18,
                f"{n_threads} thread{'s' * (n_threads > 1)}; n of n x n x n below",
                "middle",
                "soft",
            )
        )
        _, y = at(points[0][0], peak)
        body.append(_line(x0, y, x1, y, "var(--soft)", 'stroke-dasharray="5 4"'))
        for library in ("numpy", "torch", "nnkern"):
            line = [
                (at(n, r["flops"] / r["seconds"][library] / 1e9))
                for n, r in points
                if library in r["seconds"]
            ]
            if not line:
                continue
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
            body.append(
                f'<polyline points="{path}" fill="none" stroke="{COLOURS[library]}" stroke-width="2.5"/>'
            )
            body += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{COLOURS[library]}"/>' for x, y in line
            ]
            body.append(_text(line[-1][0] - 6, line[-1][1] - 8, NAMES[library], "end"))
    return _svg(1020, height, "Rate of square matrix products over their size", body)


def roofline(rows: list[dict], limits: dict) -> str:
    """Operations per byte against GFLOP/s, under the machine's two roofs. Rows with a count of operations only."""
    at1 = limits.get("1")
    points = [
        (r, r["flops"] / _operand_bytes(r))
        for r in rows
        if r["threads"] == 1 and r["flops"] and _operand_bytes(r)
    ]
    if not at1 or not points:
        return ""
    width, height = 1020, 380
    x0, y0, x1, y1 = 66, 24, width - 20, height - 46
    lx = (math.log2(min(0.25, *(i for _, i in points))), math.log2(max(512.0, *(i for _, i in points)) * 1.3))
    rates = [r["flops"] / r["seconds"]["nnkern"] / 1e9 for r, _ in points]
    ly = (math.log2(min(2.0, *rates) / 1.5), math.log2(at1["float32"] * 1.6))

    def at(intensity: float, g: float) -> tuple[float, float]:
        return (
            x0 + (x1 - x0) * (math.log2(intensity) - lx[0]) / (lx[1] - lx[0]),
            y1 - (y1 - y0) * (math.log2(max(g, 1e-9)) - ly[0]) / (ly[1] - ly[0]),
        )

    xs = [(at(2.0**i, 1)[0], f"{2.0**i:g}") for i in range(math.ceil(lx[0]), int(lx[1]) + 1, 2)]
    ys = [(at(1, 2.0**i)[1], f"{2.0**i:g}") for i in range(math.ceil(ly[0]), int(ly[1]) + 1)]
    body = _axes(width, height, (x0, y0, x1, y1), xs, ys, "operations per byte of operands", "GFLOP/s")
    for level, dash in (("memory", ""), ("L3", "2 4"), ("L2", "7 4")):
        bandwidth, peak = at1[f"read {level}"], at1["float32"]
        start = max(2 ** lx[0], 2 ** ly[0] / bandwidth)
        (xa, ya), (xb, yb) = at(start, start * bandwidth), at(peak / bandwidth, peak)
        body.append(_line(xa, ya, xb, yb, "var(--soft)", f'stroke-width="1.5" stroke-dasharray="{dash}"'))
        body.append(_text(xa + 6, ya - 6, f"{level}, {bandwidth:.0f} GB/s", "start", "soft"))
        body.append(_line(xb, yb, x1, yb, "var(--soft)", 'stroke-width="1.5"'))
    body.append(
        _text(x1, at(1, at1["float32"])[1] - 6, f"float32 peak {at1['float32']:.0f} GFLOP/s", "end", "soft")
    )
    for r, intensity in points:
        x, y = at(intensity, r["flops"] / r["seconds"]["nnkern"] / 1e9)
        fill = "var(--us)" if r["dtype"] == "float32" else "var(--card)"
        body.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}" stroke="var(--us)" stroke-width="2">'
            f"<title>{html.escape(r['op'])}, {html.escape(r['name'])}, {r['dtype']}</title></circle>"
        )
    body.append(_text(x0 + 10, y0 + 14, "● float32   ○ float64"))
    return _svg(width, height, "Roofline of the one-thread cases", body)


def _operand_bytes(row: dict) -> float:
    """Bytes of a product's operands and result, from the sizes in its name; 0 where the name has none."""
    match = re.fullmatch(r"(\d+) x (\d+) x (\d+)", row["name"])
    if not match:
        return 0.0
    m, n, k = (int(g) for g in match.groups())
    return (4 if row["dtype"] == "float32" else 8) * float(m * k + k * n + m * n)
