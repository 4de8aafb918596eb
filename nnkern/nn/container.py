"""Containers of modules."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any

from .module import Module


class _Numbered(Module):
    """Submodules named "0", "1", ..."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def _key(self, i: Any) -> str:
        n = len(self._modules)
        i = operator.index(i)
        if not -n <= i < n:
            raise IndexError(f"{type(self).__name__}: index {i} is out of range for {n} modules")
        return list(self._modules)[i]

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return type(self)(*self._slice(i))
        return self._modules[self._key(i)]

    def _slice(self, i: slice) -> tuple[Any, ...]:
        return tuple(list(self._modules.values())[i])

    def __setitem__(self, i: Any, module: Module) -> None:
        self.add_module(self._key(i), module)

    def __delitem__(self, i: Any) -> None:
        kept = list(self._modules.values())
        del kept[i]
        for name in list(self._modules):
            delattr(self, name)
        self.extend(kept)

    def append(self, module: Module) -> Any:
        self.add_module(str(len(self._modules)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        for m in modules:
            self.append(m)
        return self


class Sequential(_Numbered):
    """Modules called one after another: Sequential(a, b)(x) = b(a(x)). Also takes a dict {name: module}."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, m in modules[0].items():
                self.add_module(name, m)
        else:
            self.extend(modules)

    def forward(self, x: Any) -> Any:
        for m in self._modules.values():
            x = m.forward(x) if m._hooks is None else m(x)
        return x


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


class ModuleDict(Module):
    """A dict of modules."""

    def __init__(self, modules: Any = ()) -> None:
        super().__init__()
        self.update(modules)

    def update(self, modules: Any) -> None:
        for name, m in modules.items() if hasattr(modules, "items") else modules:
            self[name] = m

    def __getitem__(self, name: str) -> Module:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def keys(self) -> Any:
        return self._modules.keys()

    def values(self) -> Any:
        return self._modules.values()

    def items(self) -> Any:
        return self._modules.items()
