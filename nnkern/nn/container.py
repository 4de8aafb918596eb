"""Containers of modules and of parameters."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any

from ..autograd import is_grad_enabled
from ..tensor import Tensor
from .activation import ReLU
from .module import Module
from .parameter import Parameter
from .pool import MAX_POOLS


class _Held(Module):
    """What it holds lies in its _modules, or in its _parameters."""

    _kind = "modules"

    @property
    def _held(self) -> dict[str, Any]:
        return self._modules

    def _hold(self, name: str, value: Any) -> None:
        self.add_module(name, value)

    def __len__(self) -> int:
        return len(self._held)


class _HeldParameters(_Held):
    _kind = "parameters"

    @property
    def _held(self) -> dict[str, Any]:
        return self._parameters

    def _hold(self, name: str, value: Any) -> None:
        self.register_parameter(name, value if isinstance(value, Parameter) else Parameter(value))

    def extra_repr(self) -> str:
        return "\n".join(f"({k}): {p.dtype} parameter of shape {p.shape}" for k, p in self._held.items())


class _Numbered(_Held):
    """Named "0", "1", ..."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self._held.values())

    def _key(self, i: Any) -> str:
        n = len(self._held)
        i = operator.index(i)
        if not -n <= i < n:
            raise IndexError(f"{type(self).__name__}: index {i} is out of range for {n} {self._kind}")
        return list(self._held)[i]

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return type(self)(*self._slice(i))
        return self._held[self._key(i)]

    def _slice(self, i: slice) -> tuple[Any, ...]:
        return tuple(list(self._held.values())[i])

    def __setitem__(self, i: Any, value: Any) -> None:
        self._hold(self._key(i), value)

    def __delitem__(self, i: Any) -> None:
        kept = list(self._held.values())
        del kept[i]
        self._refill(kept)

    def _refill(self, values: list[Any]) -> None:
        for name in list(self._held):
            delattr(self, name)
        self.extend(values)

    def append(self, value: Any) -> Any:
        self._hold(str(len(self._held)), value)
        return self

    def extend(self, values: Iterable[Any]) -> Any:
        if isinstance(values, Tensor) or not isinstance(values, Iterable):
            raise TypeError(
                f"{type(self).__name__}: several {self._kind} are needed, got {type(values).__name__}"
            )
        for value in list(values):
            self.append(value)
        return self

    __iadd__ = extend

    def insert(self, index: int, value: Any) -> Any:
        """Puts value before the one at index; those behind it move up."""
        kept = list(self._held.values())
        kept.insert(index, value)
        self._refill(kept)
        return self

    def pop(self, index: int = -1) -> Any:
        """Takes the one at index out and returns it."""
        value = self[index]
        del self[index]
        return value


class _Named(_Held):
    """Named by their keys."""

    def update(self, values: Any) -> None:
        for name, value in values.items() if hasattr(values, "items") else values:
            self[name] = value

    def __getitem__(self, name: str) -> Any:
        return self._held[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._hold(name, value)

    def __delitem__(self, name: str) -> None:
        del self._held[name]
        delattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def keys(self) -> Any:
        return self._held.keys()

    def values(self) -> Any:
        return self._held.values()

    def items(self) -> Any:
        return self._held.items()

    def pop(self, name: str) -> Any:
        """Takes the one of that name out and returns it."""
        value = self[name]
        del self[name]
        return value

    def clear(self) -> None:
        """Takes all out."""
        for name in list(self._held):
            del self[name]


class Sequential(_Numbered):
    """Modules called one after another: Sequential(a, b)(x) = b(a(x)). Also takes a dict {name: module}.

    A ReLU right behind a Linear, a convolution or a BatchNorm is computed by that layer (its activation="relu"); while
    gradients are recorded, one between such a layer and a MaxPool behind the MaxPool, where fewer values are left. Not
    if one of them has hooks or a forward of its own. The same numbers with less work.
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, m in modules[0].items():
                self.add_module(name, m)
        else:
            self.extend(modules)

    def forward(self, x: Any) -> Any:
        modules = [*self._modules.values(), None, None]
        done = 0  # of those that come next
        for m, behind, third in zip(modules, modules[1:], modules[2:]):
            if done:
                done -= 1
            elif m._hooks is not None:
                x = m(x)
            elif not (type(behind) is ReLU and _plain(behind) and getattr(m.forward, "fuses_relu", False)):
                x = m.forward(x)
            elif is_grad_enabled() and type(third) in MAX_POOLS and _plain(third) and third.shrinks:
                x, done = behind.forward(third.forward(m.forward(x))), 2
            else:
                x, done = m.forward(x, activation="relu"), 1
        return x


def _plain(m: Module) -> bool:
    return m._hooks is None and "forward" not in m.__dict__


class ModuleList(_Numbered):
    """A list of modules."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def _slice(self, i: slice) -> tuple[Any, ...]:
        return (super()._slice(i),)

    def __repr__(self) -> str:
        """Equal neighbours share a line, as in PyTorch: (0-2): 3 x Linear(...)."""
        groups: list[Any] = []  # [first, last, text]
        for i, m in enumerate(self):
            if groups and groups[-1][2] == repr(m):
                groups[-1][1] = i
            else:
                groups.append([i, i, repr(m)])
        if not groups:
            return "ModuleList()"
        lines = []
        for first, last, text in groups:
            head = f"({first}): " if first == last else f"({first}-{last}): {last - first + 1} x "
            lines.append(head + text.replace("\n", "\n  "))
        return "ModuleList(\n  " + "\n  ".join(lines) + "\n)"


class ModuleDict(_Named):
    """A dict of modules."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update(modules or ())


class ParameterList(_HeldParameters, _Numbered):
    """A list of parameters; Tensors and arrays become Parameters. Names in state_dict: "0", "1", ..."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(() if values is None else values)

    def _slice(self, i: slice) -> tuple[Any, ...]:
        return (super()._slice(i),)


class ParameterDict(_HeldParameters, _Named):
    """A dict of parameters; Tensors and arrays become Parameters. Its keys are their names in state_dict."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self.update(parameters or ())

    def get(self, name: str, default: Any = None) -> Any:
        return self._held.get(name, default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The parameter of that name, put there first if there is none."""
        if name not in self:
            self[name] = default
        return self[name]
