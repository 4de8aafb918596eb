"""The loss_ctc cases under pytest-benchmark: pytest bench/bench_loss_ctc.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_loss_ctc = make_test("loss_ctc")
