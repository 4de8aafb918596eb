"""The index cases under pytest-benchmark: pytest bench/bench_index.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_index = make_test("index")
