"""The loss_pointwise cases under pytest-benchmark: pytest bench/bench_loss_pointwise.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_loss_pointwise = make_test("loss_pointwise")
