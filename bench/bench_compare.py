"""The compare cases under pytest-benchmark: pytest bench/bench_compare.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_compare = make_test("compare")
