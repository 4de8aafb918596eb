"""The pool: right under stress, fork-safe, bits independent of the number of threads, denormals and errors."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from support import randn

import nnkern

ROOT = Path(__file__).parents[1]
needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None or not (ROOT / "csrc").exists(), reason="needs g++ and the sources"
)


def native(tmp_path, *flags, args=(), before=()):
    """Compiles and runs tests/native/pool_test.cpp."""
    program = tmp_path / "pool_test"
    sources = [ROOT / "tests/native/pool_test.cpp", ROOT / "csrc/parallel.cpp", ROOT / "csrc/memory.cpp"]
    subprocess.run(
        ["g++", "-std=c++17", "-O1", "-g", "-pthread", "-I", ROOT / "csrc", *flags, *sources, "-o", program],
        check=True,
    )
    done = subprocess.run([*before, program, *args], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "ok" in done.stdout, done.stdout + done.stderr


@needs_compiler
def test_stress_and_a_hundred_forks(tmp_path):
    native(tmp_path, args=("fork",))


@needs_compiler
def test_no_data_race(tmp_path):
    if shutil.which("setarch") is None:
        pytest.skip("setarch is not installed: ThreadSanitizer needs fixed addresses")
    native(tmp_path, "-fsanitize=thread", before=("setarch", "-R"))


@needs_compiler
def test_no_memory_error(tmp_path):
    native(tmp_path, "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


def work(seed):
    return float(nnkern.sum(nnkern.exp(randn(300, 300, seed=seed))))


def test_forked_children_compute():
    expected = work(1)
    nnkern.matmul(randn(300, 300), randn(300, 300))
    children = []
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if work(1) == expected else 1)
        children.append(pid)
    assert all(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 for pid in children)


def test_multiprocessing_fork_pool():
    expected = [work(i) for i in range(6)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(work, range(6)).get(60) == expected


def test_workers_keep_off_their_callers_core():
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if len(cores) < 2:
        pytest.skip("needs two cores to choose from, and Linux")
    x, before = randn(700, 700), nnkern.get_num_threads()
    nnkern.set_num_threads(2)
    try:
        for core in [*cores] * 2:
            for _ in range(50):  # the system may move the caller between two lines
                os.sched_setaffinity(0, {core})
                os.sched_setaffinity(0, cores)
                nnkern.matmul(x, x)
                masks = [_affinity(int(thread)) for thread in os.listdir("/proc/self/task")]
                if cores - {core} in masks:
                    break
            else:
                pytest.fail(f"no worker of {masks} keeps off core {core} of {cores}")
    finally:
        os.sched_setaffinity(0, cores)
        nnkern.set_num_threads(before)


def _affinity(thread):
    try:
        return os.sched_getaffinity(thread)
    except ProcessLookupError:  # it has ended in the meantime
        return set()


def test_two_python_threads_at_once():
    x, w = randn(400, 300), randn(300, 200)
    expected, failures = nnkern.matmul(x, w), []

    def run():
        for _ in range(30):
            if not np.array_equal(nnkern.matmul(x, w), expected):
                failures.append(1)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not failures


def test_same_bits_for_any_number_of_threads():
    x, w = randn(333, 700), randn(700, 259)
    functions = {
        "matmul": lambda: nnkern.matmul(x, w),
        "linear": lambda: nnkern.linear(x, np.ascontiguousarray(w.T)),
        "sum": lambda: nnkern.sum(x),
        "columns": lambda: nnkern.sum(x, 0),
        "softmax": lambda: nnkern.softmax(x, 1),
        "exp": lambda: nnkern.exp(x),
    }
    before = nnkern.get_num_threads()
    try:
        for name, f in functions.items():
            results = []
            for n in (1, 2, 3):
                nnkern.set_num_threads(n)
                results.append(f())
            assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2]), name
    finally:
        nnkern.set_num_threads(before)


def test_denormals_are_zero_inside_and_untouched_outside():
    tiny = np.full(100_000, 1e-40, np.float32)
    assert not nnkern.mul(tiny, 1.0).any()  # threads of the pool, too
    assert not nnkern.mul(tiny[:4], 1.0).any()
    assert (tiny * np.float32(1)).all()  # the caller's arithmetic keeps its denormals


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_count_from_the_environment():
    done = python("import nnkern; print(nnkern.get_num_threads())", NNKERN_NUM_THREADS="1")
    assert done.stdout.strip() == "1"
    for bad in ("0", "abc", "1.5", "-2"):
        done = python("import nnkern", NNKERN_NUM_THREADS=bad)
        assert done.returncode != 0 and f"NNKERN_NUM_THREADS={bad}" in done.stderr


def test_count_from_affinity():
    done = python(
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); import nnkern; print(nnkern.get_num_threads())"
    )
    assert done.stdout.strip() == "1"


def test_bad_counts_and_isas_are_refused():
    with pytest.raises(ValueError, match="from 1 to 1024"):
        nnkern.set_num_threads(0)
    with pytest.raises(ValueError, match="sse9.*not one of.*scalar"):
        nnkern.set_isa("sse9")
    done = python("import nnkern", NNKERN_ISA="sse9")
    assert done.returncode != 0 and "NNKERN_ISA=sse9" in done.stderr and "scalar" in done.stderr


def test_without_new_threads_work_goes_on():
    """A system that gives no more threads: the caller works alone, and its signals still arrive."""
    code = """
import resource, signal, numpy as np, nnkern
nnkern.set_num_threads(4)
x = np.ones((500, 500), np.float32)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
import os
if os.getuid() == 0: os.setuid(65534)
assert nnkern.exp(x).shape == (500, 500)
assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
print("fine")
"""
    done = python(code)
    assert done.stdout.strip() == "fine", done.stderr


def test_a_fork_while_another_thread_computes():
    """The first calls of a process: whatever is made once must not be half made in the child."""
    code = """
import os, threading, numpy as np, nnkern
a, stop = np.ones((200, 200), np.float32), []
def run():
    while not stop:
        nnkern.matmul(a, a)
thread = threading.Thread(target=run)
thread.start()
for _ in range(10):
    pid = os.fork()
    if pid == 0:
        import signal
        signal.alarm(20)
        nnkern.matmul(a, a), nnkern.exp(a), nnkern.empty_cache()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.append(1)
thread.join()
print("fine")
"""
    for _ in range(3):
        assert python(code).stdout.strip() == "fine"


def test_a_daemon_thread_may_compute_while_the_interpreter_ends():
    code = """
import threading, time, numpy as np, nnkern
a = np.ones((400, 400), np.float32)
def run():
    while True:
        nnkern.matmul(a, a)
for _ in range(2):
    threading.Thread(target=run, daemon=True).start()
time.sleep(0.05)
print("fine")
"""
    for _ in range(5):
        done = python(code)
        assert done.returncode == 0 and done.stdout.strip() == "fine", done.stderr
