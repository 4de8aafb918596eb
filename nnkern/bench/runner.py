"""The clock: candidates verified, then timed in turns."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .. import config
from .case import Case, torch_module

SAMPLE_SECONDS = 0.002  # one sample repeats a call until it takes about so long
ROUNDS = (7, 60)  # at least, at most


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """nnkern, NumPy's BLAS and PyTorch on n threads each."""
    before = config.get_num_threads()
    torch = torch_module()
    torch_before = torch.get_num_threads() if torch else 0
    from threadpoolctl import threadpool_limits

    try:
        config.set_num_threads(n)
        if torch:
            torch.set_num_threads(n)
        with threadpool_limits(n, user_api="blas"):
            yield
    finally:
        config.set_num_threads(before)
        if torch:
            torch.set_num_threads(torch_before)


def _arrays(result: Any) -> list[np.ndarray]:
    if isinstance(result, (tuple, list)):
        return [a for r in result for a in _arrays(r)]
    if hasattr(result, "detach"):
        result = result.detach()
    return [np.asarray(result)]


def verify(case: Case, results: dict[str, Any]) -> None:
    """AssertionError unless all results agree with nnkern's within the case's tolerance."""
    if case.compared:
        results = {name: case.compared(r) for name, r in results.items()}
    ours = _arrays(results["nnkern"])
    for name, result in results.items():
        for a, b in zip(ours, _arrays(result), strict=True):
            if a.shape != b.shape:
                raise AssertionError(f"{case.op} {case.name}: nnkern gives shape {a.shape}, {name} {b.shape}")
            if a.dtype.kind != "f":
                worst = float(np.any(a != b))
            else:
                scale = max(1e-30, float(np.max(np.abs(b), initial=0)))
                worst = float(np.max(np.abs(a.astype(np.float64) - b), initial=0)) / scale
            if not worst <= case.tolerance:
                raise AssertionError(
                    f"{case.op} {case.name}: nnkern and {name} differ by {worst:.3g} of the maximum"
                )


def _sample(f: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        f()
    return (time.perf_counter() - start) / repeats


def time_case(case: Case, n_threads: int = 1, seconds: float = 1.0) -> dict[str, Any]:
    """Verifies and times one case: medians in seconds per call, with quartiles, per candidate."""
    with threads(n_threads):
        candidates = case.candidates()
        verify(case, {name: f() for name, f in candidates.items()})
        repeats = {}
        for name, f in candidates.items():
            once = min(_sample(f, 1) for _ in range(3))
            repeats[name] = max(1, int(SAMPLE_SECONDS / max(once, 1e-8)))
        samples: dict[str, list[float]] = {name: [] for name in candidates}
        enabled = gc.isenabled()
        gc.disable()
        try:
            end = time.perf_counter() + seconds
            for round_ in range(ROUNDS[1]):
                if round_ >= ROUNDS[0] and time.perf_counter() > end:
                    break
                for name, f in candidates.items():
                    samples[name].append(_sample(f, repeats[name]))
        finally:
            if enabled:
                gc.enable()
    row: dict[str, Any] = {
        "op": case.op, "name": case.name, "dtype": case.dtype, "threads": n_threads, "flops": case.flops, "bytes": case.bytes,
        "seconds": {}, "quartiles": {}, "rounds": len(samples["nnkern"]),
    }  # fmt: skip
    other = "torch (channels_last)"
    if other in samples and np.median(samples[other]) < np.median(samples["torch"]):
        # 'torch' is PyTorch in its better layout; the other one stays in the report under its own name
        samples["torch (channels_first)"], samples["torch"] = samples["torch"], samples.pop(other)
    for name, s in samples.items():
        row["seconds"][name] = float(np.median(s))
        row["quartiles"][name] = [float(np.quantile(s, 0.25)), float(np.quantile(s, 0.75))]
    # The ratio of each round's own pair: slow spells of the machine hit both sides of it.
    row["ratios"] = {
        name: float(np.median(np.array(s) / np.array(samples["nnkern"])))
        for name, s in samples.items()
        if name != "nnkern"
    }
    return row


def run(
    cases: Iterable[Case],
    n_threads: Iterable[int] = (1,),
    seconds: float = 0.5,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of all cases for each number of threads, and what failed. Ctrl-C ends it and keeps what was measured."""
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    try:
        for case in cases:
            for n in n_threads:
                try:
                    row = time_case(case, n, seconds)
                except Exception as e:  # one broken case must not cost the others' figures
                    failures.append(f"{case.op} {case.name}, {n} threads: {type(e).__name__}: {e}")
                    continue
                rows.append(row)
                if on_row:
                    on_row(row)
    except KeyboardInterrupt:
        failures.append("interrupted")
    return rows, failures
