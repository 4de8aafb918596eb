"""The types that users' checkers see: a script in the style of the README passes mypy, wrong use does not."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import nnkern

pytest.importorskip("mypy", reason="mypy is not installed")

SCRIPT = """
    import numpy as np

    import nnkern
    import nnkern.functional as F
    from nnkern import Tensor, nn, optim

    class Net(nn.Module):
        def __init__(self, classes: int) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 24 * 24, classes))

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    x: np.ndarray = np.random.rand(4, 1, 28, 28).astype(np.float32)
    target = np.array([1, 2, 3, 4])
    model = Net(10)
    optimiser = optim.Adam(model.parameters(), lr=1e-3)
    loss = F.cross_entropy(model(Tensor(x)), target)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    with nnkern.no_grad():
        share: float = float((model(Tensor(x)).numpy().argmax(1) == target).mean())
    y = nnkern.softmax(nnkern.matmul(x.reshape(4, -1), np.ones((784, 3), np.float32)), 1)
    print(loss.item(), y.sum(), share, Tensor(x).shape, nnkern.get_num_threads() + 1)
"""


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    (folder / "mypy.ini").write_text(
        "[mypy]\ncheck_untyped_defs = true\n"
    )  # a user's configuration, not ours
    root, environment = Path(nnkern.__file__).parents[1], dict(os.environ)
    if (root / "setup.py").exists():  # a checkout: mypy does not find it as it finds installed packages
        environment["MYPYPATH"] = str(root)

    def check(script):
        (folder / "script.py").write_text(textwrap.dedent(script))
        command = [sys.executable, "-m", "mypy", "--cache-dir", "cache", "script.py"]
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=300, env=environment
        )

    return check


def test_the_package_says_that_it_is_typed():
    assert (Path(nnkern.__file__).parent / "py.typed").exists()


def test_a_users_script(mypy):
    done = mypy(SCRIPT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_wrong_use_is_found(mypy):
    done = mypy(
        """
        import nnkern
        from nnkern import nn, optim

        nnkern.set_num_threads("four")
        nnkern.no_such_function(1)
        nn.Linear(3)
        """,
    )
    for line, kind in ((5, "arg-type"), (6, "attr-defined"), (7, "call-arg")):
        assert f"script.py:{line}: error" in done.stdout and f"[{kind}]" in done.stdout, (
            done.stdout + done.stderr
        )
