"""The dropout cases under pytest-benchmark: pytest bench/bench_dropout.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_dropout = make_test("dropout")
