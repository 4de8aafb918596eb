"""The recycling allocator: bounded, warm, and arrays that outlive everything they should."""

import gc
import os
import subprocess
import sys

import numpy as np
import pytest
from support import randn, rng

import nnkern
from nnkern import _cpu


def resident_mib():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096 / 2**20


is_sanitized = "libasan" in os.environ.get("LD_PRELOAD", "")


@pytest.mark.skipif(is_sanitized, reason="the sanitizer keeps what was freed, to see it used")
def test_resident_memory_stays_over_random_shapes():
    g = rng(1)

    def step():
        m, n = g.integers(1, 400, 2)
        nnkern.matmul(nnkern.exp(np.ones((m, n), np.float32)), np.ones((n, 17), np.float32))

    for _ in range(2000):
        step()
    before = resident_mib()
    for _ in range(2000):
        step()
    assert resident_mib() - before <= 5


def test_arrays_outlive_cache_and_inputs():
    x = randn(500, 300)
    y = nnkern.add(x, 1.0)
    view, expected = y[10:20, ::3], x[10:20, ::3] + np.float32(1)
    del x, y
    nnkern.empty_cache()
    gc.collect()
    for _ in range(20):
        nnkern.exp(randn(500, 300))  # would reuse the block if it were free
    np.testing.assert_array_equal(view, expected)


def test_results_are_ordinary_arrays():
    y = nnkern.exp(randn(10, 20))
    assert type(y) is np.ndarray and y.flags.owndata and y.flags.writeable and y.flags.c_contiguous
    y.resize(5, 3, refcheck=False)
    assert y.shape == (5, 3)
    y = nnkern.exp(randn(4))
    before = y.copy()
    y.resize(4000, refcheck=False)
    np.testing.assert_array_equal(y[:4], before)


def test_blocks_are_aligned():
    for n in (1, 3, 100, 5000, 300_000, 3_000_000):
        assert nnkern.neg(np.ones(n, np.float32)).ctypes.data % 64 == 0


def test_large_blocks_are_reused_and_given_back():
    nnkern.empty_cache()
    x = np.ones(1_000_000, np.float32)
    nnkern.neg(x)
    stats = _cpu.memory_stats()
    if stats["cached_bytes"] == 0:  # a sanitizer build does not recycle
        assert stats["reused_calls"] == 0
        return
    nnkern.neg(x)
    after = _cpu.memory_stats()
    assert (
        after["reused_calls"] == stats["reused_calls"] + 1 and after["system_calls"] == stats["system_calls"]
    )
    nnkern.empty_cache()
    assert _cpu.memory_stats()["cached_bytes"] == 0


def test_cap_binds_and_the_newest_shape_wins():
    cap = _cpu.memory_stats()["cap_bytes"]
    try:
        nnkern.empty_cache()
        nnkern.set_memory_cap(8 << 20)
        for n in (300_000, 500_000, 900_000, 1_500_000):
            nnkern.neg(np.ones(n, np.float32))
            assert _cpu.memory_stats()["cached_bytes"] <= 8 << 20
        before = _cpu.memory_stats()
        nnkern.neg(np.ones(1_500_000, np.float32))
        assert before["cached_bytes"] == 0 or _cpu.memory_stats()["reused_calls"] > before["reused_calls"]
    finally:
        nnkern.set_memory_cap(cap)


def test_poison_marks_what_a_kernel_skips():
    _cpu.set_poison(True)
    try:
        assert not np.isnan(nnkern.exp(randn(1000))).any()
    finally:
        _cpu.set_poison(False)


def test_freeing_in_another_thread_and_at_exit():
    code = """
import threading, numpy as np, nnkern
held = [nnkern.exp(np.ones(n, np.float32)) for n in (10, 10_000, 2_000_000)]
t = threading.Thread(target=held.clear); t.start(); t.join()
def make(): keep.extend(nnkern.exp(np.ones(100, np.float32)) for _ in range(100))
keep = []; t = threading.Thread(target=make); t.start(); t.join()
import builtins; builtins.kept = keep  # dies after everything else
print(len(keep))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.strip() == "100", done.stderr


def test_sizes_that_overflow_are_refused():
    huge = np.broadcast_to(np.float32(1), (1 << 40, 1 << 20))
    with pytest.raises((ValueError, MemoryError)):
        nnkern.exp(huge)
    with pytest.raises((ValueError, MemoryError)):
        nnkern.add(np.broadcast_to(np.float32(1), (1 << 31, 1)), np.broadcast_to(np.float32(1), (1, 1 << 31)))


@pytest.mark.parametrize(
    "call",
    [
        lambda x, index: nnkern.nll_loss(x, index, reduction="none"),
        lambda x, index: nnkern.cross_entropy(x, index, reduction="none"),
        lambda x, index: nnkern.binary_cross_entropy(x, x, reduction="none"),
        lambda x, index: nnkern.gather(x, 1, index[:, None]),
        lambda x, index: nnkern.index_select(x, 1, index[:, 0, 0]),
        lambda x, index: nnkern.max_unpool2d(x, np.broadcast_to(index[:, None], x.shape), 2),
    ],
)
def test_a_call_that_fails_keeps_no_memory(call):
    """The error is found by threads that fill the result already."""
    x, index = randn(2, 3, 100, 100) + np.float32(5), np.full((2, 100, 100), 10**6)

    def fail():
        with pytest.raises((IndexError, ValueError)):
            call(x, index)

    fail()
    gc.collect()
    before = _cpu.memory_stats()["live_bytes"]
    for _ in range(3):
        fail()
    gc.collect()
    assert _cpu.memory_stats()["live_bytes"] == before


@pytest.mark.skipif(is_sanitized, reason="the sanitizer ends where new would throw")
@pytest.mark.parametrize("length", [2**45, 2**61])
def test_a_list_that_no_memory_holds_names_the_op(length):
    with pytest.raises(MemoryError, match="pad: no memory"):
        nnkern.pad(randn(3), (length, 0))
