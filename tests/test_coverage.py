"""docs/coverage.md tells the truth about torch.nn.functional."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "measure_coverage.py"


def test_the_page_is_current():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    if not SCRIPT.exists():
        pytest.skip("the sources are not here: an installed package")
    spec = importlib.util.spec_from_file_location("coverage_page", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = script.PAGE.read_text()
    version = ".".join(torch.__version__.split(".")[:2])
    if f"`torch.nn.functional` {version}:" not in text:
        pytest.skip(f"the page was made with another PyTorch than {version}")
    assert text == script.page(), "run python docs/measure_coverage.py"
