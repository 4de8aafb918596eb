"""The report of a run: JSON, Markdown, and the HTML page of page.py."""

from __future__ import annotations

import json
from pathlib import Path

from .figures import LABELS, microseconds, plural, quiet, rate, share, summary
from .page import page


def write(rows: list[dict], machine: dict, folder: Path, name: str = "report") -> dict[str, Path]:
    """Writes folder/name.json, .md and .html; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{name}.{kind}" for kind in ("json", "md", "html")}
    paths["json"].write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    paths["md"].write_text(markdown(rows, machine))
    paths["html"].write_text(page(rows, machine))
    return paths


def markdown(rows: list[dict], machine: dict) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if v)
    lines = [
        "# Benchmark results",
        "",
        f"{machine['cpu']}, {machine['isa']}, {machine['date']}; {versions}. {quiet(machine)}".rstrip(),
        "",
    ]
    for n, rivals in summary(rows).items():
        for rival, s in rivals.items():
            lines.append(
                f"- {plural(n)}: {s['mean']:.2f}x {LABELS[rival]} (geometric mean), {s['won']} of {s['rows']} rows won"
            )
    lines += [
        "",
        "Ratios above 1: nnkern is faster. **Bold**: rows that nnkern loses. 'vs NumPy' is NumPy's best idiom, 'usual' its",
        "common one where that is another. 'Of limit': share of what the measured multiply-add units, caches or memory allow.",
        "",
        "| op | case | dtype | threads | nnkern | rate | of limit | vs NumPy | usual | vs PyTorch |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        cells = [r["op"], r["name"], r["dtype"], str(r["threads"]), microseconds(r["seconds"]["nnkern"])]
        cells += [rate(r, machine), share(r, machine)]
        for rival in ("numpy", "numpy (usual)", "torch"):
            x = r["ratios"].get(rival)
            cells.append("" if x is None else f"{x:.2f}" if x >= 1 else f"**{x:.2f}**")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])
