"""Writes docs/accuracy.md: the measured errors of the elementary functions. Run: python docs/measure_accuracy.py"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import each_isa  # noqa: E402
from ulp import EXACT, worst_ulp  # noqa: E402

TEXT = """# Accuracy of the elementary functions

The largest error found, in units in the last place (ulp) of the true value, which comes from 40-digit arithmetic; 4,500 random
arguments per function and dtype, over [-80, 80] (logarithms and roots: e^-60 to e^60, and close to 1). Results that are
denormal in float32 are left out: denormals count as zero. The bound that the tests hold is 2.5 ulp.

`python docs/measure_accuracy.py` makes this page.

{table}

Not in the table: `gelu` is x Phi(x) with the lower tail computed from erfc, so its error is relative to the result down to
x = -5 or so (a few ulp) and grows with x^2 beyond, where the result is below 1e-6; `pow` with a general exponent is the C
library's; `sin`, `cos` and `tan` beyond |x| = 30,000 (float32) or 1,000,000 (float64) are the C library's, too.
"""


def main() -> None:
    columns: dict[str, dict[str, float]] = {}
    for isa in each_isa():
        for dtype in (np.float32, np.float64):
            columns[f"{isa} {np.dtype(dtype).name}"] = {name: worst_ulp(name, dtype) for name in EXACT}
    lines = [f"| function | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in sorted(EXACT):
        lines.append(f"| {name} | " + " | ".join(f"{c[name]:.2f}" for c in columns.values()) + " |")
    (ROOT / "docs/accuracy.md").write_text(TEXT.format(table="\n".join(lines)))


if __name__ == "__main__":
    main()
