"""The switches of the CPU floor, and what this build and machine are: show_config()."""

from __future__ import annotations

import platform
import sys
from typing import Any

import numpy as np

from . import _cpu

__all__ = [
    "empty_cache", "get_isa", "get_num_threads", "set_isa", "set_memory_cap", "set_num_threads", "show_config",
]  # fmt: skip


def set_num_threads(n: int) -> None:
    """Kernels use at most n threads from now on, the caller's included. Results do not depend on it, bit for bit."""
    _cpu.set_num_threads(n)


def get_num_threads() -> int:
    """How many threads kernels may use: min(affinity, cgroup quota, NNKERN_NUM_THREADS) unless set."""
    return _cpu.num_threads()


def set_isa(name: str) -> None:
    """Forces an instruction set: 'scalar', 'avx2', 'avx512' or 'neon'. ValueError if build or CPU lack it."""
    _cpu.set_isa(name)


def get_isa() -> str:
    """The instruction set in use."""
    return _cpu.isa()


def empty_cache() -> None:
    """Gives every recycled block back to the system."""
    _cpu.empty_cache()


def set_memory_cap(bytes: int) -> None:
    """At most so many bytes wait for reuse after arrays died; the rest goes back to the system at once."""
    _cpu.set_memory_cap(bytes)


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Prints what nnkern found and uses, or returns it with mode='dicts'.

    >>> nnkern.show_config(mode="dicts")["isa"]["used"]
    'avx512'
    """
    from . import __version__

    config: dict[str, Any] = {
        "versions": {"nnkern": __version__, "numpy": np.__version__, "python": sys.version.split()[0]},
        "machine": {"system": platform.system(), "architecture": platform.machine()},
        "isa": {"available": _cpu.available_isas().split(), "used": _cpu.isa()},
        "threads": {"used": _cpu.num_threads(), "why": _cpu.num_threads_reason()},
        "memory": _cpu.memory_stats(),
    }
    if mode == "dicts":
        return config
    if mode != "stdout":
        raise ValueError(f"show_config: mode must be 'stdout' or 'dicts', got '{mode}'")
    for section, facts in config.items():
        print(f"{section}:")
        for key, value in facts.items():
            print(f"  {key}: {', '.join(value) if isinstance(value, list) else value}")
    return None
