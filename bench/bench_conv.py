"""The conv cases under pytest-benchmark: pytest bench/bench_conv.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_conv = make_test("conv")
