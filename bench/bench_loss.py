"""The loss cases under pytest-benchmark: pytest bench/bench_loss.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_loss = make_test("loss")
