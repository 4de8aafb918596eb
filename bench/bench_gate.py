"""The gate cases under pytest-benchmark: pytest bench/bench_activation.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_gate = make_test("activation")
