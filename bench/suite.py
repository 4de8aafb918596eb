"""Turns a family's cases (nnkern/bench/cases) into a pytest-benchmark test: one benchmark per case and candidate."""

import pytest

from nnkern.bench import all_cases

LIBRARIES = ("nnkern", "numpy", "numpy (usual)", "torch", "torch (channels_last)")


def make_test(family):
    cases = [c for c in all_cases(family) if not c.full]
    pairs = [(case, library) for case in cases for library in LIBRARIES]

    @pytest.mark.parametrize(
        ("case", "library"), pairs, ids=[f"{c.op}-{c.name}-{c.dtype}-{lib}" for c, lib in pairs]
    )
    def test(benchmark, case, library):
        candidates = case.candidates()
        if library not in candidates:
            pytest.skip(f"no {library} candidate (not installed, or the function has none)")
        benchmark.group = f"{case.op} {case.name} {case.dtype}"
        benchmark(candidates[library])

    return test
