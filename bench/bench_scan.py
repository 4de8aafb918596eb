"""The scan cases under pytest-benchmark: pytest bench/bench_scan.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_scan = make_test("scan")
