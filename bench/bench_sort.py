"""The sort cases under pytest-benchmark: pytest bench/bench_sort.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_sort = make_test("sort")
