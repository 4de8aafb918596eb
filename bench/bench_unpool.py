"""The unpool cases under pytest-benchmark: pytest bench/bench_unpool.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_unpool = make_test("unpool")
