"""The reduce cases under pytest-benchmark: pytest bench/bench_reduce.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_reduce = make_test("reduce")
