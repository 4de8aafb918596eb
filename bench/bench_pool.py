"""The pool cases under pytest-benchmark: pytest bench/bench_pool.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_pool = make_test("pool")
