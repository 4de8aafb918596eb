"""Facts about the machine, and its measured limits."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any

from .. import _cpu, config


def cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def limits(n_threads: int) -> dict[str, float]:
    """Measured now: GFLOP/s of the FMA units, GB/s of reading, writing and copying (read + written) per level."""
    before = config.get_num_threads()
    config.set_num_threads(n_threads)
    try:
        found = {
            "float32": _cpu.probe_flops(False, n_threads) / 1e9,
            "float64": _cpu.probe_flops(True, n_threads) / 1e9,
        }
        for level, size in level_bytes(n_threads).items():
            found[f"read {level}"] = _cpu.probe_read(size, n_threads) / 1e9
            found[f"write {level}"] = _cpu.probe_write(size, n_threads) / 1e9
            found[f"copy {level}"] = (
                _cpu.probe_copy(size // 2, n_threads) / 1e9
            )  # the copy takes the other half
        return found
    finally:
        config.set_num_threads(before)


def cache_bytes() -> dict[str, int]:
    """Sizes of the data caches of one core; usual ones where the system does not tell."""
    found = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            if (index / "type").read_text().strip() != "Instruction":
                size = (index / "size").read_text().strip()
                found[f"L{(index / 'level').read_text().strip()}"] = int(size.rstrip("KM")) << (
                    20 if size[-1] == "M" else 10
                )
        except (OSError, ValueError):
            continue
    return found


def level_bytes(n_threads: int) -> dict[str, int]:
    """How many bytes are moved to measure each level. A last cache that is full is slow: others use it, too."""
    caches = cache_bytes()
    return {
        "L1": caches["L1"] // 2 * n_threads, "L2": caches["L2"] // 2 * n_threads, "L3": caches["L3"] // 2,
        "full L3": caches["L3"], "memory": 2 * caches["L3"] + (64 << 20),
    }  # fmt: skip


def facts(threads: tuple[int, ...]) -> dict[str, Any]:
    known = config.show_config("dicts") or {}
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu_name(),
        "isa": known["isa"]["used"],
        "cores": os.cpu_count() or 1,
        "caches": cache_bytes(),
        "threads": known["threads"],
        "versions": {**known["versions"], "torch": _version("torch")},
        "system": f"{platform.system()} {platform.machine()}",
        "limits": {str(n): limits(n) for n in threads},
    }


def sharpen(machine: dict[str, Any]) -> None:
    """Measures the limits again and keeps the better of both: a limit taken in a slow moment is none."""
    for n, known in machine["limits"].items():
        for name, value in limits(int(n)).items():
            known[name] = max(known[name], value)


class Neighbours:
    """How many cores other programs kept busy since this was made; None where the system does not tell."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.others = self._others()

    @staticmethod
    def _others() -> float | None:
        try:
            fields = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
            busy = (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")  # all but idle and iowait
        except (OSError, ValueError, IndexError):
            return None
        return busy - sum(os.times()[:4])

    def cores(self) -> float | None:
        now = self._others()
        if now is None or self.others is None:
            return None
        return max(0.0, (now - self.others) / (time.perf_counter() - self.start))
