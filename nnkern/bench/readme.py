"""Puts the figures of a report.json between the README's markers: python -m nnkern.bench.readme report.json README.md"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from .figures import LABELS, microseconds, plural, quiet, rate, share, summary

# The rows that stand for their families, in this order.
SHOWN = (
    ("matmul", "64 x 64 x 64"), ("matmul", "512 x 512 x 512"), ("matmul", "1024 x 1024 x 1024"),
    ("linear", "GPT-2 MLP, 16 tokens"), ("linear", "ResNet-50 1x1 conv 56x56"), ("matmul", "64 products of 32 x 32 x 32"),
    ("add", "50 MB"), ("exp", "50 MB"), ("gelu", "50 MB"), ("sum", "50 MB, all"), ("var", "50 MB, rows"),
    ("softmax", "256 x 1000"), ("cross_entropy", "64 x 50257"), ("conv2d", "ResNet-18 3x3, 64 x 56"),
    ("conv2d training", "ResNet-18 3x3, 64 x 56"), ("conv2d", "ResNet-50 1x1, 256 to 64 x 56"),
    ("conv2d", "MobileNet depthwise 3x3, 128 x 56"), ("max_pool2d", "2x2 stride 2, 32 x 64 x 56 x 56"),
    ("avg_pool2d", "3x3 stride 2, 8 x 64 x 112 x 112"), ("batch_norm training", "ResNet 64 x 56, batch 32"),
    ("layer_norm training", "2048 x 768"), ("attention", "1 x 12 x 512 x 64, causal"),
    ("lstm", "64 x 32 x 256, 256 units"), ("gru", "64 x 32 x 256, 256 units, training"),
    ("interpolate", "bilinear x2, 8 x 64 x 28 x 28"), ("training step", "tiny MLP 20-32-2, batch 32"), ("training step", "digits MLP 64-256-128-10, batch 64"),
    ("training step", "LeNet-5, batch 64"), ("training step", "ResNet-18, 224 x 224, batch 2"),
    ("training step", "GPT, 4 layers of 192, 6 heads, 8 x 128 tokens"), ("add", "32 KB"), ("index_select", "4096 rows of 64"),
)  # fmt: skip


def table(rows: list[dict], machine: dict) -> str:
    lines = [
        f"One thread, {machine['cpu']} ({machine['isa']}), {machine['date']}; float32. {quiet(machine)}".rstrip(),
        "",
    ]
    lines += [
        "| | nnkern | rate | of limit | vs NumPy | usual | vs PyTorch |",
        "|---|---|---|---|---|---|---|",
    ]
    for op, name in SHOWN:
        for r in rows:
            if (r["op"], r["name"], r["threads"], r["dtype"]) == (op, name, 1, "float32"):
                ratios = [
                    f"{r['ratios'][x]:.2f}x" if x in r["ratios"] else ""
                    for x in ("numpy", "numpy (usual)", "torch")
                ]
                cells = [f"{op}, {name}", microseconds(r["seconds"]["nnkern"]), rate(r, machine)]
                cells += [share(r, machine), *ratios]
                lines.append("| " + " | ".join(cells) + " |")
    for n, rivals in summary(rows).items():
        means = ", ".join(
            f"{s['mean']:.2f}x {LABELS[x]} ({s['won']} of {s['rows']} rows won)" for x, s in rivals.items()
        )
        lines += ["", f"Geometric means over all rows, {plural(n)}: {means}."]
    return "\n".join(lines)


def main() -> None:
    report, readme = Path(sys.argv[1]), Path(sys.argv[2])
    data = json.loads(report.read_text())
    marked = r"(<!-- figures: start -->\n).*?(<!-- figures: end -->)"
    text = table(data["rows"], data["machine"])
    readme.write_text(re.sub(marked, lambda m: f"{m[1]}{text}\n{m[2]}", readme.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
