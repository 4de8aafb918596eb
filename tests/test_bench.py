"""The benchmark harness: what it refuses, its arithmetic, its report."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("threadpoolctl", reason="the harness needs the extra `cli`")
import nnkern
from nnkern.bench import Case, all_cases, families, figures, report, run, time_case
from nnkern.bench import machine as machine_facts
from nnkern.bench.runner import _spinning

MACHINE = {
    "cpu": "a <CPU>", "isa": "avx2", "system": "Linux", "date": "2026-01-01", "threads": {"used": 1, "why": "a test"},
    "versions": {"nnkern": "0", "numpy": "2", "torch": None}, "caches": {"L1": 32768, "L2": 1 << 20, "L3": 1 << 25},
    "limits": {"1": {"float32": 100.0, "float64": 50.0, **{f"{k} {v}": 10.0 for k in ("read", "write", "copy") for v in ("L1", "L2", "L3", "full L3", "memory")}}},
}  # fmt: skip


def row(name, ratio, flops=1e6, seconds=1e-5, size=3e4):
    return {"op": "matmul", "name": name, "family": "matmul", "dtype": "float32", "threads": 1, "flops": flops, "bytes": size,
            "written": size / 4, "rounds": 9, "seconds": {"nnkern": seconds, "numpy": seconds * ratio}, "quartiles": {}, "ratios": {"numpy": ratio}}  # fmt: skip


def case(**candidates):
    return Case("op", "case", lambda: {k: (lambda v=v: v) for k, v in candidates.items()}, flops=1)


def test_a_wrong_candidate_is_found_before_the_clock_starts():
    right = np.ones(3, np.float32)
    assert time_case(case(nnkern=right, numpy=right), seconds=0.01)["ratios"]["numpy"] > 0
    for wrong in (right * 2, right * np.nan, np.ones(4, np.float32)):
        with pytest.raises(AssertionError, match="op case: nnkern"):
            time_case(case(nnkern=right, numpy=wrong), seconds=0.01)


def test_one_failure_keeps_the_other_rows():
    good, bad = case(nnkern=np.ones(2)), case(nnkern=np.ones(2), numpy=np.zeros(2))
    rows, failures = run([bad, good, bad], seconds=0.01)
    assert len(rows) == 1 and len(failures) == 2 and "differ" in failures[0]


def test_an_interrupt_keeps_the_rows():
    def stop():
        raise KeyboardInterrupt

    rows, failures = run(
        [case(nnkern=np.ones(2)), Case("op", "stop", stop), case(nnkern=np.ones(2))], seconds=0.01
    )
    assert len(rows) == 1 and failures == ["interrupted"]


def test_arithmetic():
    assert figures.geometric_mean([2.0, 8.0]) == pytest.approx(4)
    s = figures.summary([row("a", 2.0), row("b", 0.5), row("c", 4.0)])
    assert s[1]["numpy"]["won"] == 2 and s[1]["numpy"]["rows"] == 3
    assert figures.share(row("a", 2), MACHINE) == "100 % of FMA"  # 1e6 flops in 10 us of 100 GFLOP/s
    assert figures.rate(row("a", 2), MACHINE) == "100.0 GFLOP/s"


def test_limit_is_that_of_the_level_that_holds_the_data():
    rates = {"read": 4.0, "write": 2.0, "copy": 1.0}
    levels = ("L1", "L2", "L3", "full L3", "memory")
    limits = {
        f"{kind} {where}": rate * 10**-i for i, where in enumerate(levels) for kind, rate in rates.items()
    }
    machine = {**MACHINE, "limits": {"1": {**limits, "float32": 1e6}}}
    for i, (where, size) in enumerate(zip(levels, (3e4, 3e5, 3e6, 3e7, 3e8))):
        seconds, what = figures.limit(row("a", 2, flops=1, size=size), machine)
        # a quarter is written: it and a quarter that is read go at the rate of copying, the other half at that of reading
        assert what == where and seconds == pytest.approx(10**i * size * 1e-9 * (0.5 / 1 + 0.5 / 4))
    writer = {**row("a", 2, flops=1), "written": 3e4}
    assert figures.limit(writer, machine)[0] == pytest.approx(3e-5 / 2)
    assert figures.limit({**writer, "threads": 8}, machine) is None


def test_pytorch_counts_in_its_better_layout():
    def busy(seconds):
        def f():
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                pass
            return np.ones(2)

        return f

    for fast, slow, layout in ((1, 8, "channels_first"), (8, 1, "channels_last")):
        found = {"nnkern": busy(1e-4), "torch": busy(fast * 1e-4), "torch (channels_last)": busy(slow * 1e-4)}
        timed = time_case(Case("op", "case", lambda found=found: found, 1, 1), seconds=0.02)
        assert timed["torch layout"] == layout and set(timed["ratios"]) == {"torch"}
        assert timed["seconds"]["torch"] < timed["seconds"]["torch (other layout)"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux which threads run")
def test_a_turn_waits_for_threads_that_still_run():
    x, stop = np.ones((600, 600), np.float32), threading.Event()

    def work():
        while not stop.is_set():
            nnkern.matmul(x, x)

    def becomes(state):
        end = time.perf_counter() + 20
        while time.perf_counter() < end:
            if _spinning() == state:
                return True
            time.sleep(0.001)
        return False

    worker = threading.Thread(target=work)
    worker.start()
    assert becomes(True)
    stop.set()
    worker.join()
    assert becomes(False)


def test_an_unapplied_update_is_found(monkeypatch):
    from nnkern.bench.cases import training

    case = training.cases()[0]
    assert time_case(case, seconds=0.01)["ratios"]["numpy"] > 0
    monkeypatch.setattr("nnkern.optim.SGD.step", lambda self: None)
    with pytest.raises(AssertionError, match="differ by"):
        time_case(case, seconds=0.01)


def test_report_shows_lost_rows_in_red(tmp_path):
    rows = [row("24 x 24 x 24", 2.0), row("64 x 64 x 64", 0.5), row("<b>", 3.0)]
    paths = report.write(rows, MACHINE, tmp_path)
    page = paths["html"].read_text()
    assert "<tr class=lose>" in page and "0.50&times;" in page and "var(--lose)" in page
    assert "&lt;b&gt;" in page and "<b>," not in page and "http" not in page.replace("http-equiv", "")
    assert "**0.50**" in paths["md"].read_text()
    assert json.loads(paths["json"].read_text())["rows"][1]["ratios"]["numpy"] == 0.5


def test_every_family_has_cases_that_agree():
    for family in families():
        cases = all_cases(family)
        assert cases and all(c.flops > 0 and c.bytes > 0 and c.family == family for c in cases), family
        small = min(cases, key=lambda c: c.flops)
        assert time_case(small, seconds=0.01)["seconds"]["nnkern"] > 0


def test_machine_facts():
    assert machine_facts.cpu_name() and set(machine_facts.cache_bytes()) >= {"L1", "L2", "L3"}
