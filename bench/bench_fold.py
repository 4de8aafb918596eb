"""The fold cases under pytest-benchmark: pytest bench/bench_fold.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_fold = make_test("fold")
