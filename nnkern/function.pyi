"""Types of function.pyx."""

from collections.abc import Iterable
from typing import Any

import numpy as np

class _GradMode:
    enabled: bool

grad_mode: _GradMode

class Version:
    sequence: int
    op: str
    where: str

class TensorBase:
    _data: np.ndarray
    _requires_grad: bool
    @property
    def data(self) -> np.ndarray: ...
    @data.setter
    def data(self, value: Any) -> None: ...
    requires_grad: bool
    grad: Any
    _fn: Any
    _index: int
    _base: Any
    _view_sequence: int
    _version: Version | None
    _hooks: dict[int, Any] | None
    _born: int

class Function:
    kernels: Any
    is_view: bool
    takes_numbers: bool
    crosswise: bool
    inputs: tuple[Any, ...]
    saved: Any
    sequence: int
    outputs: int
    _hooks: dict[int, Any] | None
    _out_id: Any
    _out_version: Version | None
    _heir: Any
    def forward(self, *arrays: Any) -> Any: ...
    def backward(self, *gys: Any) -> Any: ...
    @property
    def name(self) -> str: ...
    @property
    def needs_input_grad(self) -> tuple[Any, ...]: ...
    def __call__(self, *inputs: Any) -> Any: ...

class Walk:
    found: dict[int, tuple[TensorBase, Any]]
    since: int
    def __init__(self, create_graph: bool, wanted: Any = ...) -> None: ...
    def start(self, x: TensorBase, g: Any) -> None: ...
    def run(self, retain_graph: bool) -> dict[int, tuple[Any, Any]]: ...

def register_tensor(cls: type) -> type: ...
def newest() -> int: ...
def share_version(t: TensorBase, other: TensorBase) -> None: ...
def record_change(t: TensorBase, op: str) -> None: ...
def record_changes(tensors: Iterable[TensorBase], op: str) -> None: ...
