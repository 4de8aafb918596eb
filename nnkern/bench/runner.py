"""The clock: candidates verified, then timed in turns."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from .. import config
from .case import Case, torch_module

try:
    from resource import RUSAGE_SELF, getrusage
except ImportError:  # Windows

    def _preemptions() -> int:
        """How often this process lost a core to another one."""
        return 0
else:

    def _preemptions() -> int:
        """How often this process lost a core to another one."""
        return getrusage(RUSAGE_SELF).ru_nivcsw


SAMPLE_SECONDS = 0.002  # one sample repeats a call until it takes about so long
LONG_CALL = 0.02  # seconds: such a call is sampled once, as it comes
ROUNDS = (5, 60)  # at least, at most
FEWEST = 3  # rounds of a row that takes far more than its time
SHORTEST, LONGEST = 0.1, 1.5  # seconds for the samples of one row
TRIES = 8  # of a sample that another program disturbs
REST = 0.0005, 0.2  # seconds: a look whether threads still spin, and the longest wait for them
TURN = 0.01  # seconds of samples after such a wait, which costs far more than a sample
LAYOUTS = ("torch", "torch (channels_last)")  # the faster one of these is 'torch' in the row


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


def _undisturbed(f: Callable[[], Any], repeats: int) -> float:
    """The same, tried again (the best of up to TRIES counts) while another program took a core from this one."""
    best = float("inf")
    for _ in range(TRIES):
        before = _preemptions()
        best = min(best, _sample(f, repeats))
        if _preemptions() == before or best * repeats > LONG_CALL:
            break
    return best


def _spinning() -> bool:
    """Whether another thread of this process runs (Linux). Clocks do not tell: they know of a thread that runs on
    another core only what it had used at that core's last tick."""
    me = str(threading.get_native_id())
    for task in Path("/proc/self/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # it has ended in the meantime
            if task.parent.name != me and task.read_text().rpartition(")")[2].split()[0] == "R":
                return True
    return False


def _rest() -> None:
    """Waits until no thread of this process runs: pools spin for a while after their work, on the next one's cores."""
    look, longest = REST
    end = time.perf_counter() + longest
    time.sleep(look)
    while _spinning() and time.perf_counter() < end:
        time.sleep(look)


def _samples(candidates: dict[str, Callable[[], Any]], seconds: float, rest: bool) -> dict[str, list[float]]:
    """Seconds per call of each candidate, round by round, for about so many seconds."""
    once, repeats = {}, {}
    for name, f in candidates.items():
        if rest:  # a call among others' spinning threads takes so long that its samples would be too short
            _rest()
        once[name] = _sample(f, 1)
        if once[name] < LONG_CALL:
            once[name] = min(once[name], _sample(f, 1), _sample(f, 1))
        repeats[name] = max(1, int(SAMPLE_SECONDS / max(once[name], 1e-8)))
    longest = max(SAMPLE_SECONDS, *once.values())
    in_turn = max(1, int(TURN / longest)) if rest else 1
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    order, turns = list(candidates), Random(0)
    enabled = gc.isenabled()
    gc.disable()
    try:
        end = time.perf_counter() + seconds
        for round_ in range(ROUNDS[1]):
            late = time.perf_counter() - end
            if late > 0 and (round_ >= ROUNDS[0] or (round_ >= FEWEST and late > 3 * seconds)):
                break
            turns.shuffle(order)
            for name in order:
                if rest:
                    _rest()
                # A call before the clock starts: caches hold what the candidate itself left there, not what its
                # relatives (warm) or others (cold) did. A core that slept is slow at first, too.
                for _ in range((repeats[name] + 1) // 2 if rest else int(once[name] < LONG_CALL)):
                    candidates[name]()
                for _ in range(in_turn):
                    samples[name].append(_undisturbed(candidates[name], repeats[name]))
    finally:
        if enabled:
            gc.enable()
    return samples


def time_case(case: Case, n_threads: int = 1, seconds: float = 1.0) -> dict[str, Any]:
    """Verifies and times one case: medians in seconds per call, with quartiles, per candidate."""
    with threads(n_threads):
        candidates = case.candidates()
        results = {name: f() for name, f in candidates.items()}
        verify(case, results)
        written = sum(a.nbytes for a in _arrays(results["nnkern"]))
        del results
        samples = _samples(candidates, seconds, rest=n_threads > 1)
    row: dict[str, Any] = {
        "op": case.op, "name": case.name, "family": case.family, "dtype": case.dtype, "threads": n_threads,
        "flops": case.flops, "bytes": case.bytes, "written": min(written, case.bytes),
        "seconds": {}, "quartiles": {}, "rounds": len(samples["nnkern"]),
    }  # fmt: skip
    if all(name in samples for name in LAYOUTS):
        other = max(LAYOUTS, key=lambda name: np.median(samples[name]))
        row["torch layout"] = "channels_first" if other == LAYOUTS[1] else "channels_last"
        row["seconds"]["torch (other layout)"] = float(np.median(samples[other]))
        samples["torch"] = samples[LAYOUTS[0] if other == LAYOUTS[1] else LAYOUTS[1]]
        del samples[LAYOUTS[1]]
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


class Pace:
    """Shares a number of seconds out over rows: what building and checking the data takes comes off first."""

    def __init__(self, rows: int, seconds: float) -> None:
        self.left, self.start, self.end = rows, time.perf_counter(), time.perf_counter() + seconds
        self.sampled = 0.0
        self.done = 0

    def next(self) -> float:
        """Seconds for the samples of the next row."""
        now = time.perf_counter()
        overhead = (now - self.start - self.sampled) / self.done if self.done else 0.3
        share = (self.end - now) / max(1, self.left) - overhead
        seconds = min(LONGEST, max(SHORTEST, share))
        self.sampled, self.done, self.left = self.sampled + seconds, self.done + 1, self.left - 1
        return seconds


def run(
    cases: Iterable[Case],
    n_threads: Iterable[int] = (1,),
    seconds: float = 60.0,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of all cases for each number of threads, and what failed; takes about so many seconds in all.

    Ctrl-C ends it and keeps what was measured.
    """
    cases, n_threads = list(cases), list(n_threads)
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    pace = Pace(len(cases) * len(n_threads), seconds)
    try:
        for case in cases:
            for n in n_threads:
                try:
                    row = time_case(case, n, pace.next())
                except Exception as e:  # one broken case must not cost the others' figures
                    failures.append(f"{case.op} {case.name}, {n} threads: {type(e).__name__}: {e}")
                    continue
                rows.append(row)
                if on_row:
                    on_row(row)
    except KeyboardInterrupt:
        failures.append("interrupted")
    return rows, failures
