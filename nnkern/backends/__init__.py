"""Finds the kernels of a device: the compiled module first, then the reference.

A backend is a namespace of functions named as in csrc/ops.h. `kernels('cpu')` gives one object whose attributes are the
first backend's function of that name; they are looked up once and cached.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

ORDER = {"cpu": ("_cpu", "reference")}
MODULES = {"_cpu": "nnkern._cpu", "reference": "nnkern.backends.reference"}


def load(name: str) -> ModuleType:
    """The backend module of that name."""
    return importlib.import_module(MODULES[name])


class Kernels:
    """The kernels of one device; attributes appear on first use."""

    def __init__(self, device: str, order: tuple[str, ...] | None = None) -> None:
        self._device = device
        self._order = order or ORDER[device]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        reasons = []
        for backend in self._order:
            kernel = getattr(load(backend), name, None)
            if kernel is not None:
                setattr(self, name, kernel)
                return kernel
            reasons.append(f"{backend}: does not have it")
        raise NotImplementedError(f"{name} has no kernel on '{self._device}': {'; '.join(reasons)}")


_cache: dict[str, Kernels] = {}


def kernels(device: str = "cpu") -> Kernels:
    """The kernels of `device`."""
    if device not in _cache:
        _cache[device] = Kernels(device)
    return _cache[device]
