"""The norm cases under pytest-benchmark: pytest bench/bench_norm.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_norm = make_test("norm")
