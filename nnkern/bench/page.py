"""The report as one self-contained HTML page: the summary first, then pictures, then every row and how it was measured."""

from __future__ import annotations

import html
from typing import Any

from . import charts
from .figures import LABELS, crowded, geometric_mean, lost, microseconds, plural, quiet, rate, share, summary

STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f6;--ink:#1b2228;--soft:#5a6672;--line:#e1e5e8;--card:#fff;--us:#0b7a75;
--np:#4d77cf;--usual:#b3c4e8;--pt:#e4772e;--lose:#c62828;--win:#0b7a75;--f0:#0b7a75;--f1:#4d77cf;--f2:#8e5bc2;--f3:#d9822b;
--f4:#3f8f3a;--f5:#8a6d3b;--f6:#c2417c;--f7:#6b7780}
@media (prefers-color-scheme:dark){:root{--bg:#12161a;--ink:#e6eaee;--soft:#9aa7b3;--line:#2b333a;--card:#1a2026;
--us:#35c4b9;--np:#7ba1f2;--usual:#41557f;--pt:#ff9d5c;--lose:#ff6b6b;--win:#35c4b9;--f0:#35c4b9;--f1:#7ba1f2;--f2:#b990e6;
--f3:#f5a65b;--f4:#77c870;--f5:#c9a96a;--f6:#f07fb0;--f7:#9aa7b3}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1100px;margin:0 auto;padding:36px 20px 80px}h1{font-size:30px;line-height:1.2;margin:0 0 4px}
h2{font-size:21px;margin:44px 0 4px}h3{font-size:16px;margin:22px 0 6px}p{margin:6px 0;max-width:76ch}.soft{color:var(--soft)}
.warn{border-left:3px solid var(--pt);padding:2px 12px;margin:14px 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(215px,1fr));gap:14px;margin:22px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px;line-height:1.4}
.tile b{display:block;font-size:36px;line-height:1.15;color:var(--win)}.tile.lose b{color:var(--lose)}.tile.noisy b{color:var(--soft)}
.card,.wide{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px;margin:10px 0}
.wide{overflow-x:auto;padding:0}.pair{display:grid;grid-template-columns:1fr 1fr;gap:14px}.pair>*{min-width:0}
svg{display:block;width:100%;height:auto}svg.phone{display:none}svg text{fill:var(--ink);font:11.5px system-ui,sans-serif}
svg text{paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}svg text.soft{fill:var(--soft)}svg text.strong{font-weight:700}
.bar{display:grid;grid-template-columns:minmax(0,21em) 1fr;gap:12px;align-items:center;font-size:13px;line-height:1.25;padding:3px 0}
.bar span{text-align:right;overflow-wrap:anywhere}.pair .bar{grid-template-columns:minmax(0,9.5em) 1fr}
.track{position:relative;margin:0 44px 0 30px;background:linear-gradient(var(--soft),var(--soft)) var(--one) 0/1.5px 100% no-repeat}
.line{position:relative;height:12px}.line b{position:absolute;top:1px;bottom:1px;border-radius:2px}
.num{position:absolute;top:-1px;padding:0 4px;font:11px/14px system-ui,sans-serif;color:var(--soft);font-variant-numeric:tabular-nums}
.num.lose{color:var(--lose);font-weight:700}.axis .track{height:18px;background:none}
.axis i{position:absolute;transform:translateX(-50%);font:11.5px system-ui,sans-serif;color:var(--soft)}
.head{font-weight:600;margin:14px 0 2px;padding-top:8px;border-top:1px solid var(--line)}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:5px 9px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{color:var(--soft);font-weight:600}th:first-child,td:first-child{text-align:left;white-space:normal;min-width:13em}
tbody th{background:var(--bg);color:var(--ink)}td.lose{font-weight:700;color:var(--lose)}
tr.lose td:first-child{color:var(--lose);box-shadow:inset 3px 0 var(--lose)}small{color:var(--soft);font-weight:400}
.key{font-size:14px}.key span{display:inline-block;margin-right:16px}.key i{display:inline-block;width:11px;height:11px;
border-radius:3px;margin-right:6px}dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:10px 0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}details{margin:14px 0}summary{cursor:pointer;font-weight:600}
@media (max-width:700px){main{padding:22px 12px 60px}h1{font-size:25px}.pair{grid-template-columns:minmax(0,1fr)}
svg.desk{display:none}svg.phone{display:block}.card{padding:10px}
.bar,.pair .bar{grid-template-columns:minmax(0,1fr);gap:0;padding:4px 0}.bar span{text-align:left}
.tiles{grid-template-columns:1fr 1fr;gap:10px}.tile{padding:10px 12px;font-size:14px}.tile b{font-size:27px}
th:first-child,td:first-child{position:sticky;left:0;background:var(--card);min-width:10.5em;max-width:10.5em}
tbody th:first-child{background:var(--bg)}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}}
"""
RATIOS = ("torch", "numpy", "numpy (usual)")


def _e(text: Any) -> str:
    return html.escape(str(text))


def _tiles(rows: list[dict], machine: dict) -> str:
    """Grey where other programs had the cores that were measured."""
    tiles = []
    for n, rivals in summary(rows).items():
        for rival, s in rivals.items():
            style = " lose" if s["mean"] < 1 else " noisy" if crowded(machine, n) else ""
            tiles.append(
                f'<div class="tile{style}"><b>{s["mean"]:.2f}&times;</b>the speed of {LABELS[rival]}, {plural(n)}<br>'
                f'<span class="soft">geometric mean; {s["won"]} of {s["rows"]} rows won</span></div>'
            )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _grouped(rows: list[dict]) -> list[tuple[str, list[dict]]]:
    found = [(name, [r for r in rows if charts.group(r) == name]) for name in charts.GROUPS]
    return [(name, some) for name, some in found if some]


def _case_bars(rows: list[dict], headings: bool = True) -> str:
    items: list[tuple[str, list[charts.Bar]]] = []
    for name, some in _grouped(rows):
        items += [(name, [])] if headings else []
        for r in some:
            items.append((charts.label(r), [
                charts.Bar(x, r["ratios"][x], f"{charts.NAMES[x]}: {microseconds(r['seconds'][x])}, "
                           f"nnkern: {microseconds(r['seconds']['nnkern'])}")
                for x in RATIOS if x in r["ratios"]]))  # fmt: skip
    return charts.bars(items)


def _group_bars(rows: list[dict]) -> str:
    """Geometric means per group of cases, a card per number of threads."""
    cards: dict[int, list[tuple[str, list[charts.Bar]]]] = {}
    for n in sorted({r["threads"] for r in rows}):
        cards[n] = []
        for name, some in _grouped([r for r in rows if r["threads"] == n]):
            means = [
                charts.Bar(x, geometric_mean(ratios))
                for x in RATIOS
                if (ratios := [r["ratios"][x] for r in some if x in r["ratios"]])
            ]
            cards[n].append((name, means))
    ends = charts.span([bar.ratio for items in cards.values() for _, bars in items for bar in bars])
    content = [
        f'<div class="card"><b>{plural(n)}</b>{charts.bars(items, ends)}</div>' for n, items in cards.items()
    ]
    return f'<div class="pair">{"".join(content)}</div>'


def _thread_bars(rows: list[dict], n: int) -> str:
    """What n threads bring over one: geometric mean per group and library."""
    single = {(r["op"], r["name"], r["dtype"]): r["seconds"] for r in rows if r["threads"] == 1}
    items = []
    for name, some in _grouped([r for r in rows if r["threads"] == n]):
        gains: dict[str, list[float]] = {"nnkern": [], "torch": [], "numpy": []}
        for r in some:
            before = single.get((r["op"], r["name"], r["dtype"]), {})
            for library in gains:
                if library in before and library in r["seconds"]:
                    gains[library].append(before[library] / r["seconds"][library])
        items.append((name, [charts.Bar(x, geometric_mean(g)) for x, g in gains.items() if g]))
    return charts.bars(items, red=False)


def _table(rows: list[dict], machine: dict) -> str:
    body = []
    for name, some in _grouped(rows):
        body.append(f'<tr><th colspan="7">{_e(name)}</th></tr>')
        for r in some:
            other = r["seconds"].get("nnkern (channels_last)")
            last = f" <small>NHWC {microseconds(other)}</small>" if other else ""
            line = f"<td>{_e(charts.label(r))}</td><td>{microseconds(r['seconds']['nnkern'])}{last}</td>"
            line += f"<td>{rate(r, machine)}</td><td>{share(r, machine)}</td>"
            for rival in ("numpy", "numpy (usual)", "torch"):
                x = r["ratios"].get(rival)
                if x is None:
                    line += "<td></td>"
                    continue
                last = " NHWC" if rival == "torch" and r.get("torch layout") == "channels_last" else ""
                line += (
                    f'<td class="{"lose" if x < 1 else "win"}">{x:.2f}&times; '
                    f"<small>{microseconds(r['seconds'][rival])}{last}</small></td>"
                )
            body.append(f"<tr{' class=lose' if lost(r) else ''}>{line}</tr>")
    titles = ("case", "nnkern", "rate", "of limit", "vs NumPy", "vs usual NumPy", "vs PyTorch")
    head = "".join(f"<th>{h}</th>" for h in titles)
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    )


def _limits(machine: dict) -> str:
    """The measured limits as a table."""
    columns = list(machine["limits"])
    head = "".join(f"<th>{plural(int(n))}</th>" for n in columns)
    names = list(machine["limits"][columns[0]])
    unit = {n: "GFLOP/s" if n.startswith("float") else "GB/s" for n in names}
    body = "".join(
        f"<tr><td>{'multiply-add, ' * n.startswith('float')}{_e(n)}</td>"
        + "".join(f"<td>{machine['limits'][c][n]:.0f} {unit[n]}</td>" for c in columns) + "</tr>"
        for n in names
    )  # fmt: skip
    return f'<div class="wide"><table><thead><tr><th>measured limit</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _facts(machine: dict) -> str:
    items = [
        ("processor", machine["cpu"]),
        ("instruction set", machine["isa"]),
        ("system", machine["system"]),
        ("caches", ", ".join(f"{k} {v >> 10} KB" for k, v in machine["caches"].items())),
        ("threads", f"{machine['threads']['used']} ({machine['threads']['why']})"),
        ("date", machine["date"]),
        *((k, v or "not installed") for k, v in machine["versions"].items()),
    ]
    return "<dl>" + "".join(f"<dt>{_e(k)}</dt><dd>{_e(v)}</dd>" for k, v in items) + "</dl>"


def _section(title: str, text: str, *parts: str) -> str:
    """Nothing where all parts are empty: a filtered run has no squares to draw."""
    return f"<h2>{title}</h2><p class=soft>{text}</p>{''.join(parts)}" if any(parts) else ""


def _card(content: str) -> str:
    return f'<div class="card">{content}</div>' if content else ""


HOW = """<h2>How to read it</h2>
<p>A ratio is the other library's time divided by nnkern's: above 1, nnkern is faster. Each row is one computation with the
sizes of a real network; all candidates get the same random data, and their results are compared before the clock starts.
They take turns in one process: after a call that is not timed (so that nobody pays for what others left in the caches) a
sample repeats the call for about 2 ms; times are medians over rounds, ratios are medians over the rounds' own pairs, so that
a slow spell of the machine hits both sides.</p>
<p>NumPy runs the best idiom we know that returns a new array, and where people usually write another one, that one, too.
PyTorch runs in its better memory layout (NHWC where noted). All get the same number of threads; with several, a turn begins
when the threads of the one before have stopped spinning.</p>
<p>"Of limit" compares with the least time that this machine could take: the operations at the measured rate of the
multiply-add units (FMA), or the operands and the result moved once at the measured rates of the cache that holds them ("full
L3": more than half of it), or of memory, whichever takes longer. A function value counts as the operations that nnkern spends on it; moving an element counts
as one. More than 100 % is possible: convolutions count as the textbook has them, and Winograd's algorithm multiplies less;
and limits are measured, too.</p>"""


def page(rows: list[dict], machine: dict) -> str:
    counts = sorted({r["threads"] for r in rows})
    note = quiet(machine)
    shared = (
        f'<p class="warn">{_e(note)}</p>' if note.startswith("A shared") else f"<p class=soft>{_e(note)}</p>"
    )
    shown = [x for x in RATIOS if any(x in r["ratios"] for r in rows)]
    rivals = charts.legend([(charts.COLOURS[x], f"against {charts.NAMES[x]}") for x in shown])
    libraries = charts.legend([(charts.COLOURS[x], charts.NAMES[x]) for x in ("nnkern", "torch", "numpy")])
    defeats = [r for r in rows if lost(r)]
    body = [
        f"<h1>nnkern benchmark</h1><p class=soft>{_e(machine['cpu'])} &middot; {_e(machine['isa'])} &middot; "
        f"{_e(machine['date'])} &middot; {len(rows)} rows</p>{shared}",
        _tiles(rows, machine),
        _section(
            "By kind of work",
            "Geometric means. Right of the line nnkern is faster.",
            rivals,
            _group_bars(rows),
        ),
    ]
    for n in counts:
        some = [r for r in defeats if r["threads"] == n]
        if some:
            of = sum(r["threads"] == n for r in rows)
            body.append(_section(f"Lost rows, {plural(n)}", f"{len(some)} of {of}: another library is faster here.",
                                 _card(_case_bars(some, headings=False))))  # fmt: skip
    body += [
        _section("Roofline, one thread", "Each point is a case: operations per byte against the rate that nnkern reached; "
                 "the lines are the most that the caches, the memory and the multiply-add units of this machine give. Hollow points are float64.",
                 _card(charts.roofline(rows, machine["limits"])), charts.roofline_legend(rows)),
        _section("Square products over sizes", "float32.", _card(charts.scaling(rows, machine["limits"]))),
    ]  # fmt: skip
    for n in counts:
        if n > 1 and 1 in counts:
            body.append(_section(f"What {n} threads bring", "Time with one thread divided by that with more, geometric means; "
                                 "small work stays on one thread on purpose.", libraries, _card(_thread_bars(rows, n))))  # fmt: skip
    for n in counts:
        some = [r for r in rows if r["threads"] == n]
        content = f"{rivals}{_card(_case_bars(some))}<h3>The same in figures</h3>{_table(some, machine)}"
        title = f"Every row, {plural(n)}"
        body.append(f"<h2>{title}</h2>{content}" if n == counts[0] else
                    f"<h2>{title}</h2><details><summary>show</summary>{content}</details>")  # fmt: skip
    body.append(f"{HOW}<h2>The machine</h2>{_facts(machine)}{_limits(machine)}")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width,initial-scale=1"><title>nnkern benchmark</title>'
        f"<style>{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )
