"""Choice between two arrays in the L1 cache (32 KB) and in memory (50 MB)."""

from __future__ import annotations

from ..case import Case
from .arithmetic import binary
from .elementwise import SIZES


def cases() -> list[Case]:
    return [Case("maximum", size, binary("maximum", n), 1.0 * n, 12.0 * n) for size, n in SIZES.items()]
