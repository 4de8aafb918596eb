"""What the README, the docs and the docstrings promise: links lead somewhere, the examples run and print what they say."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import nnkern

ROOT = Path(__file__).parents[1]
PAGES = [p for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if p.exists()]

MODULES = [m.name for m in pkgutil.walk_packages(nnkern.__path__, "nnkern.") if "__main__" not in m.name]
needs_pages = pytest.mark.skipif(not PAGES, reason="the pages are not here: an installed package")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


@needs_pages
def test_the_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    names = {}
    exec(code, names)
    assert names["y"].shape == (8, 10) and names["loss"].item() < 2


def test_docstrings_print_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {n: v for n, v in vars(nnkern).items() if not n.startswith("_")} | {"np": np, "nnkern": nnkern}
    runner, optional = doctest.DocTestRunner(verbose=False), ("nnkern.cli", "nnkern.training", "nnkern.bench")
    for module in MODULES:
        try:
            found = doctest.DocTestFinder().find(importlib.import_module(module))
        except ImportError:
            assert module.startswith(optional), module
            continue
        for example in found:
            example.globs.update(names)
            runner.run(example)
    assert runner.tries > 100 and not runner.failures
