"""The recurrent cases under pytest-benchmark: pytest bench/bench_recurrent.py. `nnkern bench` runs the same ones."""

from suite import make_test

test_recurrent = make_test("recurrent")
