"""The remainder cases under pytest-benchmark: pytest bench/bench_remainder.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_remainder = make_test("remainder")
