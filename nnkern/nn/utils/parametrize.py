"""Parameters computed from others: torch.nn.utils.parametrize.

A parametrised attribute becomes a property of a class of its own; what it is computed from stands in
module.parametrizations.<name>, as `original`, or `original0`, `original1`... where a parametrisation has several inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...autograd import no_grad
from ...tensor import Tensor
from ..container import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

_cache: dict[tuple[int, str], Any] | None = None


@contextmanager
def cached() -> Iterator[None]:
    """Inside, every parametrised attribute is computed once."""
    global _cache
    before = _cache
    _cache = {} if before is None else before
    try:
        yield
    finally:
        _cache = before


class ParametrizationList(ModuleList):
    """The parametrisations of one attribute, applied one after another, and the originals that they start from."""

    def __init__(self, modules: list[Module], original: Tensor) -> None:
        super().__init__(modules)
        self.is_buffer = not isinstance(original, Parameter)
        self.requires_grad = original.requires_grad
        values = self._inverse(original)
        self.count = len(values) if isinstance(values, tuple) else 0
        for name, value in self._named_originals(values):
            self._put(name, value)

    def _inverse(self, value: Any) -> Any:
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    value = module.right_inverse(value)
        return value

    def _named_originals(self, values: Any) -> list[tuple[str, Any]]:
        if isinstance(values, tuple):
            return [(f"original{i}", v) for i, v in enumerate(values)]
        return [("original", values)]

    def _put(self, name: str, value: Any) -> None:
        array = value.data if isinstance(value, Tensor) else value
        if self.is_buffer:
            self.register_buffer(name, Tensor(array))
        else:
            self.register_parameter(name, Parameter(array.copy(), self.requires_grad))

    def originals(self) -> list[Any]:
        names = [f"original{i}" for i in range(self.count)] if self.count else ["original"]
        return [getattr(self, name) for name in names]

    def right_inverse(self, value: Any) -> None:
        """Sets the originals such that the attribute becomes value, as far as the parametrisations can tell."""
        for name, v in self._named_originals(self._inverse(value)):
            getattr(self, name).data[...] = v.data if isinstance(v, Tensor) else v

    def forward(self) -> Any:
        first, *rest = self
        x = first(*self.originals())
        for module in rest:
            x = module(x)
        return x


class _Parametrized:
    """What the class of a parametrised module adds to its own."""

    def __setattr__(self: Any, name: str, value: Any) -> None:
        parametrizations = self.__dict__["_modules"].get("parametrizations", ())
        if name in parametrizations:
            parametrizations[name].right_inverse(value)
        else:
            super().__setattr__(name, value)


def _property(name: str) -> property:
    def get(self: Any) -> Any:
        if _cache is None:
            return self.parametrizations[name]()
        key = id(self), name
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    return property(get)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module has a parametrised attribute (of that name)."""
    found = module._modules.get("parametrizations")
    return found is not None and (tensor_name in found if tensor_name is not None else len(found) > 0)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """From now on module.<tensor_name> is parametrization(original); a second one is applied to the first one's result.

    parametrization.right_inverse, if there is one, says which original (or tuple of them) the present value comes from.
    Unless unsafe, shape and dtype must stay. Raises ValueError where they don't, or if there is no such parameter.
    """
    if is_parametrized(module, tensor_name):
        found = module.parametrizations[tensor_name]
        value = getattr(module, tensor_name)
        if not unsafe:
            _check(module, tensor_name, value, parametrization(value))
        found.append(parametrization)
        return module
    value = module._parameters.get(tensor_name)
    if value is None:
        value = module._buffers.get(tensor_name)
    if value is None:
        raise ValueError(f"{type(module).__name__} has no parameter or buffer {tensor_name!r} to parametrise")
    found = ParametrizationList([parametrization], value)
    if not unsafe:
        _check(module, tensor_name, value, found())
    if not is_parametrized(module):
        cls = type(module)
        module.__class__ = type(f"Parametrized{cls.__name__}", (_Parametrized, cls), {"_plain_class": cls})
        module.add_module("parametrizations", ModuleDict())
    delattr(module, tensor_name)
    setattr(type(module), tensor_name, _property(tensor_name))
    module.parametrizations[tensor_name] = found
    return module


def _check(module: Module, name: str, before: Any, after: Any) -> None:
    if after.shape != before.shape or after.dtype != before.dtype:
        raise ValueError(
            f"the parametrisation of {type(module).__name__}.{name} gives {after.dtype} {after.shape} for "
            f"{before.dtype} {before.shape}; pass unsafe=True if that is meant"
        )


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """module.<tensor_name> is a plain parameter again: with the value it had, or the original's."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{type(module).__name__}.{tensor_name} is not parametrised")
    found = module.parametrizations[tensor_name]
    if leave_parametrized:
        with no_grad():
            array = getattr(module, tensor_name).data
    elif found.count:
        raise ValueError(f"leave_parametrized=False: {tensor_name} has {found.count} originals, not one")
    else:
        array = found.original.data
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type_before_parametrizations(module)
    if found.is_buffer:
        module.register_buffer(tensor_name, Tensor(array))
    else:
        module.register_parameter(tensor_name, Parameter(array, found.requires_grad))
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class, whether or not something of it is parametrised."""
    return getattr(type(module), "_plain_class", type(module))
