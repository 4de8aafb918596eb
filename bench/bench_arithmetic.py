"""The arithmetic cases under pytest-benchmark: pytest bench/bench_arithmetic.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_arithmetic = make_test("arithmetic")
