"""The elementwise cases under pytest-benchmark: pytest bench/bench_elementwise.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_elementwise = make_test("elementwise")
