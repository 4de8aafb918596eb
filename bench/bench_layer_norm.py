"""The layer_norm cases under pytest-benchmark: pytest bench/bench_layer_norm.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_layer_norm = make_test("layer_norm")
