"""The join cases under pytest-benchmark: pytest bench/bench_join.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_join = make_test("join")
