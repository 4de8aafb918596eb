"""The pad cases under pytest-benchmark: pytest bench/bench_pad.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_pad = make_test("pad")
