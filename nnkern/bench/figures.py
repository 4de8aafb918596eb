"""The figures of a run: ratios, shares of the machine's limits, and how they are said."""

from __future__ import annotations

import math

RIVALS = ("torch", "numpy")
LABELS = {"nnkern": "nnkern", "numpy": "NumPy", "torch": "PyTorch"}


def plural(n: int) -> str:
    return f"{n} thread{'s' * (n > 1)}"


def geometric_mean(ratios: list[float]) -> float:
    return math.exp(sum(math.log(r) for r in ratios) / len(ratios)) if ratios else float("nan")


def summary(rows: list[dict]) -> dict[int, dict[str, dict[str, float]]]:
    """Per number of threads and rival: geometric mean, rows won, rows in all."""
    found: dict[int, dict[str, dict[str, float]]] = {}
    for n in sorted({r["threads"] for r in rows}):
        for rival in RIVALS:
            ratios = [r["ratios"][rival] for r in rows if r["threads"] == n and rival in r["ratios"]]
            if ratios:
                found.setdefault(n, {})[rival] = {
                    "mean": geometric_mean(ratios), "won": sum(x >= 1 for x in ratios), "rows": len(ratios)
                }  # fmt: skip
    return found


def lost(row: dict) -> bool:
    """Is nnkern slower than the best of PyTorch or of NumPy?"""
    return any(row["ratios"].get(rival, 1.0) < 1 for rival in RIVALS)


def level(row: dict, machine: dict) -> str:
    """The first cache that holds the row's operands and result, or 'memory'. L1 and L2 belong to one core each;
    L3 is 'full L3' from its half on."""
    l1, l2, l3 = (machine["caches"][name] for name in ("L1", "L2", "L3"))
    n = row["threads"]
    for name, size in (("L1", l1 * n), ("L2", l2 * n), ("L3", l3 / 2), ("full L3", l3)):
        if row["bytes"] <= size:
            return name
    return "memory"


def limit(row: dict, machine: dict) -> tuple[float, str] | None:
    """The least seconds that this machine could take, and what sets them: 'FMA', or the level that holds the data.

    The data are read and written once: what can be paired at the measured rate of copying, the rest at that of
    reading or of writing. None if no limits were measured for this number of threads.
    """
    at = machine["limits"].get(str(row["threads"]))
    if not at:
        return None
    where = level(row, machine)
    read, write = row["bytes"] - row["written"], row["written"]
    pairs = min(read, write)
    gigabytes = (2 * pairs, read - pairs, write - pairs)
    data = sum(b / at[f"{kind} {where}"] for b, kind in zip(gigabytes, ("copy", "read", "write"))) / 1e9
    compute = row["flops"] / at[row["dtype"]] / 1e9
    return (compute, "FMA") if compute > data else (data, where)


def share(row: dict, machine: dict) -> str:
    """How much of its limit a row reaches, such as '87 % of L2'; empty if there is none."""
    found = limit(row, machine)
    return f"{100 * found[0] / row['seconds']['nnkern']:.0f} % of {found[1]}" if found else ""


def rate(row: dict, machine: dict) -> str:
    """nnkern's GFLOP/s where multiply-adds are the limit, GB/s where data are."""
    found = limit(row, machine)
    unit, work = ("GB/s", row["bytes"]) if found and found[1] != "FMA" else ("GFLOP/s", row["flops"])
    return f"{work / row['seconds']['nnkern'] / 1e9:.1f} {unit}"


def microseconds(seconds: float) -> str:
    us = seconds * 1e6
    return f"{us:.2f} us" if us < 10 else f"{us:.0f} us" if us < 1000 else f"{us / 1000:.2f} ms"


def crowded(machine: dict, n_threads: int) -> bool:
    """Did other programs have some of the cores that so many threads wanted?"""
    return (
        n_threads > 1 and n_threads + (machine.get("others") or 0.0) > machine.get("cores", n_threads) + 0.3
    )


def quiet(machine: dict) -> str:
    """What there is to say about other programs during the run."""
    cores = machine.get("others")
    if cores is None:
        return ""
    if cores < 0.15:
        return f"The machine was quiet: other programs took {cores:.2f} cores."
    return (
        f"A shared machine: other programs took {cores:.1f} of {machine['cores']} cores on average. One-thread rows are "
        "sampled between the disturbances; rows with more threads suffer, most of all libraries whose threads wait actively: "
        "take those as a guess."
    )
