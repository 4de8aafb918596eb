"""The softmax cases under pytest-benchmark: pytest bench/bench_softmax.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_softmax = make_test("softmax")
