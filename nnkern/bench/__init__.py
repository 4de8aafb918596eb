"""Benchmarks of nnkern against NumPy and PyTorch: cases, a fair clock, and a report.

    from nnkern.bench import run, all_cases
    result = run(all_cases(), threads=(1, 2))

Rules: candidates are verified equal before they are timed; data is random; candidates take turns in one process; every
figure is a median over rounds; rows that lose are reported like those that win.
"""

from .case import Case, all_cases, families
from .runner import run, time_case

__all__ = ["Case", "all_cases", "families", "run", "time_case"]
