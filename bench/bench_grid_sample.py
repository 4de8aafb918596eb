"""The grid_sample cases under pytest-benchmark: pytest bench/bench_grid_sample.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_grid_sample = make_test("grid_sample")
