"""The matmul cases under pytest-benchmark: pytest bench/bench_matmul.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_matmul = make_test("matmul")
