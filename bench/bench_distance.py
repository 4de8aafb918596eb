"""The distance cases under pytest-benchmark: pytest bench/bench_distance.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_distance = make_test("distance")
