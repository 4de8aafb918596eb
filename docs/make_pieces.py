"""Writes csrc/simd/pieces.inl: functions of a >= 0 as polynomials on 32 pieces. Run: python docs/make_pieces.py

The pieces are 8 (mish: 4) to each octave of v = 1 + scale * a, so that the leading bits of v number them. A piece is a
centre, close to the middle and chosen so that the function's value there is a float almost exactly, and the
coefficients in a - centre, fitted one after the other, each to what the rounding of those before it left.
"""

from collections.abc import Callable
from pathlib import Path

import mpmath
import numpy as np

HEAD = """// Functions of a >= 0 by polynomials on 32 pieces, for floats of AVX-512, where one instruction fetches
// sixteen entries out of 32. Made by docs/make_pieces.py, which explains them: a row of centres, then
// coefficients.
namespace nn {
namespace {

// clang-format off
"""
TAIL = """// clang-format on

// The polynomial of the piece that v numbers; v's exponent must be one of those that the table has.
template <int low, int N>
NN_INLINE vec<float> piecewise(vec<float> a, vec<float> v, const float (&c)[N][32]) {
  const vec<float> t = a - leading_entry<low>(c[0], v);
  vec<float> y = leading_entry<low>(c[N - 1], v);
#pragma GCC unroll 8
  for (int k = N - 2; k > 0; --k) y = fma(y, t, leading_entry<low>(c[k], v));
  return y;
}

}  // namespace
}  // namespace nn
"""
NODES, CENTRES = 64, 2000


def pieces(per_octave: int, scale: float) -> list[tuple[float, float]]:
    """The ends of the pieces in the order of v's leading bits, beginning with the last bits of its exponent."""
    found = []
    for index in range(4 * per_octave):
        exponent, part = divmod(index, per_octave)
        octave = 2.0 ** ((exponent + 1) % 4)
        ends = (octave * (1 + (part + k) / per_octave) for k in (0, 1))
        found.append(tuple((v - 1) / scale for v in ends))
    return found


def centre(f: Callable, low: float, high: float) -> np.float32:
    middle, best = np.float32((low + high) / 2), (np.inf, np.float32(0))
    for k in range(CENTRES):
        at = middle + np.float32((k + 1) // 2 * (-1) ** k) * 4 * np.spacing(middle)
        y = f(mpmath.mpf(float(at)))
        best = min(best, (float(abs(y - float(np.float32(float(y)))) / y), at))
        if best[0] < 2e-10:
            break
    return best[1]


def fit(f: Callable, low: float, high: float, degree: int, odd: bool) -> list[np.float32]:
    through_zero = odd and low == 0
    c = np.float32(0) if through_zero else centre(f, low, high)
    half = (high - low) / 2
    a = (low + high) / 2 + half * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
    exact = [f(mpmath.mpf(float(x))) for x in a]
    weight = 1 / np.array([float(y) for y in exact])
    first = np.float32(0 if through_zero else float(f(mpmath.mpf(float(c)))))
    rest, t, found = np.array([float(y - float(first)) for y in exact]), (a - float(c)) / half, [c, first]
    for k in range(1, degree + 1):
        powers = t[:, None] ** np.arange(k, degree + 1)
        best = np.linalg.lstsq(powers * weight[:, None], rest * weight, rcond=None)[0]
        found.append(np.float32(best[0] / half**k))
        rest = rest - float(found[-1]) * (t * half) ** k
    return found


def number(x: np.float32) -> str:
    text = np.format_float_scientific(x, unique=True, trim="-", exp_digits=1)
    text = min(text.replace("e+0", ""), np.format_float_positional(x, unique=True, trim="-"), key=len)
    return text + ("f" if "." in text or "e" in text else "")


def table(name: str, columns: list[list[np.float32]]) -> str:
    rows = []
    for row in zip(*columns, strict=True):
        numbers = [number(x) for x in row]
        lines = (", ".join(f"{n:>14}" for n in numbers[i : i + 6]) for i in range(0, 32, 6))
        rows.append("  {" + ",\n   ".join(lines) + "}")
    return f"alignas(64) constexpr float {name}[{len(rows)}][32] = {{\n" + ",\n".join(rows) + "};\n"


def tanh_softplus(x: mpmath.mpf) -> mpmath.mpf:
    n = mpmath.exp(x) * (mpmath.exp(x) + 2)
    return n / (n + 2)


def main() -> None:
    eighths = pieces(8, 1), pieces(8, 0.8)
    parts = [
        ("kTanh", [fit(mpmath.tanh, *p, 5, True) for p in eighths[0]]),
        ("kErf", [fit(mpmath.erf, *p, 5, True) for p in eighths[0]]),
        (
            "kNormal",
            [fit(lambda a: mpmath.ncdf(-a) * mpmath.exp(a * a / 2), *p, 5, False) for p in eighths[0]],
        ),
        (
            "kSoftplus",
            [fit(lambda a: mpmath.log1p(mpmath.exp(-a)) * mpmath.exp(a), *p, 4, False) for p in eighths[1]],
        ),
    ]
    quarters = pieces(
        4, 0.8
    )  # of the exponent's three last bits 7, 0, 1, 2 are x < 0, and 3, 4, 5, 6 are x > 0
    left = [fit(lambda a: tanh_softplus(-a) * mpmath.exp(a), *p, 5, False) for p in quarters]
    right = [fit(tanh_softplus, *p, 5, False) for p in quarters]
    parts.append(("kMish", [*left[:12], *right[12:], *right[:12], *left[12:]]))
    text = HEAD + "".join(table(name, columns) for name, columns in parts) + TAIL
    (Path(__file__).parents[1] / "csrc/simd/pieces.inl").write_text(text)


if __name__ == "__main__":
    main()
