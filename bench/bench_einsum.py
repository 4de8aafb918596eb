"""The einsum cases under pytest-benchmark: pytest bench/bench_einsum.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_einsum = make_test("einsum")
