"""The training cases under pytest-benchmark: pytest bench/bench_training.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_training = make_test("training")
