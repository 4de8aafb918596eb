"""The interpolate cases under pytest-benchmark: pytest bench/bench_interpolate.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_interpolate = make_test("interpolate")
