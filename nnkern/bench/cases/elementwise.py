"""Functions of one array in the L1 cache (32 KB) and in memory (50 MB), and how such cases are made."""

from __future__ import annotations

from typing import Any

import numpy as np

import nnkern

from ..case import FUNCTION_FLOPS, Case, random, torch_module

SIZES = {"32 KB": 8192, "50 MB": 12_500_000}
NUMPY: dict[str, Any] = {"exp": np.exp, "log": np.log}


def torch_function(torch: Any, name: str) -> Any:
    return getattr(torch, name) if hasattr(torch, name) else getattr(torch.nn.functional, name)


def unary(name: str, n: int, numpy_function: Any, usual: Any = None) -> Any:
    def candidates() -> dict:
        x = random(n)
        x = np.abs(x) + np.float32(0.1) if name == "log" else x
        found = {"nnkern": lambda: getattr(nnkern, name)(x)}
        if numpy_function:
            found["numpy"] = lambda: numpy_function(x)
        if usual:
            found["numpy (usual)"] = lambda: usual(x)
        if torch := torch_module():
            tx, f = torch.from_numpy(x), torch_function(torch, name)
            found["torch"] = lambda: f(tx)
        return found

    return candidates


def _power(n: int) -> Any:
    def candidates() -> dict:
        x, y = np.abs(random(n)) + np.float32(0.1), random(n, seed=1)
        found = {"nnkern": lambda: nnkern.pow(x, y), "numpy": lambda: np.power(x, y)}
        if torch := torch_module():
            tx, ty = torch.from_numpy(x), torch.from_numpy(y)
            found["torch"] = lambda: torch.pow(tx, ty)
        return found

    return candidates


def cases() -> list[Case]:
    found = []
    for size, n in SIZES.items():
        for name in ("exp", "erf", "log"):
            flops = float(FUNCTION_FLOPS[name]) * n
            found.append(
                Case(name, size, unary(name, n, NUMPY.get(name)), flops, 8.0 * n, full=name != "exp")
            )
        found.append(Case("pow", size, _power(n), float(FUNCTION_FLOPS["pow"]) * n, 12.0 * n, full=True))
    return found
