"""The vector interface of every ISA, function by function and lane by lane: compiles and runs tests/native/vec_test.cpp."""

import shutil
import subprocess
from pathlib import Path

import pytest
from support import ISAS

ROOT = Path(__file__).parents[1]
# The kernels' own flags (setup.py), at -O1: the interface is inlined at any level.
FLAGS = "-std=c++17 -O1 -ffp-contract=fast -fno-math-errno -fno-trapping-math -w".split()
MARCH = {"scalar": [], "avx2": ["-march=x86-64-v3"], "avx512": ["-march=x86-64-v4"], "neon": []}


def run(tmp_path, isa, compiler, *flags, before=()):
    program = tmp_path / "vec_test"
    header = f'-DVEC_HEADER="simd/vec_{isa}.h"'
    source = ROOT / "tests/native/vec_test.cpp"
    if not source.exists() or not (ROOT / "csrc").exists():
        pytest.skip("the sources are not here: an installed package")
    for tool in (compiler, *before[:1]):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    subprocess.run([compiler, *FLAGS, *flags, header, "-I", ROOT / "csrc", source, "-o", program], check=True)
    done = subprocess.run([*before, program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.endswith("ok\n"), done.stdout + done.stderr


@pytest.mark.parametrize("isa", ISAS)
def test_every_function_of_the_interface(tmp_path, isa):
    run(tmp_path, isa, "g++", *MARCH[isa])


def test_neon_under_emulation(tmp_path):
    run(tmp_path, "neon", "aarch64-linux-gnu-g++", "-static", before=("qemu-aarch64",))
