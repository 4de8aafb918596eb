"""The embedding cases under pytest-benchmark: pytest bench/bench_embedding.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_embedding = make_test("embedding")
