"""The rules of the house: who may know whom, one name per op everywhere, no symbol that leaks between ISAs."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nnkern
from nnkern import _cpu, backends

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nnkern"
# Who may import whom, from the bottom up; a module may import from its own layer and those before it.
LAYERS = [
    {"_cpu", "backends", "device", "dtypes", "random"},
    {"function", "tensor"},
    {"autograd", "inplace", "config"},
    {"ops"},
    {"creation", "explain", "functional", "serialization"},
    {"nn", "optim", "data"},
    {"models"},
    {"training"},
    {"bench"},
    {"cli", "__main__", "__init__"},
]
# Imports inside functions are seams that break a cycle on purpose: tensor methods reach up to autograd and in-place rules.
ALLOWED = {("tensor", "autograd"), ("tensor", "inplace"), ("config", "__init__")}

needs_sources = pytest.mark.skipif(
    not (ROOT / "csrc").exists(), reason="the sources are not here: an installed package"
)


def python_files():
    return sorted(p for p in PACKAGE.rglob("*.py"))


def part(path):
    """The top-level part of nnkern that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_parts(path):
    """The parts of nnkern that a file imports."""
    package = ("nnkern", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [a.name.split(".") for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = [*base, *(node.module.split(".") if node.module else [])]
            names = [stem] if len(stem) > 1 else [[*stem, a.name] for a in node.names]
        else:
            continue
        for name in names:
            if name[0] == "nnkern":
                yield name[1] if len(name) > 1 else "__init__"


def test_nobody_looks_upward():
    level = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    found = []
    for path in python_files():
        here = part(path)
        assert here in level, f"nnkern/{here} has no layer in this test"
        if here in ("bench", "cli"):  # they use the package as its users do
            continue
        for other in imported_parts(path):
            if level.get(other, -1) > level[here] and (here, other) not in ALLOWED:
                found.append(f"{path.relative_to(ROOT)} imports {other}")
    assert not found


def test_layers_touch_no_backend():
    for folder in ("nn", "models", "training", "data"):
        for path in (PACKAGE / folder).rglob("*.py"):
            assert not {"backends", "_cpu"} & set(imported_parts(path)), path


def test_import_loads_no_reference():
    code = "import sys, nnkern; sys.exit(any('reference' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_reference_knows_numpy_alone():
    for path in (PACKAGE / "backends" / "reference").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {a.name.split(".")[0] for a in node.names} <= {"numpy", "math"}, path
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.split(".")[0] in ("numpy", "math", "__future__"), path


def kernel_arguments(function):
    signature = function.__doc__.splitlines()[0]
    return re.findall(r"[(,] ?(\w+): ", signature)


def test_backends_export_the_same_names_and_arguments():
    reference = backends.load("reference")
    kernels = {
        n for n in dir(_cpu) if n.endswith("_forward") or n.endswith("_backward") or n.endswith("_step")
    }
    theirs = {
        n for n in dir(reference) if n.endswith("_forward") or n.endswith("_backward") or n.endswith("_step")
    }
    assert kernels == theirs
    for name in sorted(kernels):
        arguments = list(inspect.signature(getattr(reference, name)).parameters)
        assert kernel_arguments(getattr(_cpu, name)) == arguments, name


@needs_sources
def test_every_op_has_its_namesakes():
    for path in sorted((PACKAGE / "ops").glob("*.py")):
        if path.stem.startswith("_"):  # the package itself, and what several ops share
            continue
        for wanted in (PACKAGE / "backends" / "reference" / path.name, ROOT / "tests" / f"test_{path.name}",
                       PACKAGE / "bench" / "cases" / path.name, ROOT / "bench" / f"bench_{path.name}"):  # fmt: skip
            assert wanted.exists(), f"ops/{path.name} has no {wanted.relative_to(ROOT)}"


@needs_sources
def test_sources_include_only_what_they_may():
    for path in sorted((ROOT / "csrc").rglob("*")):
        if path.suffix not in (".cpp", ".h", ".inl") or path.name in ("bind.h", "module.cpp"):
            continue
        text = path.read_text()
        includes = re.findall(r'#include [<"]([^>"]+)[>"]', text)
        assert not any("pybind11" in i or "Python.h" in i for i in includes), path
        folder = path.parent.name
        if folder != "simd":
            allowed = {"csrc/parallel.cpp": {"xmmintrin.h"}}.get(str(path.relative_to(ROOT)), set())
            assert not {i for i in includes if i.endswith("intrin.h")} - allowed, path
        elif path.name != "dispatch.cpp":
            c_headers = {"math.h", "stdint.h", "stddef.h", "string.h", "immintrin.h", "arm_neon.h"}
            assert all(i in c_headers or i.endswith((".inl", ".h")) and "/" not in i for i in includes), path
            assert not re.search(r"\bstd::|\bnew \b|\bthrow\b|\bmalloc\(", re.sub(r"//.*", "", text)), path
    for name in ("setup.py", "pyproject.toml"):
        text = (ROOT / name).read_text()
        assert not re.search(r'"-ffast-math"|-Ofast|-march=native', text), name


@needs_sources
@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed")
def test_no_weak_symbols_in_isa_objects():
    objects = sorted((ROOT / "build").glob("obj-*/csrc_simd_isa_*.o"))
    if not objects:
        pytest.skip("no objects here: the package was not built in this folder")
    for path in objects:
        symbols = subprocess.run(["nm", "-C", path], capture_output=True, text=True, check=True).stdout
        assert not re.findall(r"^\S* ?[WVu] .*$", symbols, re.MULTILINE), path.name


def test_the_project_speaks_of_itself_alone():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in files:
        path = ROOT / name
        if path == Path(__file__) or not path.is_file() or path.suffix in (".png", ".json"):
            continue
        assert not re.search(r"/work/|/farm/|/opt/wheels|TODO|FIXME", path.read_text(errors="ignore")), name


def test_budgets():
    """Budgets, not laws: half as much again is where a file or function surely does two things."""
    long = []
    for path in python_files():
        lines = path.read_text().splitlines()
        if len(lines) > 600:
            long.append(f"{path.relative_to(ROOT)}: {len(lines)} lines")
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno > 90:
                long.append(
                    f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {node.end_lineno - node.lineno} lines"
                )
    assert not long


def test_import_is_light():
    code = (
        "import sys, nnkern; heavy = {'torch', 'jax', 'numba', 'scipy', 'sklearn', 'matplotlib', 'rich', 'typer', 'pytest',"
        " 'multiprocessing', 'asyncio', 'unittest'} & set(sys.modules); assert not heavy, heavy"
    )
    import sys

    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_documented():
    for name in dir(nnkern):
        thing = getattr(nnkern, name)
        if not name.startswith("_") and inspect.isfunction(thing):
            assert thing.__doc__, f"nnkern.{name} has no docstring"
