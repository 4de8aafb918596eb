"""Writes docs/accuracy.md: the measured errors of elementary functions and convolution. Run: python docs/measure_accuracy.py"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import each_isa  # noqa: E402
from ulp import EXACT, worst_pow_ulp, worst_ulp  # noqa: E402

import nnkern  # noqa: E402

TEXT = """# Accuracy

## Elementary functions

The largest error found, in units in the last place (ulp) of the true value. It comes from 40-digit arithmetic for 900 random
arguments per function and dtype over [-80, 80] (logarithms and roots: e^-60 to e^60, and close to 1), and from NumPy's function of
the next wider type for 180,000 to 420,000 more, densest where cancellation or a reduction could hurt: around 0, and for
`sin`, `cos` and `tan` the numbers closest to multiples of pi / 2. Results that are denormal, or nearly, are left out: denormals
count as zero. The bound that the tests hold is 2.5 ulp. Searches of all floats in the critical ranges, and of millions of doubles,
found nothing above: the largest were `sigmoid` 2.48, `gelu` 2.45 and `silu` 2.44 of float32, `gelu` 2.48 of float64.

`python docs/measure_accuracy.py` makes this page.

{table}

`pow` takes bases from e^-60 to e^60 and close to 1, and exponents that fill the range of results. `sin`, `cos` and `tan` beyond
|x| = 30,000 (float32) or 1,000,000 (float64) are the C library's. `softplus` is
measured without its threshold, `elu` with alpha 1; `selu` and `celu` are `elu` with other numbers, and the hard, shrink and leaky
activations plain arithmetic. The gradient kernels and `gelu_tanh` are not in the table: they are plain formulas over these
functions, and lose digits where their terms cancel (the slope of `gelu` near its zero at x = -0.75).

## Convolution

Float32 convolutions with 3x3 or 5x5 filters (of any depth in conv3d) and stride 1, or 4x4 filters and stride 2, take Winograd's
algorithm where it pays; it multiplies less and rounds more. Relative error |y - exact| / |exact| (L2 norms, normal random data, against float64) of the result and of both gradients. The tests
hold 2e-6, for the weight gradient 1e-5. conv2d with a stride s takes it, too, if filters have 2 to 5 taps in every
s-th row and column, such as 3x3 with stride 2 or 11x11 with stride 4: as exact as filters of so many taps. conv1d with stride 1 takes it
in pieces of three taps, F(3, 3). One NaN or Inf of the input reaches every result of its tile. `algorithm="gemm"`
forces plain sums of products; float64 always takes them, and `nnkern.explain` tells what a call takes.

{conv}
"""

# batch, channels, size, taps of a filter's side, stride
IMAGES = (
    (2, 16, 56, 3, 1),
    (2, 64, 56, 3, 1),
    (2, 256, 14, 3, 1),
    (2, 512, 7, 3, 1),
    (2, 16, 56, 5, 1),
    (2, 64, 27, 5, 1),
    (2, 256, 14, 5, 1),
    (2, 64, 32, 4, 2),
    (2, 256, 16, 4, 2),
    (2, 64, 56, 3, 2),
    (2, 64, 56, 7, 2),
)
DIRECTIONS = ("result", "input gradient", "weight gradient")


def conv_errors(n: int, c: int, size: int, taps: int, stride: int, algorithm: str) -> list[float]:
    """Relative L2 errors of the three directions of a convolution, c channels in and out."""
    g = np.random.default_rng(0)
    padding = (taps - 1) // 2
    x, gy = (g.standard_normal((n, c, s, s)).astype(np.float32) for s in (size, size // stride))
    w = g.standard_normal((c, c, taps, taps)).astype(np.float32)
    calls = (
        lambda a, b, c, **o: nnkern.conv2d(a, b, None, stride, padding, **o),
        lambda a, b, c, **o: nnkern.conv2d_input_grad(a.shape, b, c, stride, padding, **o),
        lambda a, b, c, **o: nnkern.conv2d_weight_grad(a, b.shape, c, stride, padding, **o),
    )
    found = []
    for call in calls:
        exact = call(*(a.astype(np.float64) for a in (x, w, gy)))
        found.append(np.linalg.norm(call(x, w, gy, algorithm=algorithm) - exact) / np.linalg.norm(exact))
    return found


def conv_table() -> str:
    names = {
        (3, 1): {"gemm": "products", "winograd2": "F(2, 3)", "winograd": "F(4, 3)"},
        (5, 1): {"gemm": "products", "winograd": "F(2, 5)"},
        (4, 2): {"gemm": "products", "winograd": "F(4, 2)"},
        (3, 2): {"gemm": "products", "winograd": "F(4, 2)"},
        (7, 2): {"gemm": "products", "winograd": "F(3, 4)"},
    }
    lines = [f"| channels x size, filter | algorithm | {' | '.join(DIRECTIONS)} |", "|---|---|---|---|---|"]
    for n, c, size, taps, stride in IMAGES:
        for algorithm, name in names[taps, stride].items():
            errors = " | ".join(f"{e:.1e}" for e in conv_errors(n, c, size, taps, stride, algorithm))
            lines.append(
                f"| {c} x {size} x {size}, {taps}x{taps}{', stride 2' if stride == 2 else ''} | {name} | {errors} |"
            )
    return "\n".join(lines)


def main() -> None:
    columns: dict[str, dict[str, float]] = {}
    for isa in each_isa():
        for dtype in (np.float32, np.float64):
            column = {name: worst_ulp(name, dtype) for name in EXACT} | {"pow": worst_pow_ulp(dtype)}
            columns[f"{isa} {np.dtype(dtype).name}"] = column
    lines = [f"| function | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in sorted([*EXACT, "pow"]):
        lines.append(f"| {name} | " + " | ".join(f"{c[name]:.2f}" for c in columns.values()) + " |")
    (ROOT / "docs/accuracy.md").write_text(TEXT.format(table="\n".join(lines), conv=conv_table()))


if __name__ == "__main__":
    main()
