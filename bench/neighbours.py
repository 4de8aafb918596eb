"""What threads cost when the machine is not ours alone, and what denormals cost. Run it on a quiet machine:

    python bench/neighbours.py --write threads.md

1. Two busy processes beside us (one per core): two threads must not take longer than 1.3 times one thread.
2. nnkern in turns with NumPy's BLAS or PyTorch, each with threads of its own: no more than 1.5 times what they take apart.
3. Denormal inputs: no more than 1.2 times the time of normal ones.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

import nnkern
from nnkern.bench.case import random, torch_module
from nnkern.bench.runner import threads

NEIGHBOUR = "while True: pass"
ROUNDS = 15


def mlp_step():
    """A training step of 64-256-128-10 on a batch of 64."""
    nn = nnkern.nn
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    optimiser = nnkern.optim.SGD(model.parameters(), lr=0.0)
    criterion = nn.CrossEntropyLoss()
    x, y = nnkern.Tensor(random(64, 64)), nnkern.Tensor(np.arange(64) % 10)

    def step():
        optimiser.zero_grad()
        criterion(model(x), y).backward()
        optimiser.step()

    return step


def workloads():
    a, b = random(512, 512), random(512, 512, seed=1)
    x = random(2 << 20)
    return {
        "matmul 512 x 512 x 512": lambda: nnkern.matmul(a, b),
        "exp of 8 MB": lambda: nnkern.exp(x),
        "MLP step, batch 64": mlp_step(),
    }


def sample(f, seconds):
    """Seconds per call over a stretch long enough for the scheduler to have its say."""
    calls, start = 0, time.perf_counter()
    while True:
        f()
        calls += 1
        passed = time.perf_counter() - start
        if passed >= seconds:
            return passed / calls


def in_turns(candidates, seconds, rounds=ROUNDS):
    """Median seconds per call of each candidate; rounds of all in turns, so that slow spells hit every one."""
    samples = {name: [] for name in candidates}
    for f in candidates.values():
        sample(f, seconds / 4)
    for _ in range(rounds):
        for name, f in candidates.items():
            samples[name].append(sample(f, seconds))
    return {name: float(np.median(s)) for name, s in samples.items()}


@contextlib.contextmanager
def busy_neighbours(count):
    started = [subprocess.Popen([sys.executable, "-c", NEIGHBOUR]) for _ in range(count)]
    try:
        time.sleep(0.5)
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def on_threads(n, f):
    def run():
        nnkern.set_num_threads(n)
        f()

    return run


def beside_neighbours(count):
    """(what, limit, one thread, two threads) per workload."""
    rows = []
    for name, f in workloads().items():
        both = {n: on_threads(n, f) for n in (1, 2)}
        with busy_neighbours(count):
            t = in_turns(both, 0.25)
        rows.append((name, 1.3, t[1], t[2]))
    return rows


def with_other_pools():
    """(what, limit, sum of both apart, in turns) per pair."""
    a, b = random(512, 512), random(512, 512, seed=1)
    x, s = random(2 << 20), random(128, 128)
    ours = {
        "matmul 512": lambda: nnkern.matmul(a, b),
        "exp of 8 MB": lambda: nnkern.exp(x),
        "matmul 128": lambda: nnkern.matmul(s, s),
    }
    theirs = {"np.matmul 512": lambda: np.matmul(a, b), "np.matmul 128": lambda: np.matmul(s, s)}
    if torch := torch_module():
        ta, ts = torch.from_numpy(a), torch.from_numpy(s)
        theirs |= {
            "torch.matmul 512": lambda: torch.matmul(ta, ta),
            "torch.matmul 128": lambda: torch.matmul(ts, ts),
        }
    rows = []
    for name, f in ours.items():
        for other, g in theirs.items():

            def turn(f=f, g=g):
                f()
                g()

            t = in_turns({"ours": f, "theirs": g, "turns": turn}, 0.05)
            rows.append((f"{name}, {other}", 1.5, t["ours"] + t["theirs"], t["turns"]))
    return rows


def with_denormals():
    """(what, limit, normal, denormal) per op, dtype and number of threads."""
    rows = []
    for dtype, tiny in (("float32", 1e-40), ("float64", 1e-310)):
        x, a = random(1 << 20, dtype=dtype), random(384, 384, dtype=dtype)
        small_x, small_a = (np.abs(v) * 0 + v * tiny for v in (x, a))
        ops = {
            "mul of 1M": (lambda v: nnkern.mul(v, 0.5), x, small_x),
            "add of 1M": (lambda v: nnkern.add(v, v), x, small_x),
            "sqrt of 1M": (lambda v: nnkern.sqrt(nnkern.abs(v)), x, small_x),
            "exp of 1M": (nnkern.exp, x, small_x),
            "tanh of 1M": (nnkern.tanh, x, small_x),
            "matmul 384": (lambda v: nnkern.matmul(v, v), a, small_a),
            "sum of 1M": (nnkern.sum, x, small_x),
            "sum of columns": (lambda v: nnkern.sum(v.reshape(1024, 1024), 0), x, small_x),
            "softmax 1024 x 1024": (lambda v: nnkern.softmax(v.reshape(1024, 1024), 1), x, small_x),
        }
        for n in (1, 2):
            with threads(n):
                for name, (f, normal, small) in ops.items():
                    t = in_turns({"normal": partial(f, normal), "small": partial(f, small)}, 0.01, 11)
                    rows.append((f"{name}, {dtype}, {n} thread{'s' * (n > 1)}", 1.2, t["normal"], t["small"]))
    return rows


def table(title, columns, rows):
    lines = [
        f"## {title}",
        "",
        f"| case | {columns[0]} | {columns[1]} | ratio | limit |",
        "|---|---|---|---|---|",
    ]
    for name, limit, before, after in rows:
        ratio = after / before
        shown = f"{ratio:.2f}" if ratio <= limit else f"**{ratio:.2f}**"
        lines.append(f"| {name} | {before * 1e3:.3f} ms | {after * 1e3:.3f} ms | {shown} | {limit} |")
    return [*lines, ""]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="write the tables to this Markdown file")
    parser.add_argument("--only", choices=("neighbours", "pools", "denormals"))
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    lines = [
        "# Threads beside others, and denormals",
        "",
        f"Written by `python bench/neighbours.py`: {cores} cores, {nnkern.get_isa()}, medians of rounds in turns. "
        "**Bold**: over the limit.",
        "",
    ]
    parts = {
        "neighbours": lambda: table(
            f"{cores} busy processes beside us", ("1 thread", "2 threads"), beside_neighbours(cores)
        ),
        "pools": lambda: table(
            "In turns with another library's threads", ("apart, sum", "in turns"), with_other_pools()
        ),
        "denormals": lambda: table("Denormal inputs", ("normal", "denormal"), with_denormals()),
    }
    for name, part in parts.items():
        if options.only in (None, name):
            part_lines = part()
            print("\n".join(part_lines), flush=True)
            lines += part_lines
    if options.write:
        options.write.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
