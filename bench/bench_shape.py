"""The shape cases under pytest-benchmark: pytest bench/bench_shape.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_shape = make_test("shape")
