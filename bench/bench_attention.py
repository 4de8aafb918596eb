"""The attention cases under pytest-benchmark: pytest bench/bench_attention.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_attention = make_test("attention")
