"""The report of a run: JSON, Markdown and one self-contained HTML page."""

from __future__ import annotations

import html
import json
import math
from pathlib import Path
from typing import Any

from . import charts

RIVALS = ("torch", "numpy")
LABELS = {"nnkern": "nnkern", "numpy": "NumPy", "torch": "PyTorch"}


def geometric_mean(ratios: list[float]) -> float:
    return math.exp(sum(math.log(r) for r in ratios) / len(ratios)) if ratios else float("nan")


def summary(rows: list[dict]) -> dict[int, dict[str, dict[str, float]]]:
    """Per number of threads and rival: geometric mean, rows won, rows in all."""
    found: dict[int, dict[str, dict[str, float]]] = {}
    for n in sorted({r["threads"] for r in rows}):
        for rival in RIVALS:
            ratios = [r["ratios"][rival] for r in rows if r["threads"] == n and rival in r["ratios"]]
            if ratios:
                found.setdefault(n, {})[rival] = {
                    "mean": geometric_mean(ratios), "won": sum(x >= 1 for x in ratios), "rows": len(ratios)
                }  # fmt: skip
    return found


def rate(row: dict, library: str = "nnkern") -> str:
    """GFLOP/s or GB/s of a library in this row."""
    seconds = row["seconds"][library]
    if row["flops"]:
        return f"{row['flops'] / seconds / 1e9:.1f} GFLOP/s"
    return f"{row['bytes'] / seconds / 1e9:.1f} GB/s"


# Ops that read much and write little: judged by the rate of reading, the others by that of copying.
READERS = ("sum", "mean", "amax", "argmax", "var", "cross_entropy", "matmul")


def share(row: dict, machine: dict) -> float | None:
    """nnkern's rate as a part of the measured limit for this number of threads, of the memory level that holds the data."""
    at = machine["limits"].get(str(row["threads"]))
    if not at:
        return None
    if row["flops"]:
        return row["flops"] / row["seconds"]["nnkern"] / 1e9 / at[row["dtype"]]
    level = next((name for name, top in machine["caches"].items() if row["bytes"] <= top), "memory")
    kind = "read" if row["op"] in READERS else "copy"
    return row["bytes"] / row["seconds"]["nnkern"] / 1e9 / at[f"{kind} {level}"]


def microseconds(seconds: float) -> str:
    us = seconds * 1e6
    return f"{us:.2f} us" if us < 10 else f"{us:.0f} us" if us < 1000 else f"{us / 1000:.2f} ms"


def write(rows: list[dict], machine: dict, folder: Path, name: str = "report") -> dict[str, Path]:
    """Writes folder/name.json, .md and .html; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{name}.{kind}" for kind in ("json", "md", "html")}
    paths["json"].write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    paths["md"].write_text(markdown(rows, machine))
    paths["html"].write_text(page(rows, machine))
    return paths


# --- Markdown ------------------------------------------------------------------------------------------------------


def markdown(rows: list[dict], machine: dict) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if v)
    lines = [
        "# Benchmark results",
        "",
        f"{machine['cpu']}, {machine['isa']}, {machine['date']}; {versions}.",
        "",
    ]
    for n, rivals in summary(rows).items():
        for rival, s in rivals.items():
            lines.append(
                f"- {n} thread{'s' * (n > 1)}: {s['mean']:.2f}x {LABELS[rival]} (geometric mean), "
                f"{s['won']} of {s['rows']} rows won"
            )
    lines += ["", "Ratios above 1: nnkern is faster. **Bold**: rows that nnkern loses.", ""]
    lines += ["| op | case | dtype | threads | nnkern | rate | of limit | vs NumPy | vs PyTorch |"]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for r in rows:
        part = share(r, machine)
        cells = [
            r["op"],
            r["name"],
            r["dtype"],
            str(r["threads"]),
            microseconds(r["seconds"]["nnkern"]),
            rate(r),
        ]
        cells.append("" if part is None else f"{100 * part:.0f} %")
        for rival in ("numpy", "torch"):
            x = r["ratios"].get(rival)
            cells.append("" if x is None else f"{x:.2f}" if x >= 1 else f"**{x:.2f}**")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


# --- HTML ----------------------------------------------------------------------------------------------------------

STYLE = """
:root{--bg:#fbfbfa;--ink:#1d2329;--soft:#5d6873;--line:#dfe3e6;--card:#fff;--us:#0b7a75;--np:#4d77cf;--pt:#e4572e;
--lose:#c62828;--win:#0b7a75}
@media (prefers-color-scheme:dark){:root{--bg:#14181c;--ink:#e6eaee;--soft:#9aa7b3;--line:#2b333a;--card:#1b2127;
--us:#35c4b9;--np:#7ba1f2;--pt:#ff8a65;--lose:#ff6b6b;--win:#35c4b9}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 80px}h1{font-size:30px;line-height:1.2;margin:0 0 4px}
h2{font-size:20px;margin:44px 0 6px}p{margin:6px 0;max-width:76ch}.soft{color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));gap:14px;margin:22px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px}
.tile b{display:block;font-size:34px;line-height:1.15;color:var(--win)}.tile.lose b{color:var(--lose)}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px}
svg{display:block;min-width:860px;height:auto}svg text{fill:var(--ink);font:12px system-ui,sans-serif}
svg text.soft{fill:var(--soft)}svg text.lose{fill:var(--lose);font-weight:600}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}
tr.lose td{color:var(--lose)}td.lose{font-weight:700;color:var(--lose)}td.win{color:var(--win)}
.key span{display:inline-block;margin-right:18px}.key i{display:inline-block;width:11px;height:11px;border-radius:3px;
margin-right:6px}dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:10px 0}dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
"""


def _e(text: Any) -> str:
    return html.escape(str(text))


def _tiles(rows: list[dict]) -> str:
    tiles = []
    for n, rivals in summary(rows).items():
        for rival, s in rivals.items():
            lose = " lose" if s["mean"] < 1 else ""
            tiles.append(
                f'<div class="tile{lose}"><b>{s["mean"]:.2f}&times;</b>the speed of {LABELS[rival]}, {n} '
                f'thread{"s" * (n > 1)}<br><span class="soft">geometric mean; {s["won"]} of {s["rows"]} rows won</span></div>'
            )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _table(rows: list[dict], machine: dict) -> str:
    body = []
    for r in rows:
        part = share(r, machine)
        lost = any(x < 1 for x in r["ratios"].values())
        cells = [r["op"], r["name"] + (" f64" if r["dtype"] == "float64" else ""), r["threads"]]
        line = "".join(f"<td>{_e(c)}</td>" for c in cells)
        line += "".join(
            f"<td>{microseconds(r['seconds'][x]) if x in r['seconds'] else ''}</td>"
            for x in ("nnkern", "numpy", "torch")
        )
        line += f"<td>{rate(r)}</td><td>{'' if part is None else f'{100 * part:.0f} %'}</td>"
        for rival in ("numpy", "torch"):
            x = r["ratios"].get(rival)
            style = "" if x is None else "lose" if x < 1 else "win"
            line += f'<td class="{style}">{"" if x is None else f"{x:.2f}&times;"}</td>'
        body.append(f"<tr{' class=lose' if lost else ''}>{line}</tr>")
    head = "".join(
        f"<th>{h}</th>"
        for h in (
            "op",
            "case",
            "threads",
            "nnkern",
            "NumPy",
            "PyTorch",
            "nnkern's rate",
            "of limit",
            "vs NumPy",
            "vs PyTorch",
        )
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    )


def _facts(machine: dict) -> str:
    items = [
        ("processor", machine["cpu"]),
        ("instruction set", machine["isa"]),
        ("system", machine["system"]),
    ]
    items += [
        ("threads", f"{machine['threads']['used']} ({machine['threads']['why']})"),
        ("date", machine["date"]),
    ]
    items += [(k, v or "not installed") for k, v in machine["versions"].items()]
    for n, at in machine["limits"].items():
        items.append((f"measured limits, {n} thread{'s' * (n != '1')}", "; ".join(
            f"{k} {v:.0f} {'GFLOP/s' if k.startswith('float') else 'GB/s'}" for k, v in at.items())))  # fmt: skip
    return "<dl>" + "".join(f"<dt>{_e(k)}</dt><dd>{_e(v)}</dd>" for k, v in items) + "</dl>"


def page(rows: list[dict], machine: dict) -> str:
    sections = [f"<h1>nnkern benchmark</h1><p class=soft>{_e(machine['cpu'])} &middot; {_e(machine['isa'])} &middot; "
                f"{_e(machine['date'])}</p>", _tiles(rows)]  # fmt: skip
    key = (
        '<p class="key"><span><i style="background:var(--pt)"></i>against PyTorch</span>'
        '<span><i style="background:var(--np)"></i>against NumPy</span></p>'
    )
    for n in sorted({r["threads"] for r in rows}):
        some = [r for r in rows if r["threads"] == n]
        sections.append(f"<h2>Speed-up per case, {n} thread{'s' * (n > 1)}</h2><p class=soft>Right of the line nnkern is "
                        f"faster; lost rows stay, in red.</p>{key}<div class=wide>{charts.bars(some)}</div>")  # fmt: skip
    sections.append("<h2>Square products over sizes</h2><p class=soft>float32; the dashed line is the measured rate of the "
                    f"multiply-add units.</p><div class=wide>{charts.scaling(rows, machine['limits'])}</div>")  # fmt: skip
    sections.append("<h2>Roofline, one thread</h2><p class=soft>Each point is a case: how much it computes per byte against "
                    f"how fast it ran.</p><div class=wide>{charts.roofline(rows, machine['limits'])}</div>")  # fmt: skip
    sections.append(f"<h2>All rows</h2>{_table(rows, machine)}")
    sections.append("<h2>How it was measured</h2><p>All candidates of a case compute the same result, which is checked "
                    "first. Then they take turns in one process on the same random data; a sample repeats a call for about "
                    "2 ms; times are medians, ratios are medians over the rounds' own pairs. NumPy runs its best idiom that returns a new array, PyTorch "
                    f"its better layout. Share of limit: of the rates measured below.</p>{_facts(machine)}")  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width,initial-scale=1"><title>nnkern benchmark</title>'
        f"<style>{STYLE}</style></head><body><main>{''.join(sections)}</main></body></html>\n"
    )
